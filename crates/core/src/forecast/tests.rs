//! The forecast against a simulation that goes from slot to slot, and by examples.

use proptest::prelude::*;

use super::*;
use crate::history::History;
use crate::names::Tier;
use crate::policy::Policy;
use crate::retention::{TierSlot, choose};
use crate::test_fixtures::{active, at, config, good, policy, retentions, scope};

fn forecast(config: &Config, history: &History, now: DateTime<Utc>, days: u16) -> Forecast {
    super::forecast(config, &Outline::from(history), now, days)
}

fn one(config: &Config, history: &History, now: &str, days: u16) -> ScopeForecast {
    let mut forecast = forecast(config, history, at(now), days);
    forecast.scopes.remove(0)
}

#[test]
fn a_daily_policy_settles_at_one_more_than_its_days_and_says_when_it_passes_the_quota() {
    let config = config(vec![policy(
        "nightly",
        "30 2 * * *",
        &["dw"],
        retentions("35d", &[]),
    )]);
    let got = one(&config, &History::default(), "2026-07-01T12:00:00Z", 60);
    assert_eq!((got.now.held, got.peak.held), (0, 36));
    assert_eq!(got.steady.unwrap().held, 36);
    assert_eq!(got.over_quota_at, Some(at("2026-07-22T00:30:00Z")));
    assert_eq!(got.days.len(), 61);
    assert_eq!((got.days[0].held, got.days[1].held), (0, 1));
    assert_eq!(got.peak.by_policy[&"nightly".parse().unwrap()], 36);
    assert_eq!(got.peak.stored_bytes, None);
}

#[test]
fn what_is_kept_for_ever_or_longer_than_the_time_looked_at_does_not_settle() {
    for retention in ["forever", "90d"] {
        let daily = policy("p", "30 2 * * *", &["dw"], retentions(retention, &[]));
        let got = one(
            &config(vec![daily]),
            &History::default(),
            "2026-07-01T12:00:00Z",
            60,
        );
        assert_eq!((got.peak.held, got.steady), (60, None), "{retention}");
    }
}

#[test]
fn the_newest_base_snapshots_alone_stay_where_keep_last_is_set() {
    let mut daily = policy(
        "p",
        "30 2 * * *",
        &["dw"],
        retentions("forever", &[(Tier::Monthly, "forever")]),
    );
    daily.protection.keep_last = Some(3);
    let got = one(
        &config(vec![daily]),
        &History::default(),
        "2026-07-01T12:00:00Z",
        100,
    );
    // July to October have their monthly, and the fourth base snapshot goes when a fifth has come.
    assert_eq!((got.peak.held, got.steady), (8, None));
}

#[test]
fn the_history_gives_the_clusters_what_they_hold_and_how_long_aws_will_keep_it() {
    let nightly = policy("nightly", "30 2 * * *", &["dw-*"], retentions("2d", &[]));
    let mut history = History::default();
    for (cluster, days) in [("dw-a", 3), ("dw-b", -1)] {
        let run = good(&nightly, cluster, "2026-07-01T00:30:00Z", Tier::Base, days);
        let state = active(&nightly, "2026-06-01T00:00:00Z", "2026-07-01T00:30:00Z");
        history.pairs.insert(run.slot.pair.clone(), state);
        history.insert(run);
    }
    let stranger = policy("gone", "30 2 * * *", &["x"], retentions("2d", &[]));
    history.insert(good(&stranger, "x", "2026-06-01T00:30:00Z", Tier::Base, 31));
    let config = config(vec![nightly]);
    let forecast = forecast(&config, &history, at("2026-07-01T12:00:00Z"), 10);
    assert_eq!(forecast.notes, []);
    let got = &forecast.scopes[0];
    assert_eq!(got.now.held, 3);
    assert_eq!(got.now.stored_bytes, Some(30 << 20));
    // 4 July: both have three of the policy's, and those of the first of July are there.
    assert_eq!(
        (got.peak.held, got.peak.at),
        (8, at("2026-07-04T00:30:00Z"))
    );
    let steady = got.steady.as_ref().unwrap();
    assert_eq!((steady.held, steady.stored_bytes), (7, Some(70 << 20)));
    assert_eq!(got.sizes_known, 3);
}

#[test]
fn what_nobody_knows_is_assumed_and_said() {
    let mut one = policy("p", "30 2 * * *", &["dw-*", "dw"], retentions("2d", &[]));
    one.scopes.push(scope("us-east-1"));
    let config = config(vec![one]);
    let forecast = forecast(&config, &History::default(), at("2026-07-01T12:00:00Z"), 10);
    let name: PolicyName = "p".parse().unwrap();
    let pattern = Note::Pattern(name.clone(), "dw-*".to_owned());
    let somewhere = Note::Somewhere(name, "dw".parse().unwrap());
    assert_eq!(forecast.notes, [pattern, somewhere]);
    let peaks = |forecast: &Forecast| {
        let peaks = forecast.scopes.iter().map(|scope| scope.peak.held);
        peaks.collect::<Vec<_>>()
    };
    assert_eq!(peaks(&forecast), [6, 6]);
}

/// The highest number of each date, from slot to slot: what has expired goes, the tier is chosen from all that is
/// held, and what `keep_last` takes goes after it was counted.
fn simulated(policies: &[Policy], now: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Day> {
    let mut slots: Vec<(DateTime<Utc>, usize)> = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let coming = policy.schedule.slots_between(now, until);
        slots.extend(coming.map(|at| (at, index)));
    }
    slots.sort();
    let mut there: Vec<(usize, TierSlot, Option<DateTime<Utc>>)> = Vec::new();
    let mut days: BTreeMap<NaiveDate, usize> = BTreeMap::new();
    let mut slots = slots.into_iter().peekable();
    let mut date = now.date_naive();
    while date.and_time(chrono::NaiveTime::MIN).and_utc() < until {
        let begins = date.and_time(chrono::NaiveTime::MIN).and_utc().max(now);
        let left = |at: DateTime<Utc>| {
            move |until: Option<DateTime<Utc>>| until.is_none_or(|until| until >= at)
        };
        there.retain(|one| left(begins)(one.2));
        let mut most = there.len();
        while let Some((at, index)) = slots.next_if(|(at, _)| at.date_naive() == date) {
            there.retain(|one| left(at)(one.2));
            let policy = &policies[index];
            let of_policy = there.iter().filter(|one| one.0 == index);
            let others: Vec<TierSlot> = of_policy
                .map(|one| one.1)
                .filter(|held| held.tier != Tier::Base)
                .collect();
            let tier = choose(policy, at, &others).tier;
            let days = policy.retention.of(tier).days_or_minus_one();
            let gone_at = (days > 0).then(|| at + TimeDelta::days(days.into()));
            there.push((
                index,
                TierSlot {
                    scheduled_at: at,
                    tier,
                },
                gone_at,
            ));
            let is_last = slots.peek().is_none_or(|next| next.0 != at);
            if is_last {
                most = most.max(there.len());
                for (index, policy) in policies.iter().enumerate() {
                    if let Some(keep_last) = policy.protection.keep_last {
                        keep(&mut there, index, keep_last);
                    }
                }
            }
        }
        days.insert(date, most);
        date = date.succ_opt().unwrap();
    }
    days.into_iter()
        .map(|(date, held)| Day { date, held })
        .collect()
}

fn keep(there: &mut Vec<(usize, TierSlot, Option<DateTime<Utc>>)>, index: usize, keep_last: usize) {
    let base =
        |one: &(usize, TierSlot, Option<DateTime<Utc>>)| one.0 == index && one.1.tier == Tier::Base;
    let mut surplus = there
        .iter()
        .filter(|one| base(one))
        .count()
        .saturating_sub(keep_last);
    there.retain(|one| {
        let goes = surplus > 0 && base(one);
        surplus -= usize::from(goes);
        !goes
    });
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let schedules = [
        "30 2 * * *",
        "0 */6 * * *",
        "15 1,13 * * 1-5",
        "0 0 1 * *",
        "0 3 * * 0",
        "*/50 * * * *",
    ];
    let periods = ["1d", "9d", "40d", "forever"];
    let tiers = proptest::collection::btree_map(1..4_usize, 0..4_usize, 0..3);
    let keep_last = proptest::option::of(2..9_usize);
    let parts = (0..schedules.len(), 0..periods.len(), tiers, keep_last);
    parts.prop_map(move |(schedule, base, tiers, keep_last)| {
        let longer: Vec<(Tier, &str)> = tiers
            .iter()
            .map(|(tier, period)| (Tier::ALL[*tier], periods[*period.max(&base)]))
            .collect();
        let mut policy = policy(
            "p",
            schedules[schedule],
            &["dw"],
            retentions(periods[base], &longer),
        );
        policy.protection.keep_last = keep_last;
        policy
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_date_and_the_peak_are_those_of_a_simulation_from_slot_to_slot(
        policies in proptest::collection::vec(any_policy(), 1..4),
        start in 0..366_i64,
        days in 1..120_u16,
    ) {
        let policies: Vec<Policy> = policies
            .into_iter()
            .enumerate()
            .map(|(index, policy)| Policy { name: format!("p{index}").parse().unwrap(), ..policy })
            .collect();
        let now = at("2026-01-01T10:20:00Z") + TimeDelta::days(start);
        let until = now + TimeDelta::days(days.into());
        let wanted = simulated(&policies, now, until);
        let got = forecast(&config(policies), &History::default(), now, days);
        let got = &got.scopes[0];
        prop_assert_eq!(&got.days, &wanted);
        let peak = wanted.iter().map(|day| day.held).max();
        prop_assert_eq!(Some(got.peak.held), peak);
    }
}

#[test]
fn a_keep_last_that_passes_cannot_keep_up_with_is_said() {
    let notes = |schedule: &str, clusters: &[&str], retention: &str| {
        let mut busy = policy("busy", schedule, clusters, retentions(retention, &[]));
        busy.protection.keep_last = Some(24);
        let forecast = forecast(
            &config(vec![busy]),
            &History::default(),
            at("2026-07-01T12:00:00Z"),
            2,
        );
        forecast.notes
    };
    let backlog = |made| vec![Note::Backlog("busy".parse().unwrap(), made, 120)];
    // Five clusters each hour are as many as are removed; six are more.
    assert_eq!(notes("0 * * * *", &["a", "b", "c", "d", "e"], "35d"), []);
    assert_eq!(
        notes("0 * * * *", &["a", "b", "c", "d", "e", "f"], "35d"),
        backlog(144)
    );
    assert_eq!(notes("*/5 * * * *", &["a"], "forever"), backlog(288));
    // What expires before it is surplus needs no pass.
    assert_eq!(
        notes("0 * * * *", &["a", "b", "c", "d", "e", "f"], "1d"),
        []
    );
}

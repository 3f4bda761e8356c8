//! The forecast against a simulation that goes from slot to slot, and by examples.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::config::{Endpoint, Log, LogFormat, LogLevel};
use crate::history::PairState;
use crate::names::Retention;
use crate::policy::{Account, ClusterGlob, Identity, Policy, Protection, Retentions, Selector};
use crate::retention::{Held, choose};
use crate::run::{Outcome, Request, Run, RunState};
use crate::schedule::Schedule;
use crate::slot::{Pair, Slot};
use crate::snapshot::{Generation, Snapshot, SnapshotId, Tier, Trigger};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn scope(region: &str) -> Scope {
    Scope {
        account: "prod".parse().unwrap(),
        region: region.parse().unwrap(),
    }
}

fn retentions(base: &str, longer: &[(Tier, &str)]) -> Retentions {
    let base = Retentions::from(base.parse::<Retention>().unwrap());
    let with = |retentions: Retentions, (tier, period): &(Tier, &str)| {
        retentions.with(*tier, period.parse().unwrap())
    };
    longer.iter().fold(base, with)
}

fn policy(name: &str, schedule: &str, clusters: &[&str], retention: Retentions) -> Policy {
    let (globs, literals): (Vec<&str>, Vec<&str>) =
        clusters.iter().partition(|name| name.contains('*'));
    Policy {
        name: name.parse().unwrap(),
        schedule: Schedule::parse(schedule, chrono_tz::Europe::Berlin).unwrap(),
        selector: Selector {
            literals: literals.iter().map(|name| name.parse().unwrap()).collect(),
            globs: globs
                .iter()
                .map(|glob| ClusterGlob::parse(glob).unwrap())
                .collect(),
            ..Selector::default()
        },
        scopes: vec![scope("eu-central-1")],
        retention,
        tags: Default::default(),
        jitter: TimeDelta::zero(),
        start_window: None,
        completion_window: TimeDelta::hours(24),
        catch_up: true,
        blackout: Vec::new(),
        enabled: true,
        rpo: None,
        protection: Protection::default(),
    }
}

fn config(policies: Vec<Policy>) -> Config {
    let scopes: BTreeSet<Scope> = policies
        .iter()
        .flat_map(|policy| policy.scopes.clone())
        .collect();
    Config {
        namespace: "redkeep".parse().unwrap(),
        state_dir: "state".into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        endpoint: Endpoint::Sandbox,
        writer: None,
        log: Log {
            format: LogFormat::Auto,
            level: LogLevel::Info,
        },
        accounts: vec![Account {
            name: "prod".parse().unwrap(),
            regions: scopes.into_iter().map(|scope| scope.region).collect(),
            snapshot_quota: 20,
            identity: Identity::default(),
        }],
        policies,
        warnings: Vec::new(),
    }
}

/// A good snapshot of an increment of 10 MB that is kept for so long.
fn good(policy: &Policy, cluster: &str, scheduled_at: &str, tier: Tier, days: i32) -> Run {
    let scheduled_at = at(scheduled_at);
    let slot = Slot {
        pair: Pair {
            policy: policy.name.clone(),
            scope: policy.scopes[0].clone(),
            cluster: cluster.parse().unwrap(),
        },
        scheduled_at,
    };
    let request = Request {
        snapshot_id: SnapshotId::derive(&"rk".parse().unwrap(), &slot, Generation::First),
        retention: "1d".parse().unwrap(),
        tier,
        tier_reason: None,
        tags: Default::default(),
        starts_at: scheduled_at,
        deadline: scheduled_at,
        completion_window: TimeDelta::hours(1),
        interval: TimeDelta::hours(1),
    };
    let mut run = Run::due(slot, Trigger::Schedule, request);
    run.state = RunState::Ended(Outcome::Available);
    run.snapshot = Some(Snapshot {
        snapshot_create_time: Some(scheduled_at),
        snapshot_retention_start_time: Some(scheduled_at),
        manual_snapshot_retention_period: Some(days),
        actual_incremental_backup_size_in_mega_bytes: Some(10.0),
        ..Snapshot::default()
    });
    run
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
        let state = PairState {
            active_from: at("2026-06-01T00:00:00Z"),
            watermark: at("2026-07-01T00:30:00Z"),
            schedule: "30 2 * * *".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            cluster_created_at: None,
            closed_at: None,
        };
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
    let peaks = forecast.scopes.iter().map(|scope| scope.peak.held);
    assert_eq!(peaks.collect::<Vec<_>>(), [6, 6]);
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
    let mut there: Vec<(usize, Held, Option<DateTime<Utc>>)> = Vec::new();
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
            let others: Vec<Held> = of_policy
                .map(|one| one.1)
                .filter(|held| held.tier != Tier::Base)
                .collect();
            let tier = choose(policy, at, &others).tier;
            let days = policy.retention.of(tier).days_or_minus_one();
            let gone_at = (days > 0).then(|| at + TimeDelta::days(days.into()));
            there.push((
                index,
                Held {
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

fn keep(there: &mut Vec<(usize, Held, Option<DateTime<Utc>>)>, index: usize, keep_last: usize) {
    let base =
        |one: &(usize, Held, Option<DateTime<Utc>>)| one.0 == index && one.1.tier == Tier::Base;
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

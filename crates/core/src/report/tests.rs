//! Counts, gaps, breaches and differences by examples, and the breaches against a walk from minute to minute.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::history::History;
use crate::names::Tier;
use crate::outline::Outline;
use crate::policy::Policy;
use crate::run::{Gone, GoneReason, Missed, RunState};
use crate::slot::{Pair, Scope, rfc3339};
use crate::snapshot::{Snapshot, tag};
use crate::test_fixtures::{active, at, config, good, policy, retentions, scope};

fn daily() -> Policy {
    policy("p", "0 2 * * *", &["dw"], retentions("7d", &[]))
}

fn snapshot_at(scheduled_at: &str) -> Run {
    good(&daily(), "dw", scheduled_at, Tier::Base, 7)
}

fn ended(scheduled_at: &str, outcome: Outcome) -> Run {
    let mut run = snapshot_at(scheduled_at);
    run.state = RunState::Ended(outcome);
    run
}

fn july() -> ReportPeriod {
    ReportPeriod {
        since: at("2026-07-01T00:00:00Z"),
        until: at("2026-08-01T00:00:00Z"),
    }
}

fn pair() -> Pair {
    snapshot_at("2026-07-01T00:00:00Z").slot.pair
}

fn reported(state: Option<&PairState>, rpo: Option<i64>, runs: &[Run]) -> PairReport {
    let rpo = rpo.map(TimeDelta::hours);
    let known = PairFacts {
        state,
        rpo,
        runs: tallied(runs),
        ranges: &[],
    };
    of_pair(known)
}

fn tallied(runs: &[Run]) -> Tally {
    let mut tally = Tally::new(july());
    runs.iter().for_each(|run| tally.add(run));
    tally
}

#[test]
fn every_slot_of_the_period_counts_once_and_what_was_wanted_so_is_no_finding() {
    let runs = [
        snapshot_at("2026-06-30T00:00:00Z"),
        snapshot_at("2026-07-01T00:00:00Z"),
        ended("2026-07-02T00:00:00Z", Outcome::Missed(Missed::Paused)),
        ended("2026-07-03T00:00:00Z", Outcome::Missed(Missed::Blackout)),
    ];
    let report = reported(None, None, &runs);
    assert_eq!((report.slots(), report.totals.available), (3, 1));
    assert_eq!((report.totals.missed, report.excused), (2, 2));
    assert!(!report.is_finding());
    for outcome in [
        Outcome::Missed(Missed::Late),
        Outcome::Skipped,
        Outcome::Failed("config".into()),
        Outcome::Expired("quota".into()),
        Outcome::Conflict("tags".to_owned()),
    ] {
        let more = [&runs[..], &[ended("2026-07-04T00:00:00Z", outcome)]].concat();
        assert!(reported(None, None, &more).is_finding());
    }
}

#[test]
fn a_range_counts_with_the_slots_that_lie_in_the_period() {
    let policy = policy("p", "*/10 * * * *", &["dw"], retentions("7d", &[]));
    let state = active(&policy, "2026-06-01T00:00:00Z", "2026-07-02T00:00:00Z");
    let range = |reason| MissedRange {
        pair: pair(),
        first_at: at("2026-06-30T00:00:00Z"),
        last_at: at("2026-07-01T23:50:00Z"),
        count: 288,
        reason,
    };
    for (state, wanted) in [(Some(&state), 144), (None, 144)] {
        let known = PairFacts {
            state,
            rpo: None,
            runs: tallied(&[]),
            ranges: &[range(Missed::Late)],
        };
        let report = of_pair(known);
        assert_eq!((report.totals.missed, report.excused), (wanted, 0));
        assert!(report.is_finding());
    }
    let known = PairFacts {
        state: None,
        rpo: None,
        runs: tallied(&[]),
        ranges: &[range(Missed::Disabled)],
    };
    assert!(!of_pair(known).is_finding());
}

#[test]
fn the_worst_gap_begins_before_the_period_and_may_be_the_one_that_is_open() {
    let mut runs = vec![
        snapshot_at("2026-06-20T00:00:00Z"),
        snapshot_at("2026-07-02T00:00:00Z"),
        snapshot_at("2026-07-25T00:00:00Z"),
    ];
    let gap = |runs: &[Run]| reported(None, None, runs).worst_gap.unwrap();
    let wanted = Gap {
        from: at("2026-07-02T00:00:00Z"),
        until: Some(at("2026-07-25T00:00:00Z")),
    };
    assert_eq!(gap(&runs), wanted);
    runs.pop();
    let open = gap(&runs);
    assert_eq!((open.from, open.until), (wanted.from, None));
    assert_eq!(open.length(july()), TimeDelta::days(30));
    assert_eq!(reported(None, None, &[]).worst_gap, None);
}

#[test]
fn a_breach_lasts_from_the_newest_snapshots_age_to_the_next_snapshot() {
    let state = active(&daily(), "2026-06-01T00:00:00Z", "2026-07-31T00:00:00Z");
    let runs = [
        snapshot_at("2026-06-29T00:00:00Z"),
        snapshot_at("2026-07-02T00:00:00Z"),
        snapshot_at("2026-07-03T00:00:00Z"),
    ];
    let breaches = reported(Some(&state), Some(26), &runs).breaches;
    let gap = |from: &str, until: Option<&str>| Gap {
        from: at(from),
        until: until.map(at),
    };
    let wanted = [
        gap("2026-06-30T02:00:00Z", Some("2026-07-02T00:00:00Z")),
        gap("2026-07-04T02:00:00Z", None),
    ];
    assert_eq!(breaches, wanted);
    let closed = PairState {
        closed_at: Some(at("2026-07-06T00:00:00Z")),
        ..state.clone()
    };
    let breaches = reported(Some(&closed), Some(26), &runs).breaches;
    let last = gap("2026-07-04T02:00:00Z", Some("2026-07-06T00:00:00Z"));
    assert_eq!(breaches.last(), Some(&last));
    assert!(
        reported(Some(&state), Some(40 * 24), &runs)
            .breaches
            .is_empty()
    );
}

#[test]
fn without_a_good_snapshot_the_age_counts_from_the_activation() {
    let state = active(&daily(), "2026-07-10T00:00:00Z", "2026-07-10T00:00:00Z");
    let breaches = reported(Some(&state), Some(24), &[]).breaches;
    let wanted = Gap {
        from: at("2026-07-11T00:00:00Z"),
        until: None,
    };
    assert_eq!(breaches, [wanted]);
}

#[test]
fn a_snapshot_that_somebody_deletes_makes_the_pair_as_old_as_the_one_before_it() {
    let mut newest = snapshot_at("2026-07-02T00:00:00Z");
    newest.gone = Some(Gone {
        at: at("2026-07-02T06:00:00Z"),
        reason: GoneReason::Deleted,
    });
    let runs = [
        snapshot_at("2026-07-01T00:00:00Z"),
        newest,
        snapshot_at("2026-07-02T12:00:00Z"),
    ];
    let breaches = reported(None, Some(26), &runs).breaches;
    let wanted = Gap {
        from: at("2026-07-02T06:00:00Z"),
        until: Some(at("2026-07-02T12:00:00Z")),
    };
    assert_eq!(breaches[0], wanted);
}

fn listed(run: &Run, namespace: &str) -> std::sync::Arc<Snapshot> {
    let pair = &run.slot.pair;
    let scheduled_at = rfc3339(run.slot.scheduled_at);
    let tags = [
        (tag::NAMESPACE, namespace),
        (tag::POLICY, pair.policy.as_str()),
        (tag::CLUSTER, pair.cluster.as_str()),
        (tag::SLOT, &scheduled_at),
    ];
    std::sync::Arc::new(Snapshot {
        snapshot_identifier: run.request.snapshot_id.to_string(),
        tags: tags
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Snapshot::default()
    })
}

#[test]
fn what_is_recorded_and_what_aws_holds_are_compared_both_ways() {
    let config = config(vec![daily()]);
    let [kept, lost, over, new] = [1, 2, 3, 4].map(|day| {
        let days = if day == 3 { 1 } else { -1 };
        let scheduled_at = format!("2026-07-0{day}T00:00:00Z");
        good(&daily(), "dw", &scheduled_at, Tier::Base, days)
    });
    let mut history = History::default();
    for run in [&kept, &lost, &over] {
        history.insert(run.clone());
    }
    let foreign = good(&daily(), "dw", "2026-07-05T00:00:00Z", Tier::Base, 7);
    let there = vec![
        listed(&kept, "redkeep"),
        listed(&new, "redkeep"),
        listed(&foreign, "other"),
    ];
    let now = at("2026-07-10T00:00:00Z");
    let held = |held| BTreeMap::<Scope, Inventory>::from([(scope("eu-central-1"), held)]);
    let found = differences(
        &config,
        &Outline::from(&history),
        &held(Inventory::At(there)),
        now,
    );
    let wanted = Differences {
        not_at_aws: vec![lost.request.snapshot_id.to_string()],
        not_recorded: vec![new.request.snapshot_id.to_string()],
    };
    assert_eq!(found, BTreeMap::from([(pair(), wanted)]));
    let unknown = held(Inventory::Unknown("timeout".to_owned()));
    assert!(differences(&config, &Outline::from(&history), &unknown, now).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_breaches_are_the_hours_in_which_the_newest_snapshot_is_too_old(
        goods in proptest::collection::vec((-300..900_i64, proptest::option::of(0..400_i64)), 0..12),
        activated in -200..900_i64,
        rpo in 1..200_i64,
    ) {
        let hour = |hours: i64| july().since + TimeDelta::hours(hours);
        let runs: Vec<Run> = goods.iter().map(|(created, lasts)| {
            let mut run = snapshot_at(&crate::slot::rfc3339(hour(*created)));
            run.gone = lasts.map(|lasts| Gone { at: hour(created + lasts + 1), reason: GoneReason::Expired });
            run
        }).collect();
        let state = active(&daily(), &crate::slot::rfc3339(hour(activated)), "2026-07-01T00:00:00Z");
        let breaches = reported(Some(&state), Some(rpo), &runs).breaches;
        for number in 0..31 * 24 {
            let now = hour(number) + TimeDelta::minutes(30);
            let there = runs.iter().filter(|run| {
                let gone = run.gone.as_ref().map(|gone| gone.at);
                run.created_at().unwrap() <= now && gone.is_none_or(|gone| gone > now)
            });
            let newest = there.filter_map(Run::created_at).max();
            let from = newest.or(Some(state.active_from).filter(|from| *from <= now));
            let is_old = from.is_some_and(|from| now - from > TimeDelta::hours(rpo));
            let is_told = breaches.iter().any(|gap| {
                gap.from <= now && gap.until.unwrap_or(july().until) > now
            });
            prop_assert_eq!(is_old, is_told, "{} {:?}", now, &breaches);
        }
        for pair in breaches.windows(2) {
            prop_assert!(pair[0].until.unwrap() < pair[1].from);
        }
    }
}

#[test]
fn a_report_keeps_two_instants_of_a_run_and_no_more() {
    assert!(size_of::<Lifespan>() <= 32, "{}", size_of::<Lifespan>());
    let mut tally = Tally::new(july());
    for _ in 0..1000 {
        tally.add(&snapshot_at("2026-07-01T00:00:00Z"));
        tally.add(&ended("2026-07-02T00:00:00Z", Outcome::Skipped));
    }
    assert_eq!(
        tally.goods.len(),
        1000,
        "only a good snapshot is kept in mind"
    );
}

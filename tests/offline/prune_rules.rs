//! The decision which snapshots go, against a second reading of the rules.
//!
//! The oracle goes snapshot by snapshot through the conditions as the documentation lists them (docs/retention.md,
//! "A snapshot goes only if all of this holds"), with counts of its own, and knows nothing of the order in which the
//! product asks.

#![expect(
    clippy::unwrap_used,
    reason = "what helpers unwrap is the test's own ground; its failure is the test's failure"
)]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use redkeep::names::Writer;
use redkeep::operations::Why;
use redkeep::retention::prune::{Item, Rules, Verdict, verdicts};
use redkeep::snapshot::Snapshot;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// What a snapshot may look like; most are ordinary, so that something goes.
#[derive(Debug, Clone)]
struct Drawn {
    age_hours: i64,
    status: &'static str,
    tier: &'static str,
    trigger: &'static str,
    writer: &'static str,
    incarnation: Option<u8>,
    is_held: bool,
    is_shared: bool,
    is_proven: bool,
}

fn mostly<T: Clone + std::fmt::Debug + 'static>(
    usual: T,
    others: Vec<T>,
) -> impl Strategy<Value = T> {
    prop_oneof![12 => Just(usual), 1 => proptest::sample::select(others)]
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let own = (
        0_i64..400,
        mostly("available", vec!["failed", "creating", "odd"]),
        mostly("base", vec!["weekly", "monthly", "yearly", "strange", ""]),
        mostly("schedule", vec!["manual", ""]),
        mostly("me", vec!["another", ""]),
    );
    let more = (
        mostly(Some(1), vec![Some(2), None]),
        mostly(false, vec![true]),
        mostly(false, vec![true]),
        mostly(true, vec![false]),
    );
    (own, more).prop_map(
        |(
            (age_hours, status, tier, trigger, writer),
            (incarnation, is_held, is_shared, is_proven),
        )| {
            Drawn {
                age_hours,
                status,
                tier,
                trigger,
                writer,
                incarnation,
                is_held,
                is_shared,
                is_proven,
            }
        },
    )
}

fn snapshot(number: usize, drawn: &Drawn) -> Snapshot {
    let mut tags = BTreeMap::new();
    for (key, value) in [
        ("redkeep:tier", drawn.tier),
        ("redkeep:trigger", drawn.trigger),
        ("redkeep:writer", drawn.writer),
        ("redkeep:hold", if drawn.is_held { "35" } else { "" }),
    ] {
        if !value.is_empty() {
            tags.insert(key.to_owned(), value.to_owned());
        }
    }
    let shared = drawn.is_shared.then(Default::default);
    Snapshot {
        snapshot_identifier: format!("s{number}"),
        snapshot_create_time: Some(created_at(drawn)),
        status: Some(drawn.status.to_owned()),
        cluster_create_time: drawn
            .incarnation
            .map(|number| DateTime::from_timestamp(1_700_000_000 + i64::from(number), 0).unwrap()),
        accounts_with_restore_access: shared.into_iter().collect(),
        tags,
        ..Snapshot::default()
    }
}

fn created_at(drawn: &Drawn) -> DateTime<Utc> {
    now() - TimeDelta::hours(drawn.age_hours)
}

/// A good one: proven to be redkeep's, complete, and of a cluster that is known.
fn is_good(one: &Drawn) -> bool {
    one.is_proven && one.status == "available" && one.incarnation.is_some()
}

/// Whether the snapshot goes, by the letter of the rules.
fn goes(
    of: usize,
    all: &[Drawn],
    keep_last: usize,
    min_good: usize,
    alive: bool,
    interval: i64,
) -> bool {
    let one = &all[of];
    // The list is the newest first.
    let newer = || all[..of].iter();
    let ours = one.is_proven && one.writer == "me" && !one.is_held && !one.is_shared;
    let known = one.incarnation.is_some() && alive;
    if one.status == "failed" {
        return ours && known && one.age_hours >= 7 * 24;
    }
    let base = |one: &&Drawn| is_good(one) && one.tier == "base" && one.trigger == "schedule";
    let of_same = |other: &&Drawn| is_good(other) && other.incarnation == one.incarnation;
    let fresh = all
        .iter()
        .filter(|one| is_good(one))
        .map(|one| one.age_hours)
        .min();
    let conditions = [
        ours,
        known,
        one.status == "available",
        one.tier == "base",
        one.trigger == "schedule",
        newer().filter(base).count() >= keep_last,
        newer().filter(of_same).count() >= min_good.max(1),
        fresh.is_some_and(|age| age < 2 * interval),
    ];
    conditions.iter().all(|holds| *holds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_goes_is_what_the_rules_let_go_and_the_last_good_ones_are_left(
        mut all in proptest::collection::vec(drawn(), 0..24),
        keep_last in 1_usize..8, min_good in 0_usize..4, alive in mostly(true, vec![false]),
        interval_hours in prop_oneof![Just(1_i64), Just(24), Just(24 * 7)],
    ) {
        all.sort_by_key(|one| one.age_hours);
        let snapshots: Vec<Snapshot> =
            all.iter().enumerate().map(|(number, one)| snapshot(number, one)).collect();
        let items: Vec<Item<'_>> = snapshots
            .iter()
            .zip(&all)
            .map(|(listed, one)| Item { listed, is_proven: one.is_proven })
            .collect();
        let writer: Writer = "me".parse().unwrap();
        let rules = Rules {
            writer: &writer,
            keep_last,
            min_good,
            interval: Some(TimeDelta::hours(interval_hours)),
            is_alive: alive,
        };
        let verdicts = verdicts(rules, &items, now());
        let went: Vec<bool> =
            verdicts.iter().map(|verdict| matches!(verdict, Verdict::Remove(_))).collect();
        let wanted: Vec<bool> = (0..all.len())
            .map(|of| goes(of, &all, keep_last, min_good, alive, interval_hours))
            .collect();
        prop_assert_eq!(&went, &wanted, "{:#?}", all);

        // Whatever went, of each cluster the newest good ones are there, and the newest of all.
        let surplus = |verdict: &Verdict| *verdict == Verdict::Remove(Why::Surplus);
        for incarnation in [1, 2] {
            let good: Vec<usize> = (0..all.len())
                .filter(|of| is_good(&all[*of]) && all[*of].incarnation == Some(incarnation))
                .collect();
            let left = good.iter().filter(|of| !surplus(&verdicts[**of])).count();
            prop_assert!(left >= good.len().min(min_good.max(1)), "{incarnation}");
        }
        // Where the interval is not known nothing goes but what failed.
        let unknown = Rules { interval: None, ..rules };
        let verdicts = redkeep::retention::prune::verdicts(unknown, &items, now());
        prop_assert!(!verdicts.iter().any(surplus));
    }
}

#[test]
fn something_goes_in_a_plain_list() {
    let plain = |age_hours| Drawn {
        age_hours,
        status: "available",
        tier: "base",
        trigger: "schedule",
        writer: "me",
        incarnation: Some(1),
        is_held: false,
        is_shared: false,
        is_proven: true,
    };
    let all: Vec<Drawn> = (0..6).map(|day| plain(day * 24)).collect();
    let goes: Vec<bool> = (0..6).map(|of| goes(of, &all, 3, 2, true, 24)).collect();
    assert_eq!(goes, [false, false, false, true, true, true]);
}

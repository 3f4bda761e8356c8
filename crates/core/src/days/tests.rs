//! Days on real clocks, and the fold of a day.

use super::*;
use crate::names::{Retention, Tier};
use crate::policy::Retentions;
use crate::run::RunState;
use crate::test_fixtures::{at, good, policy};
use crate::tzdb;

fn zone(name: &str) -> Zone {
    tzdb::bundled(name).unwrap()
}

fn forever() -> Retentions {
    Retention::Forever.into()
}

fn shown(days: &[Day]) -> Vec<String> {
    let hours = |day: &Day| (day.until - day.from).num_minutes();
    days.iter()
        .map(|day| format!("{} {}", day.date, hours(day)))
        .collect()
}

#[test]
fn days_are_as_long_as_the_clocks_make_them() {
    let days = days(&zone("Europe/Berlin"), at("2026-10-26T12:00:00Z"), 3);
    assert_eq!(
        shown(&days),
        ["2026-10-24 1440", "2026-10-25 1500", "2026-10-26 1440"]
    );
    assert_eq!(days[0].from, at("2026-10-23T22:00:00Z"));
    assert_eq!(days[2].until, at("2026-10-26T23:00:00Z"));
}

#[test]
fn a_date_that_the_zone_skipped_is_none_and_one_whose_midnight_is_skipped_begins_later() {
    let samoa = days(&zone("Pacific/Apia"), at("2011-12-31T12:00:00Z"), 3);
    let dates: Vec<String> = samoa.iter().map(|day| day.date.to_string()).collect();
    assert_eq!(dates, ["2011-12-29", "2011-12-31", "2012-01-01"]);
    assert!(samoa.windows(2).all(|two| two[0].until == two[1].from));
    let beirut = days(&zone("Asia/Beirut"), at("2026-03-29T12:00:00Z"), 1);
    assert_eq!(shown(&beirut), ["2026-03-29 1380"]);
}

#[test]
fn an_instant_belongs_to_the_day_that_the_clocks_show() {
    let days = days(&zone("Europe/Berlin"), at("2026-11-24T12:00:00Z"), 2);
    for (instant, wanted) in [
        ("2026-11-22T22:59:59Z", None),
        ("2026-11-22T23:00:00Z", Some(0)),
        ("2026-11-23T22:59:59Z", Some(0)),
        ("2026-11-23T23:00:00Z", Some(1)),
        ("2026-11-24T23:00:00Z", None),
    ] {
        assert_eq!(place(&days, at(instant)), wanted, "{instant}");
    }
}

#[test]
fn the_worst_of_a_day_stands_for_it_and_an_excuse_for_nothing_but_itself() {
    use OutcomeKind::{Available, Conflict, Expired, Failed, Missed, Skipped};
    type Ended<'a> = &'a [(OutcomeKind, Option<&'a str>)];
    let cases: [(Ended<'_>, &str); 10] = [
        (&[], "nothing due"),
        (&[(Available, None)], "available"),
        (&[(Missed, Some("paused"))], "missed"),
        (&[(Missed, Some("paused")), (Available, None)], "available"),
        (&[(Available, None), (Skipped, Some("overlap"))], "skipped"),
        (&[(Missed, Some("late")), (Skipped, None)], "missed"),
        (&[(Missed, Some("coalesced")), (Expired, None)], "expired"),
        (&[(Failed, None), (Expired, None)], "failed"),
        (&[(Failed, None), (Conflict, None)], "conflict"),
        (&[(Missed, None)], "missed"),
    ];
    for (ended, wanted) in cases {
        let mut tally = DayTally::default();
        for (kind, reason) in ended {
            tally.ended(*kind, *reason, 1);
        }
        assert_eq!(tally.outcome().word(), wanted, "{ended:?}");
    }
    let mut tally = DayTally::default();
    tally.ended(Missed, Some("blackout"), 3);
    assert_eq!(
        tally.outcome(),
        DayOutcome::Excused(crate::run::Missed::Blackout)
    );
    assert_eq!(tally.count(), 3);
}

#[test]
fn an_open_run_is_its_state_until_it_should_have_ended() {
    let policy = policy("nightly", "30 2 * * *", &["dw"], forever());
    let mut run = good(&policy, "dw", "2026-11-24T01:30:00Z", Tier::Base, 1);
    run.request.deadline = at("2026-11-24T05:30:00Z");
    run.state = RunState::Due;
    run.snapshot = None;
    let judged = |run: &Run, now: &str| {
        let mut tally = DayTally::default();
        tally.open(run, at(now));
        tally.outcome().word()
    };
    assert_eq!(judged(&run, "2026-11-24T05:30:30Z"), "due");
    assert_eq!(judged(&run, "2026-11-24T05:31:01Z"), "overdue");
    run.accepted_at = Some(at("2026-11-24T01:30:02Z"));
    run.state = RunState::Creating {
        look_at: at("2026-11-24T01:31:00Z"),
    };
    assert_eq!(judged(&run, "2026-11-24T02:30:02Z"), "creating");
    assert_eq!(judged(&run, "2026-11-24T02:30:03Z"), "overdue");
}

#[test]
fn a_range_of_missed_slots_is_on_the_days_of_its_slots_and_slots_without_a_record_are_overdue() {
    let policy = policy("weekly", "0 12 * * 1", &["dw"], forever());
    let now = at("2026-11-24T12:00:00Z");
    let days = days(policy.schedule.timezone(), now, 10);
    let mut tallies = vec![DayTally::default(); days.len()];
    let run = good(&policy, "dw", "2026-11-16T11:00:00Z", Tier::Base, 1);
    let range = MissedRange {
        pair: run.slot.pair,
        first_at: at("2025-01-06T11:00:00Z"),
        last_at: at("2026-11-16T11:00:00Z"),
        count: 98,
        reason: Missed::Late,
    };
    add_range(&mut tallies, &days, &policy.schedule, &range);
    add_unrecorded(&mut tallies, &days, &policy.schedule, range.last_at, now);
    let words: Vec<_> = days
        .iter()
        .zip(&tallies)
        .filter(|(_, tally)| tally.outcome() != DayOutcome::NothingDue)
        .map(|(day, tally)| format!("{} {}", day.date, tally.outcome().word()))
        .collect();
    assert_eq!(words, ["2026-11-16 missed", "2026-11-23 overdue"]);
}

#[test]
fn a_slot_that_has_just_come_is_not_overdue() {
    let policy = policy("daily", "0 12 * * *", &["dw"], forever());
    let judged = |now: &str| {
        let days = days(policy.schedule.timezone(), at(now), 1);
        let mut tallies = vec![DayTally::default()];
        let before = at("2026-11-23T11:00:00Z");
        add_unrecorded(&mut tallies, &days, &policy.schedule, before, at(now));
        tallies[0].outcome()
    };
    assert_eq!(judged("2026-11-24T11:00:59Z"), DayOutcome::NothingDue);
    assert_eq!(judged("2026-11-24T11:01:00Z"), DayOutcome::Overdue);
}

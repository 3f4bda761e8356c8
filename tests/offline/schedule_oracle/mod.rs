//! The schedules against a brute-force reading of docs/semantics.md section 1.
//!
//! The oracle has its own cron matcher and knows no calendar arithmetic: it writes down what the clock
//! shows at every minute (or second) of a few days around a clock change, and looks the slots up in
//! that list. Its clocks are chrono-tz's, whose data and code the code under test has no
//! part of; that data is of 2025, so zones and years are left out that IANA has changed since.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test, which may fail by panicking"
)]

mod clock;
mod cron;

use chrono::{DateTime, NaiveDate, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use redkeep::schedule::Schedule;
use redkeep::tzdb::bundled;

use self::clock::Clock;
use self::cron::Oracle;

/// A zone and the years whose clock changes are looked at.
const ZONES: [(&str, i32, i32); 26] = [
    ("UTC", 2024, 2024),
    ("America/New_York", 2024, 2027),
    ("Europe/Berlin", 2024, 2027),
    ("Europe/Dublin", 2023, 2026),
    ("Australia/Lord_Howe", 2024, 2027),
    ("Australia/Sydney", 2023, 2026),
    ("America/Havana", 2022, 2025),
    ("Asia/Beirut", 2022, 2026),
    ("America/Sao_Paulo", 2016, 2019),
    ("America/Asuncion", 2019, 2024),
    ("America/Santiago", 2021, 2026),
    ("America/St_Johns", 2008, 2012),
    ("America/Scoresbysund", 2022, 2026),
    ("Asia/Tehran", 2018, 2022),
    ("Asia/Gaza", 2019, 2023),
    ("Asia/Amman", 2019, 2022),
    ("Africa/Casablanca", 2023, 2025),
    ("Africa/Cairo", 2023, 2026),
    ("Pacific/Chatham", 2022, 2027),
    ("Pacific/Apia", 2009, 2021),
    ("Pacific/Kwajalein", 1993, 1993),
    ("Asia/Kathmandu", 1985, 1987),
    ("Asia/Pyongyang", 2015, 2018),
    ("America/Caracas", 2007, 2016),
    ("Antarctica/Troll", 2022, 2026),
    ("America/Toronto", 1918, 1922),
];

const SCHEDULES: [&str; 35] = [
    "30 2 * * *",
    "0 0 * * *",
    "30 1 * * *",
    "15 0 * * *",
    "45 23 * * *",
    "0 3 * * *",
    "30 2,14 * * *",
    "5 0-4 * * *",
    "0,15,30,45 1,2,3 * * *",
    "59 23,0 * * 1-5",
    "0-59 0-3 * * *",
    "*/15 * * * *",
    "* * * * *",
    "7-59/13 2 * * *",
    "20 * * * *",
    "*/20 0-2 * * SUN",
    "0 */6 * * *",
    "0 1-23/2 * * *",
    "30 2 L * *",
    "30 0 15W * *",
    "0 2 1W * *",
    "15 2 LW * *",
    "30 2 * * SUN#2",
    "30 1 * * 0L",
    "*/30 2 * * 0L",
    "30 2 * * SAT#5",
    "45 2 1,15 * 0",
    "*/10 1 8-14 MAR,OCT,NOV SUN",
    "0 0 ? APR-OCT 7",
    "30 2 31 * FRI-SUN",
    "0 2 29 2 *",
    "59 1 */2 * *",
    "0,30 0,23 * * SAT",
    "@hourly",
    "@weekly",
];

const WITH_SECONDS: [&str; 9] = [
    "30 30 2 * * *",
    "0,30 59 1-3 * * *",
    "*/10 * * * * *",
    "5 */15 * * * *",
    "59 59 * * * *",
    "0 0 2,3 * * *",
    "0-59 30 1,2 * * *",
    "15 0-59 2 * * SUN",
    "7 7 0,23 * * *",
];

#[test]
fn slots_around_every_clock_change_are_those_of_the_oracle() {
    let mut compared = 0;
    for (zone, windows) in changes() {
        let schedules = SCHEDULES.map(|text| Case::new(text, zone));
        for (from, until) in windows {
            let clock = Clock::read(zone, from, until, 60);
            for case in &schedules {
                compared += case.compare(&clock).unwrap();
            }
        }
    }
    assert!(compared > 100_000, "only {compared} slots compared");
}

#[test]
fn slots_of_ordinary_month_ends_are_those_of_the_oracle() {
    for zone in ["UTC", "Europe/Berlin", "Asia/Kathmandu"].map(tz) {
        let schedules = SCHEDULES.map(|text| Case::new(text, zone));
        for month in 0..14 {
            let first = NaiveDate::from_ymd_opt(2023 + month / 12, month as u32 % 12 + 1, 1);
            let from = first.unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc() - TimeDelta::days(4);
            let clock = Clock::read(zone, from, from + TimeDelta::days(7), 60);
            for case in &schedules {
                case.compare(&clock).unwrap();
            }
        }
    }
}

#[test]
fn schedules_with_seconds_are_those_of_the_oracle() {
    // Its offset had seconds until 1972, so that no minute list would do.
    let monrovia = changes_of([("Africa/Monrovia", 1971, 1972)]);
    for (zone, windows) in changes().into_iter().chain(monrovia) {
        let schedules = WITH_SECONDS.map(|text| Case::new(text, zone));
        for (from, until) in windows.into_iter().skip(1).take(2) {
            let middle = from + (until - from) / 2;
            let hours = TimeDelta::hours(2);
            let clock = Clock::read(zone, middle - hours, middle + hours, 1);
            for case in &schedules {
                case.compare(&clock).unwrap();
            }
        }
    }
}

#[test]
fn single_questions_get_the_answer_of_the_list() {
    for (zone, windows) in changes() {
        let schedules = SCHEDULES.map(|text| Case::new(text, zone));
        for (from, until) in windows.into_iter().take(2) {
            let clock = Clock::read(zone, from, until, 60);
            for case in &schedules {
                case.question(&clock);
            }
        }
    }
}

#[test]
fn the_longest_interval_is_that_of_the_list() {
    for (zone, from, until) in [
        (
            "America/New_York",
            "2025-03-01T00:00:00Z",
            "2025-03-20T00:00:00Z",
        ),
        (
            "America/New_York",
            "2025-10-25T03:07:00Z",
            "2025-11-10T00:00:00Z",
        ),
        (
            "Australia/Lord_Howe",
            "2025-04-01T00:00:00Z",
            "2025-04-20T00:00:00Z",
        ),
        (
            "America/Havana",
            "2025-03-01T00:00:00Z",
            "2025-03-20T00:00:00Z",
        ),
        (
            "Pacific/Apia",
            "2011-12-20T00:00:00Z",
            "2012-01-05T00:00:00Z",
        ),
        // The gap ends at midnight: Saturday's last slots open a Sunday that has none of its own.
        (
            "America/Scoresbysund",
            "2025-03-29T12:00:00Z",
            "2025-03-31T12:00:00Z",
        ),
        (
            "America/Toronto",
            "1919-03-20T00:00:00Z",
            "1919-04-10T00:00:00Z",
        ),
    ] {
        let (from, until) = (instant(from), instant(until));
        for text in SCHEDULES.iter().chain(&WITH_SECONDS) {
            let schedule = Schedule::parse(text, bundled(zone).unwrap()).unwrap();
            let mut slots: Vec<_> = schedule.slots_between(from, until).collect();
            let last = slots.last().copied().unwrap_or(from);
            slots.extend(schedule.next_after(last));
            if slots.len() == 1 {
                slots.extend(schedule.next_after(slots[0]));
            }
            let longest = slots.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert_eq!(
                schedule.longest_interval(from, until),
                longest,
                "{text} in {zone}"
            );
        }
    }
}

#[test]
fn the_oracle_itself_reads_the_rules_as_written() {
    let new_york = |text, day: &str| {
        let from = instant(&format!("{day}T00:00:00Z"));
        let clock = Clock::read(tz("America/New_York"), from, from + TimeDelta::days(1), 60);
        let slots = clock.slots(&Oracle::parse(text));
        slots
            .iter()
            .map(|s| s.format("%H:%M").to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(new_york("30 2 * * *", "2025-03-09"), ["07:00"], "gap");
    assert_eq!(new_york("30 1 * * *", "2025-11-02"), ["05:30"], "fold");
    let fold = ["05:00", "05:30", "06:00", "06:30"];
    assert_eq!(
        new_york("*/30 1 * * *", "2025-11-02"),
        fold,
        "interval in the fold"
    );
    assert!(
        new_york("*/30 2 * * *", "2025-03-09").is_empty(),
        "interval in the gap"
    );
}

#[test]
fn the_comparison_can_fail() {
    let zone = tz("America/New_York");
    let from = instant("2025-03-08T00:00:00Z");
    let clock = Clock::read(zone, from, from + TimeDelta::days(3), 60);
    for (oracle, schedule) in [
        ("30 2 * * *", "*/30 2 * * *"),
        ("*/30 2 * * *", "0,30 2 * * *"),
        ("0 0 1 * 1", "0 0 * * 1"),
        ("30 2 * * *", "31 2 * * *"),
    ] {
        let mut case = Case::new(oracle, zone);
        assert!(case.compare(&clock).is_ok(), "{oracle} itself");
        case.schedule = Schedule::parse(schedule, bundled(zone.name()).unwrap()).unwrap();
        let same = oracle == "0 0 1 * 1";
        assert_eq!(
            case.compare(&clock).is_ok(),
            same,
            "{oracle} against {schedule}"
        );
    }
}

/// A schedule and the oracle's reading of the same text.
struct Case {
    text: &'static str,
    schedule: Schedule,
    oracle: Oracle,
}

impl Case {
    fn new(text: &'static str, zone: Tz) -> Self {
        let schedule = Schedule::parse(text, bundled(zone.name()).unwrap()).unwrap();
        let oracle = Oracle::parse(text);
        assert_eq!(schedule.is_fixed_time(), oracle.fixed_time, "{text}");
        Self {
            text,
            schedule,
            oracle,
        }
    }

    fn compare(&self, clock: &Clock) -> Result<usize, String> {
        let wanted = clock.slots(&self.oracle);
        let got: Vec<_> = self
            .schedule
            .slots_between(clock.from, clock.until)
            .collect();
        if got == wanted {
            return Ok(got.len());
        }
        let (text, zone) = (self.text, self.schedule.timezone());
        let differs = |a: &[DateTime<Utc>], b: &[DateTime<Utc>]| -> Vec<_> {
            a.iter()
                .filter(|slot| !b.contains(slot))
                .take(5)
                .copied()
                .collect()
        };
        Err(format!(
            "{text} in {zone} after {}: missing {:?}, surplus {:?}",
            clock.from,
            differs(&wanted, &got),
            differs(&got, &wanted),
        ))
    }

    /// `next_after` and `latest_in` at odd instants, which fall into gaps and folds too.
    fn question(&self, clock: &Clock) {
        let slots = clock.slots(&self.oracle);
        let mut t = clock.from;
        while t < clock.until {
            let at = slots.partition_point(|slot| *slot <= t);
            if let Some(next) = slots.get(at) {
                let got = self.schedule.next_after(t);
                assert_eq!(got, Some(*next), "{} after {t}", self.text);
            }
            let latest = self.schedule.latest_in(clock.from, t);
            let wanted = at.checked_sub(1).map(|i| slots[i]);
            assert_eq!(latest, wanted, "{} before {t}", self.text);
            t += TimeDelta::milliseconds(97 * 60_000 + 500);
        }
    }
}

type Window = (DateTime<Utc>, DateTime<Utc>);

/// For each zone the 30 hours on both sides of each change of its offset, and the start of the years.
fn changes() -> Vec<(Tz, Vec<Window>)> {
    changes_of(ZONES)
}

fn changes_of<const N: usize>(zones: [(&str, i32, i32); N]) -> Vec<(Tz, Vec<Window>)> {
    let windows = |(name, first, last): (&str, i32, i32)| {
        let zone = tz(name);
        let midnight = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
        let offset = |t: DateTime<Utc>| zone.offset_from_utc_datetime(&t.naive_utc()).fix();
        let (day, hour, mut t) = (TimeDelta::days(1), TimeDelta::hours(1), midnight(first));
        let mut found = vec![(t - day, t + day)];
        while t < midnight(last + 1) {
            if offset(t) != offset(t + day) {
                let change = (1..=24)
                    .map(|h| t + hour * h)
                    .find(|x| offset(*x) != offset(t));
                found.push((change.unwrap() - hour * 30, change.unwrap() + hour * 30));
            }
            t += day;
        }
        (zone, found)
    };
    zones.into_iter().map(windows).collect()
}

fn tz(name: &str) -> Tz {
    name.parse().unwrap()
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

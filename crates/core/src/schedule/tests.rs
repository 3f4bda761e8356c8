//! Scenarios 1 to 6 of docs/scenarios.md, the errors, windows and jitter.

use super::*;
use crate::tzdb::bundled;
use chrono::{DateTime, TimeDelta, Utc};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::parse(text, bundled(zone).unwrap()).unwrap()
}

fn error(text: &str) -> String {
    Schedule::parse(text, Zone::utc()).unwrap_err().to_string()
}

/// The slots of a local date, as the clock of the zone shows them.
fn on(text: &str, zone: &str, date: &str) -> Vec<String> {
    let schedule = schedule(text, zone);
    let noon = at(&format!("{date}T12:00:00Z"));
    let two_days = TimeDelta::days(2);
    let slots = schedule.slots_between(noon - two_days, noon + two_days);
    slots
        .map(|slot| schedule.timezone().local(slot).to_rfc3339())
        .filter_map(|local| local.strip_prefix(&format!("{date}T")).map(str::to_owned))
        .collect()
}

#[test]
fn slots_follow_the_clock_changes() {
    let hourly_fold = ["01:00:00-04:00", "01:00:00-05:00"];
    #[rustfmt::skip]
    let table: &[(&str, &str, &str, &str, &[&str])] = &[
        ("1: a fixed time in the gap runs once after it",
            "30 2 * * *", "America/New_York", "2025-03-09", &["03:00:00-04:00"]),
        ("a slot right after the gap coincides with one inside it",
            "30 2,3 * * *", "America/New_York", "2025-03-09", &["03:00:00-04:00", "03:30:00-04:00"]),
        ("coinciding slots are one",
            "0 2,3 * * *", "America/New_York", "2025-03-09", &["03:00:00-04:00"]),
        ("2: a fixed time in the fold runs in the first copy",
            "30 1 * * *", "America/New_York", "2025-11-02", &["01:30:00-04:00"]),
        ("3: two values in the gap are two runs",
            "30 2,14 * * *", "Europe/Berlin", "2025-03-30", &["03:00:00+02:00", "14:30:00+02:00"]),
        ("3: two values in the fold are two runs",
            "30 2,14 * * *", "Europe/Berlin", "2025-10-26", &["02:30:00+02:00", "14:30:00+01:00"]),
        ("4: an interval fires in both copies",
            "*/15 1 * * *", "America/New_York", "2025-11-02",
            &["01:00:00-04:00", "01:15:00-04:00", "01:30:00-04:00", "01:45:00-04:00",
              "01:00:00-05:00", "01:15:00-05:00", "01:30:00-05:00", "01:45:00-05:00"]),
        ("an hourly schedule fires in both copies",
            "0 1-1/1 * * *", "America/New_York", "2025-11-02", &hourly_fold),
        ("an interval does not fire in the gap",
            "*/15 2 * * *", "America/New_York", "2025-03-09", &[]),
        ("5: a skipped midnight in Havana is 01:00 the same day",
            "0 0 * * *", "America/Havana", "2025-03-09", &["01:00:00-04:00"]),
        ("5: a skipped midnight in Beirut is 01:00 the same day",
            "0 0 * * *", "Asia/Beirut", "2025-03-30", &["01:00:00+03:00"]),
        ("5: a skipped midnight in old Sao Paulo is 01:00 the same day",
            "0 0 * * *", "America/Sao_Paulo", "2018-11-04", &["01:00:00-02:00"]),
        ("a gap of half an hour",
            "15 2 * * *", "Australia/Lord_Howe", "2025-10-05", &["02:30:00+11:00"]),
        ("a fold of half an hour, fixed",
            "45 1 * * *", "Australia/Lord_Howe", "2025-04-06", &["01:45:00+11:00"]),
        ("a fold of half an hour, interval",
            "*/15 1 * * *", "Australia/Lord_Howe", "2025-04-06",
            &["01:00:00+11:00", "01:15:00+11:00", "01:30:00+11:00", "01:45:00+11:00",
              "01:30:00+10:30", "01:45:00+10:30"]),
        ("a date that does not exist has no slot",
            "0 0,12 * * *", "Pacific/Apia", "2011-12-30", &[]),
        ("and the date after it only its own",
            "0 0,12 * * *", "Pacific/Apia", "2011-12-31", &["00:00:00+14:00", "12:00:00+14:00"]),
        ("a gap over midnight: the slot before it runs on the next date, 1919 in Toronto",
            "45 23 * * *", "America/Toronto", "1919-03-31", &["00:30:00-04:00", "23:45:00-04:00"]),
    ];
    for (name, text, zone, date, wanted) in table {
        assert_eq!(on(text, zone, date), *wanted, "{name}");
    }
    // Liberia was 44 minutes and 30 seconds behind until 1972.
    let noon = schedule("0 12 * * *", "Africa/Monrovia").next_after(at("1960-05-01T00:00:00Z"));
    assert_eq!(
        noon,
        Some(at("1960-05-01T12:44:30Z")),
        "an offset with seconds"
    );
}

#[test]
fn a_schedule_that_never_fires_is_refused() {
    for text in ["0 0 31 2 *", "* * 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert!(error(text).contains("no slot in the 28 years"), "6: {text}");
    }
    assert_eq!(schedule("0 0 29 2 *", "UTC").expression(), "0 0 29 2 *");
    let only_in_the_gap = Schedule::parse("*/30 2 * 3 SUNL", bundled("Europe/Berlin").unwrap());
    assert!(matches!(
        only_in_the_gap,
        Err(ScheduleError::NeverFires { .. })
    ));
}

#[test]
fn day_fields_match_as_in_vixie_cron() {
    let days = |text: &str| -> Vec<String> {
        let slots = schedule(text, "UTC");
        let slots = slots.slots_between(at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
        slots.map(|slot| slot.format("%d").to_string()).collect()
    };
    assert_eq!(
        days("0 2 10 * MON"),
        ["02", "09", "10", "16", "23"],
        "either"
    );
    assert_eq!(days("0 2 * * 0"), days("0 2 ? * 7"), "0 and 7 are Sunday");
    assert_eq!(days("0 2 L * ?"), ["28"]);
    assert_eq!(days("0 2 LW * *"), ["27"]);
    assert_eq!(days("0 2 14W * *"), ["13"]);
    assert_eq!(days("0 2 * * FRI#2"), ["13"]);
    assert_eq!(days("0 2 * * friL"), ["27"]);
    assert_eq!(days("0 2 * * sat-sun"), days("0 2 * * 0,6"));
    assert_eq!(
        days("0 2 */14 * MON").len(),
        6,
        "a stepped `*` is a restriction, as croner reads it"
    );
    for (name, same) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@Monthly", "0 0 1 * *"),
    ] {
        assert_eq!(days(name), days(same), "{name}");
    }
    assert_eq!(
        schedule("@yearly", "UTC").next_after(at("2026-01-01T00:00:00Z")),
        Some(at("2027-01-01T00:00:00Z"))
    );
    assert_eq!(
        schedule("@annually", "UTC").next_after(at("2025-07-01T00:00:00Z")),
        Some(at("2026-01-01T00:00:00Z"))
    );
}

#[test]
fn errors_name_the_field_and_what_is_wanted() {
    for (text, wanted) in [
        ("", "an empty schedule"),
        ("30 2 * *", "has 4 fields; write five"),
        (
            "0 30 2 * * * 2027",
            "there is no year field; leave the last one (`2027`) out",
        ),
        (
            "60 2 * * *",
            "minute `60` is not valid; wanted: a number from 0 to 59",
        ),
        (
            "0 24 * * *",
            "hour `24` is not valid; wanted: a number from 0 to 23",
        ),
        (
            "0 0 0 * *",
            "day of month `0` is not valid; wanted: a number from 1 to 31",
        ),
        (
            "0 0 * 13 *",
            "month `13` is not valid; wanted: a number from 1 to 12 or a name from JAN to DEC",
        ),
        (
            "0 0 * * 8",
            "day of week `8` is not valid; wanted: a number from 0 to 7 or a name from SUN to SAT",
        ),
        ("61 0 0 * * *", "second `61`"),
        (
            "*/0 * * * *",
            "minute `*/0` is not valid; wanted: a step from 1 to 59",
        ),
        ("5/10 * * * *", "such as `*/10` or `5-59/10`"),
        (
            "0 22-4 * * *",
            "hour `22-4` is not valid; wanted: a range that goes up; write two, such as `22-23,0-4`",
        ),
        ("0 0 * * L", "day of week `L`"),
        ("0 0 L,LW * *", "either L or LW"),
        ("0 0 * * MON#6", "a number from 1 to 5 after #"),
        ("0 0 * * +MON", "day of week `+MON`"),
        ("1,,2 * * * *", "minute ``"),
        (", * * * *", "minute ``"),
        ("MON * * * *", "minute `MON`"),
        ("? * * * *", "minute `?`"),
        ("0 0 32W * *", "day of month `32W`"),
        ("0 0 1 JANUARY *", "month `JANUARY`"),
        ("+5 * * * *", "minute `+5`"),
        ("99999999999 * * * *", "minute `99999999999`"),
        ("ä * * * *", "minute `ä`"),
    ] {
        let got = error(text);
        assert!(got.contains(wanted), "{text}: {got}");
    }
    assert!(error(&"1,".repeat(1000)).contains("2000 bytes"));
}

#[test]
fn other_dialects_are_told_their_equivalent() {
    for (text, wanted) in [
        ("@reboot", "`@reboot` is not known"),
        ("@every 5m", "write steps such as"),
        ("@fortnightly", "wanted: @hourly, @daily"),
        (
            "rate(1 hour)",
            "is an EventBridge expression; write `0 * * * *`",
        ),
        ("rate(12 hours)", "write `0 */12 * * *`"),
        ("rate(15 minutes)", "write `*/15 * * * *`"),
        ("rate(1 day)", "write `0 0 * * *`"),
        ("rate(7 hours)", "has no equivalent"),
        ("cron(30 2 * * ? *)", "write `30 2 * * *`"),
        ("cron(0 10 ? * 2-6 *)", "write `0 10 * * 1-5`"),
        (
            "cron(0/15 8 ? * MON-FRI *)",
            "write `0-59/15 8 * * MON-FRI`",
        ),
        ("cron(0 8 ? * 6L *)", "write `0 8 * * 5L`"),
        ("cron(0 8 ? * 3#1 *)", "write `0 8 * * 2#1`"),
        ("cron(30 12 *)", "write `30 12 * * *`"),
        ("cron(0 */3 *)", "write `0 */3 * * *`"),
        ("cron(15 9,18 TUE-THU)", "write `15 9,18 * * TUE-THU`"),
        ("cron(0 3 * * *)", "write `0 3 * * *`"),
        (
            "cron(0 10 ? * FRI-MON *)",
            "write `0 10 * * FRI-SAT,SUN-MON`",
        ),
        ("cron(0 10 ? * 6-2 *)", "write `0 10 * * 5-6,0-1`"),
        ("cron(0 10 ? * SAT-MON *)", "write `0 10 * * SAT,SUN-MON`"),
        ("cron(0 22-4 * * ? *)", "write `0 22-23,0-4 * * *`"),
        ("cron(0 0 1 NOV-FEB ? *)", "write `0 0 1 NOV-DEC,JAN-FEB *`"),
        ("cron(0 0 1 FEB/3 ? *)", "write `0 0 1 FEB-12/3 *`"),
        ("cron(0 0 ? * 1/2 *)", "write `0 0 * * 0,2,4,6`"),
        ("cron(0 0 ? * MON/2 *)", "write `0 0 * * 1,3,5`"),
        ("cron(0 0 ? * */2 *)", "write `0 0 * * 0,2,4,6`"),
        ("cron(0 0 ? * FRI-TUE/2 *)", "write `0 0 * * 0,2,5`"),
        ("cron(0 22-4/2 * * ? *)", "has no equivalent"),
        ("cron(0 0 ? * 1/0 *)", "has no equivalent"),
        ("cron(0 0 ? * 0 *)", "has no equivalent"),
        ("cron(0 8 1 1 ? 2027)", "has no equivalent"),
        ("at(2027-01-01T00:00:00)", "has no equivalent"),
    ] {
        let got = error(text);
        assert!(got.contains(wanted), "{text}: {got}");
    }
}

#[test]
fn what_a_crontab_has_beside_its_schedule_is_told_where_it_goes() {
    for (text, wanted) in [
        (
            "CRON_TZ=America/New_York 0 9 * * 1",
            "sets CRON_TZ as a crontab does; write `0 9 * * 1`, and `timezone = \"America/New_York\"` beside it",
        ),
        (
            "TZ=\"Europe/Berlin\" @daily",
            "write `@daily`, and `timezone = \"Europe/Berlin\"` beside it",
        ),
        ("CRON_TZ = UTC", "and `timezone = \"UTC\"` beside it"),
        (
            "MAILTO=a@example.org 0 9 * * *",
            "leave the variable out and write `0 9 * * *`",
        ),
        (
            "0 2 * * * # nightly",
            "drop `# nightly` and write `0 2 * * *`",
        ),
        (
            "0 2 * * *\t#nightly #1",
            "drop `#nightly #1` and write `0 2 * * *`",
        ),
        (
            "0 0 2 * * MON#1 # first",
            "drop `# first` and write `0 0 2 * * MON#1`",
        ),
        ("@daily # nightly", "drop `# nightly` and write `@daily`"),
        ("# 0 2 * * *", "write five cron fields"),
        (
            "30 2 * * * /usr/local/bin/snap.sh --all",
            "with its command `/usr/local/bin/snap.sh --all`; leave the command out, redkeep takes the snapshot itself: \
             write `30 2 * * *`",
        ),
        (
            "30 2 * * * root /bin/snap",
            "with its command `root /bin/snap`",
        ),
        ("30 2 * * * backup", "with its command `backup`"),
        ("@daily /bin/snap -v", "with its command `/bin/snap -v`"),
        // Fields all the same.
        ("0 30 2 * * MONDAY", "day of week `MONDAY`"),
        ("0 30 2 * * 9", "day of week `9`"),
        ("0 30 2 * * * 2027", "there is no year field"),
        ("99 2 * * * /bin/snap", "second `99`"),
    ] {
        let got = error(text);
        assert!(got.contains(wanted), "{text}: {got}");
    }
    assert!(Schedule::parse("0 0 9 * * mon#1", Zone::utc()).is_ok());
}

#[test]
fn extreme_instants_have_an_answer() {
    for text in ["30 2 * * *", "*/15 * * * *"] {
        for zone in ["UTC", "Pacific/Apia"] {
            let schedule = schedule(text, zone);
            let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
            assert_eq!(schedule.next_after(last), None);
            let _ = schedule.next_after(first);
            assert_eq!(schedule.latest_in(last, first), None);
            let start = at("1970-01-01T00:00:00Z");
            assert!(schedule.next_after(start).is_some());
            assert!(schedule.slots_between(start, last).next().is_some());
            assert!(
                schedule
                    .next_after(at("2399-12-31T23:59:59.999Z"))
                    .is_some()
            );
        }
    }
    let leap_day = schedule("0 0 29 2 *", "UTC");
    assert_eq!(
        leap_day.next_after(at("2096-03-01T00:00:00Z")),
        Some(at("2104-02-29T00:00:00Z"))
    );
}

#[test]
fn bounds_are_open_before_and_closed_after() {
    let hourly = schedule("0 * * * *", "UTC");
    let (one, two) = (at("2026-01-01T01:00:00Z"), at("2026-01-01T02:00:00Z"));
    assert_eq!(hourly.slots_between(one, two).collect::<Vec<_>>(), [two]);
    assert_eq!(hourly.next_after(one), Some(two));
    assert_eq!(
        hourly.next_after(one - TimeDelta::nanoseconds(1)),
        Some(one)
    );
    assert_eq!(hourly.latest_in(one, two), Some(two));
    assert_eq!(hourly.latest_in(one, two - TimeDelta::nanoseconds(1)), None);
}

#[test]
fn the_longest_interval_sees_weekends_and_clock_changes() {
    let (from, until) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    for (text, hours) in [
        ("30 2 * * *", 25),
        ("30 2 * * 1-5", 73),
        ("0 */6 * * *", 7),
        ("0 1 1 1 *", 365 * 24),
        ("0 0 29 2 *", 4 * 365 * 24 + 24),
    ] {
        let longest = schedule(text, "America/New_York").longest_interval(from, until);
        assert_eq!(longest, Some(TimeDelta::hours(hours)), "{text}");
    }
    let until_the_evening = until - TimeDelta::minutes(30);
    let within_a_day = schedule("0 0,23 * * *", "UTC").longest_interval(from, until_the_evening);
    assert_eq!(within_a_day, Some(TimeDelta::hours(23)));
    let minutely = schedule("* * * * *", "America/New_York").longest_interval(from, until);
    assert_eq!(minutely, Some(TimeDelta::minutes(1)));
}

fn blackout(text: &str, zone: &str, hours: i64) -> Blackout {
    Blackout {
        name: "freeze".to_owned(),
        schedule: schedule(text, zone),
        duration: TimeDelta::hours(hours),
    }
}

#[test]
fn a_blackout_is_half_open_and_may_cross_midnight() {
    let freeze = blackout("0 18 L * *", "UTC", 12);
    let end = Some(at("2026-02-01T06:00:00Z"));
    assert_eq!(freeze.end_at(at("2026-01-31T17:59:59Z")), None);
    assert_eq!(freeze.end_at(at("2026-01-31T18:00:00Z")), end);
    assert_eq!(freeze.end_at(at("2026-02-01T05:59:59.999Z")), end);
    assert_eq!(freeze.end_at(at("2026-02-01T06:00:00Z")), None);
}

#[test]
fn overlapping_and_touching_openings_are_one_blackout() {
    let december = blackout("0 0 * 12 *", "UTC", 24);
    assert_eq!(
        december.end_at(at("2026-12-05T07:00:00Z")),
        Some(at("2027-01-01T00:00:00Z"))
    );
    assert!(!december.is_endless());
    let night = blackout("0 22 * * *", "Europe/Berlin", 8);
    let over_the_change = Some(at("2026-03-29T05:00:00Z"));
    assert_eq!(
        night.end_at(at("2026-03-29T00:30:00Z")),
        over_the_change,
        "eight elapsed hours"
    );
}

#[test]
fn the_first_open_instant_is_outside_every_blackout() {
    let (night, morning) = (
        blackout("0 0 * * *", "UTC", 6),
        blackout("0 5 * * *", "UTC", 4),
    );
    let t = at("2026-01-01T01:00:00Z");
    assert_eq!(
        first_open(&[&morning, &night], t),
        Some(at("2026-01-01T09:00:00Z"))
    );
    assert_eq!(first_open(&[&morning], t), Some(t));
    assert_eq!(first_open(&[], t), Some(t));
    let always = blackout("0 * * * *", "UTC", 1);
    assert!(always.is_endless());
    assert_eq!(first_open(&[&always], t), None);
    assert!(always.end_at(t) > Some(t + TimeDelta::days(30)));
}

#[test]
fn jitter_is_stable_and_below_its_limit() {
    // printf nightly/dw | sha256sum, as a number, mod 600.
    assert_eq!(
        jitter(b"nightly/dw", TimeDelta::minutes(10)),
        TimeDelta::seconds(390)
    );
    assert_eq!(
        jitter(b"x", TimeDelta::milliseconds(999)),
        TimeDelta::zero()
    );
    assert_eq!(jitter(b"x", TimeDelta::seconds(-5)), TimeDelta::zero());
    let spread: std::collections::BTreeSet<i64> = (0_u32..1000)
        .map(|seed| jitter(&seed.to_le_bytes(), TimeDelta::seconds(10)).num_seconds())
        .collect();
    assert_eq!(spread.len(), 10);
    assert!(spread.iter().all(|seconds| (0..10).contains(seconds)));
    let _ = jitter(b"x", TimeDelta::MAX);
}

//! Which instants a schedule has, found the slow way: minute by minute, without redkeep's own schedule code.
//!
//! Owns: a second reading of docs/semantics.md section 1 for plain five-field expressions (`*`, `*/n`, numbers with
//! commas). A fixed time is looked up on the calendar of its zone, an interval on its clock.

use std::collections::BTreeSet;

use chrono::{
    DateTime, Datelike, DurationRound, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;

/// One field: the numbers that match, or any.
enum Field {
    Any,
    Every(u32),
    Of(Vec<u32>),
}

impl Field {
    fn parse(text: &str) -> Self {
        match text.strip_prefix("*/") {
            _ if text == "*" => Self::Any,
            Some(step) => Self::Every(step.parse().unwrap()),
            None => Self::Of(text.split(',').map(|one| one.parse().unwrap()).collect()),
        }
    }

    fn matches(&self, number: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Every(step) => number.is_multiple_of(*step),
            Self::Of(numbers) => numbers.contains(&number),
        }
    }
}

/// The slots in (`after`, `until`].
pub fn slots(
    expression: &str,
    zone: Tz,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
) -> BTreeSet<DateTime<Utc>> {
    let fields: Vec<Field> = expression.split(' ').map(Field::parse).collect();
    let [minute, hour, day, month, weekday] = &fields[..] else {
        panic!("the oracle reads five fields, not {expression:?}");
    };
    let on_day = |local: &NaiveDateTime| {
        let by_day = day.matches(local.day());
        let by_weekday = weekday.matches(local.weekday().num_days_from_sunday());
        let either = matches!((day, weekday), (Field::Of(_), Field::Of(_)));
        month.matches(local.month())
            && if either {
                by_day || by_weekday
            } else {
                by_day && by_weekday
            }
    };
    let within = |instant: &DateTime<Utc>| *instant > after && *instant <= until;
    if let (Field::Of(minutes), Field::Of(hours)) = (minute, hour) {
        let first = after.with_timezone(&zone).date_naive().pred_opt().unwrap();
        let last = until.with_timezone(&zone).date_naive().succ_opt().unwrap();
        let dates = first.iter_days().take_while(|date| *date <= last);
        let times = dates.flat_map(|date| {
            let time = move |hour: &u32| {
                let hour = *hour;
                minutes
                    .iter()
                    .map(move |minute| date.and_hms_opt(hour, *minute, 0).unwrap())
            };
            hours.iter().flat_map(time)
        });
        return times
            .filter(on_day)
            .map(|local| reached(local, zone))
            .filter(within)
            .collect();
    }
    let step = TimeDelta::minutes(1);
    let first = after.duration_trunc(step).unwrap() + step;
    let minutes = std::iter::successors(Some(first), |instant| Some(*instant + step));
    let shows = |instant: &DateTime<Utc>| {
        let local = instant.with_timezone(&zone).naive_local();
        minute.matches(local.minute()) && hour.matches(local.hour()) && on_day(&local)
    };
    minutes
        .take_while(|instant| *instant <= until)
        .filter(shows)
        .filter(within)
        .collect()
}

/// The first instant at which the clock of `zone` shows `local`, or the end of the gap that it lies in.
fn reached(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let mut local = local;
    loop {
        match zone.from_local_datetime(&local).earliest() {
            Some(instant) => return instant.to_utc(),
            None => local += TimeDelta::minutes(1),
        }
    }
}

//! What stands in a column, as redkeep's types.
//!
//! Owns: how a value of each type is bound and read. Never trusts a row: people open the file with other tools, so a word
//! that redkeep never writes is damage with a place, not a panic.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use rusqlite::Row;
use rusqlite::types::{FromSql, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Fault;
use super::table::{Table, damage};
use redkeep_core::names::{
    AccountName, ClusterId, PolicyName, ReceiverName, Region, Retention, Tags, Tier, Trigger,
};
use redkeep_core::operations::{ActionKind, PassResult, Why};
use redkeep_core::outbox::{Cause, Content, Event, MessageState, Severity};
use redkeep_core::run::{GoneReason, Missed, RunState};
use redkeep_core::shared_tags::SharedTags;
use redkeep_core::slot::rfc3339;
use redkeep_core::snapshot::{Snapshot, SnapshotId};

/// Far longer than any interval or window: 400 years, the whole cycle of the calendar.
const LONGEST_SECONDS: i64 = 146_097 * 86_400;

/// What clocks show, as it is stored.
const LOCAL: &str = "%Y-%m-%dT%H:%M:%S";

/// A column of a row, counted from 0 behind the row's number.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) table: &'a Table,
    pub(super) row: &'a Row<'a>,
    pub(super) column: usize,
}

impl Field<'_> {
    fn get<T: FromSql>(self) -> Result<T, Fault> {
        let got = self.row.get(self.column + 1);
        got.map_err(|error| self.damage(error))
    }

    fn is_null(self) -> Result<bool, Fault> {
        let value = self.row.get_ref(self.column + 1);
        let value = value.map_err(|error| self.damage(error))?;
        Ok(value == rusqlite::types::ValueRef::Null)
    }

    fn parsed<T: FromStr<Err: Display>>(self) -> Result<T, Fault> {
        let text: String = self.get()?;
        text.parse().map_err(|error| self.damage(error))
    }

    fn json<T: DeserializeOwned>(self) -> Result<T, Fault> {
        let text: String = self.get()?;
        serde_json::from_str(&text).map_err(|error| self.damage(error))
    }

    fn word<T: Copy, const N: usize>(
        self,
        all: [T; N],
        as_str: fn(T) -> &'static str,
    ) -> Result<T, Fault> {
        let got: String = self.get()?;
        let found = all.into_iter().find(|one| as_str(*one) == got);
        found.ok_or_else(|| {
            let wanted = all.map(as_str).join(", ");
            self.damage(format_args!("got {got:?}, wanted one of {wanted}"))
        })
    }

    fn damage(self, what: impl Display) -> Fault {
        let column = self.table.columns.get(self.column);
        damage(self.table, self.row, column.copied().unwrap_or("?"), what)
    }
}

/// What can stand in a column.
pub(super) trait Cell: Sized {
    /// Reads it.
    fn read(field: Field<'_>) -> Result<Self, Fault>;

    /// What SQLite is given for it.
    fn bound(&self) -> Result<Value, Fault>;
}

impl<T: Cell> Cell for Option<T> {
    fn read(field: Field<'_>) -> Result<Self, Fault> {
        match field.is_null()? {
            true => Ok(None),
            false => T::read(field).map(Some),
        }
    }

    fn bound(&self) -> Result<Value, Fault> {
        self.as_ref().map_or(Ok(Value::Null), T::bound)
    }
}

/// The cells of types that one expression reads and another binds.
macro_rules! cells {
    ($($kind:ty: |$field:ident| $read:expr, |$value:ident| $bound:expr;)+) => {
        $(impl Cell for $kind {
            fn read($field: Field<'_>) -> Result<Self, Fault> {
                $read
            }

            fn bound(&self) -> Result<Value, Fault> {
                let $value = self;
                Ok($bound.into())
            }
        })+
    };
}

cells! {
    String: |field| field.get(), |text| without_nul(text);
    i64: |field| field.get(), |number| *number;
    u32: |field| field.get(), |number| *number;
    u64: |field| u64::try_from(field.get::<i64>()?).map_err(|error| field.damage(error)),
        |number| i64::try_from(*number).unwrap_or(i64::MAX);
    PolicyName: |field| field.parsed(), |name| name.to_string();
    AccountName: |field| field.parsed(), |name| name.to_string();
    Region: |field| field.parsed(), |name| name.to_string();
    ClusterId: |field| field.parsed(), |name| name.to_string();
    SnapshotId: |field| field.get().map(SnapshotId::recorded), |id| id.to_string();
    Trigger: |field| field.parsed(), |trigger| trigger.as_str().to_owned();
    Tier: |field| field.parsed(), |tier| tier.as_str().to_owned();
    Why: |field| field.word(Why::ALL, Why::as_str), |why| why.as_str().to_owned();
    PassResult: |field| field.word(PassResult::ALL, PassResult::as_str), |result| result.as_str().to_owned();
    ActionKind: |field| field.word(ActionKind::ALL, ActionKind::as_str), |wanted| wanted.as_str().to_owned();
    GoneReason: |field| gone(field), |reason| reason.as_str().to_owned();
    Missed: |field| missed(&field.get::<String>()?).map_err(|what| field.damage(what)),
        |reason| reason.as_str().to_owned();
    Retention: |field| retention(field), |retention| retention.days_or_minus_one();
    TimeDelta: |field| seconds(field), |span| span.num_seconds();
    DateTime<Utc>: |field| parse_instant(&field.get::<String>()?).map_err(|what| field.damage(what)),
        |instant| to_text(*instant);
    Exact: |field| DateTime::read(field).map(Exact), |exact| exact.0.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    NaiveDateTime: |field| NaiveDateTime::parse_from_str(&field.get::<String>()?, LOCAL)
        .map_err(|error| field.damage(error)), |clocks| clocks.format(LOCAL).to_string();
    SharedTags: |field| field.json().map(|tags: Tags| tags.into()), |tags| json(&tags.to_tags())?;
    Arc<str>: |field| field.get(), |text| without_nul(text);
    Vec<String>: |field| field.json(), |texts| json(texts)?;
    RunState: |field| field.json(), |state| json(state)?;
    ReceiverName: |field| field.parsed(), |name| name.to_string();
    Cause: |field| field.word(Cause::ALL, Cause::as_str), |cause| cause.as_str().to_owned();
    Event: |field| field.word(Event::ALL, Event::as_str), |event| event.as_str().to_owned();
    MessageState: |field| field.word(MessageState::ALL, MessageState::as_str), |state| state.as_str().to_owned();
    Severity: |field| field.word(Severity::ALL, Severity::as_str), |severity| severity.as_str().to_owned();
    Content: |field| field.json(), |content| json(content)?;
    Arc<Snapshot>: |field| field.json().map(Arc::new), |snapshot| json(&**snapshot)?;
}

/// A text as it is stored: no text of PostgreSQL has a NUL, so that none of the history has one.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// An instant to its last digit, as it is compared for equality with what AWS says.
pub(super) struct Exact(pub(super) DateTime<Utc>);

/// An instant as it is stored: RFC 3339 in whole seconds, always 20 characters, so that texts sort as
/// instants do.
///
/// Years outside 0 to 9999 have no such form; they become the nearest instant that has.
pub(super) fn to_text(instant: DateTime<Utc>) -> String {
    match instant.year() {
        ..0 => "0000-01-01T00:00:00Z".to_owned(),
        0..10_000 => rfc3339(instant),
        _ => "9999-12-31T23:59:59Z".to_owned(),
    }
}

/// The instant of a stored text.
pub(super) fn parse_instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Some(instant) = parse_stored(text.as_bytes()) {
        return Ok(instant);
    }
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.to_utc())
        .map_err(|error| {
            format!("got {text:?}, wanted an instant like 2026-11-24T01:30:00Z ({error})")
        })
}

/// The form of [`to_text`], in which nearly all of them are: there may be millions.
pub(super) fn parse_stored(text: &[u8]) -> Option<DateTime<Utc>> {
    let number = |from: usize, to: usize| {
        text.get(from..to)?.iter().try_fold(0_u32, |sum, digit| {
            let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
            Some(sum * 10 + digit)
        })
    };
    let marks = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'Z'),
    ];
    let has_form = text.len() == 20 && marks.iter().all(|(at, mark)| text.get(*at) == Some(mark));
    let year = i32::try_from(number(0, 4)?).ok().filter(|_| has_form)?;
    let date = NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    let time = date.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    Some(time.and_utc())
}

fn seconds(field: Field<'_>) -> Result<TimeDelta, Fault> {
    let seconds: i64 = field.get()?;
    let span = TimeDelta::try_seconds(seconds);
    span.filter(|_| (0..=LONGEST_SECONDS).contains(&seconds))
        .ok_or_else(|| {
            let wanted = format_args!("got {seconds} s, wanted 0 to {LONGEST_SECONDS}");
            field.damage(wanted)
        })
}

fn retention(field: Field<'_>) -> Result<Retention, Fault> {
    let days: i64 = field.get()?;
    Retention::from_days(days)
        .ok_or_else(|| field.damage(format_args!("got {days}, wanted -1 or 1 to 3653")))
}

/// The reason of a slot that was missed, or what is wrong with its word.
pub(super) fn missed(word: &str) -> Result<Missed, String> {
    Missed::of_word(word).ok_or_else(|| format!("got {word:?}, wanted a reason for a missed slot"))
}

fn gone(field: Field<'_>) -> Result<GoneReason, Fault> {
    let word: String = field.get()?;
    [GoneReason::Expired, GoneReason::Deleted, GoneReason::Pruned]
        .into_iter()
        .find(|reason| reason.as_str() == word)
        .ok_or_else(|| {
            field.damage(format_args!(
                "got {word:?}, wanted expired, deleted or pruned"
            ))
        })
}

fn json<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_instants_sort_as_instants_do() {
        let at = |seconds| DateTime::from_timestamp(seconds, 999_999_999).unwrap();
        let instants = [
            DateTime::<Utc>::MIN_UTC,
            at(-1),
            at(0),
            at(1),
            at(4_102_444_800),
            DateTime::<Utc>::MAX_UTC,
        ];
        let texts: Vec<String> = instants.iter().map(|instant| to_text(*instant)).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == 20), "{texts:?}");
        assert_eq!(
            parse_instant(&texts[2]).unwrap(),
            DateTime::from_timestamp(0, 0).unwrap()
        );
    }
}

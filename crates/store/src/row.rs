//! Rows as redkeep's types.
//!
//! Owns: the columns of each table, and how a row becomes a run, a pair or a missed range. Never trusts a
//! row: people open the file with other tools, so a word that redkeep never writes is damage with a place,
//! not a panic.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Utc};
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;

use super::error::Fault;
use redkeep_core::history::{MissedRange, PairState};
use redkeep_core::names::{AccountName, PolicyName, Retention};
use redkeep_core::pause::Pause;
use redkeep_core::run::{Gone, GoneReason, Missed, Outcome, Run, RunState, SnapshotSpec};
use redkeep_core::schedule::ClockNote;
use redkeep_core::slot::{Pair, Scope, Slot, rfc3339};
use redkeep_core::snapshot::SnapshotId;

/// Far longer than any interval or window: 400 years, the whole cycle of the calendar.
const LONGEST_SECONDS: i64 = 146_097 * 86_400;

/// A table and the columns that are read from it.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
}

pub(super) const PAIRS: Table = Table {
    name: "pairs",
    columns: &[
        "policy",
        "account",
        "region",
        "cluster",
        "active_from",
        "watermark",
        "schedule",
        "timezone",
        "zone_rules",
        "local_watermark",
        "cluster_created_at",
        "closed_at",
        "cluster_gone_at",
    ],
};

pub(super) const RUNS: Table = Table {
    name: "runs",
    columns: &[
        "policy",
        "account",
        "region",
        "cluster",
        "scheduled_at",
        "trigger",
        "state",
        "reason",
        "message",
        "attempts",
        "snapshot_id",
        "tier",
        "tier_reason",
        "retention_days",
        "tags",
        "starts_at",
        "deadline_at",
        "completion_window_seconds",
        "interval_seconds",
        "requested_at",
        "asked_at",
        "accepted_at",
        "ended_at",
        "gone_at",
        "gone_reason",
        "snapshot",
        "progress",
    ],
};

pub(super) const MISSED_RANGES: Table = Table {
    name: "missed_ranges",
    columns: &[
        "policy", "account", "region", "cluster", "first_at", "last_at", "count", "reason",
    ],
};

pub(super) const PAUSES: Table = Table {
    name: "pauses",
    columns: &["policy", "paused_at", "resumed_at"],
};

pub(super) const EXTENSIONS: Table = Table {
    name: "extensions",
    columns: &["policy", "account", "region", "cluster"],
};

pub(super) const ACCOUNTS: Table = Table {
    name: "accounts",
    columns: &["name", "number"],
};

impl Table {
    /// The statement that reads its rows; conditions follow.
    pub(super) fn select(&self) -> String {
        format!(
            "SELECT rowid, \"{}\" FROM {}",
            self.columns.join("\", \""),
            self.name
        )
    }
}

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

/// What clocks show, as it is stored.
pub(super) const LOCAL: &str = "%Y-%m-%dT%H:%M:%S";

/// The instant of a stored text.
pub(super) fn parse_instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.to_utc())
        .map_err(|error| {
            format!("got {text:?}, wanted an instant like 2026-11-24T01:30:00Z ({error})")
        })
}

/// A row, read by the names of its columns.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) table: &'a Table,
    pub(super) row: &'a Row<'a>,
}

impl Fields<'_> {
    pub(super) fn get<T: FromSql>(&self, column: &str) -> Result<T, Fault> {
        // SQLite's own search by name would cost more than the rest of reading.
        let position = self.table.columns.iter().position(|name| *name == column);
        let index = position.map_or(usize::MAX, |position| position + 1);
        self.row
            .get(index)
            .map_err(|error| self.damage(column, error))
    }

    pub(super) fn damage(&self, column: &str, what: impl Display) -> Fault {
        let row = self
            .row
            .get::<_, i64>(0)
            .map_or("?".to_owned(), |rowid| rowid.to_string());
        Fault::damage(
            format_args!("table {}, row {row}, column {column}", self.table.name),
            what,
        )
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, Fault> {
        let text: String = self.get(column)?;
        text.parse().map_err(|error| self.damage(column, error))
    }

    pub(super) fn instant(&self, column: &str) -> Result<DateTime<Utc>, Fault> {
        let text: String = self.get(column)?;
        parse_instant(&text).map_err(|what| self.damage(column, what))
    }

    pub(super) fn instant_if_any(&self, column: &str) -> Result<Option<DateTime<Utc>>, Fault> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| parse_instant(&text).map_err(|what| self.damage(column, what)))
            .transpose()
    }

    fn json_if_any<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Fault> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.damage(column, error)))
            .transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Fault> {
        self.json_if_any(column)?
            .ok_or_else(|| self.damage(column, "NULL"))
    }

    fn seconds(&self, column: &str) -> Result<TimeDelta, Fault> {
        let seconds: i64 = self.get(column)?;
        let span = TimeDelta::try_seconds(seconds);
        span.filter(|_| (0..=LONGEST_SECONDS).contains(&seconds))
            .ok_or_else(|| {
                let wanted = format_args!("got {seconds} s, wanted 0 to {LONGEST_SECONDS}");
                self.damage(column, wanted)
            })
    }
}

/// The pair that a row of any table belongs to.
pub(super) fn pair_of(table: &Table, row: &Row<'_>) -> Result<Pair, Fault> {
    let fields = Fields { table, row };
    Ok(Pair {
        policy: fields.parsed("policy")?,
        scope: Scope {
            account: fields.parsed("account")?,
            region: fields.parsed("region")?,
        },
        cluster: fields.parsed("cluster")?,
    })
}

fn clocks(fields: Fields<'_>) -> Result<Option<ClockNote>, Fault> {
    const LOCAL_WATERMARK: &str = "local_watermark";
    let rules: Option<String> = fields.get("zone_rules")?;
    let local: Option<String> = fields.get(LOCAL_WATERMARK)?;
    let (Some(rules), Some(local)) = (rules, local) else {
        return Ok(None);
    };
    let local = NaiveDateTime::parse_from_str(&local, LOCAL);
    let local = local.map_err(|error| fields.damage(LOCAL_WATERMARK, error))?;
    Ok(Some(ClockNote { rules, local }))
}

/// A row of [`PAIRS`].
pub(super) fn pair(row: &Row<'_>) -> Result<(Pair, PairState), Fault> {
    let fields = Fields { table: &PAIRS, row };
    let state = PairState {
        active_from: fields.instant("active_from")?,
        watermark: fields.instant("watermark")?,
        schedule: fields.get("schedule")?,
        timezone: fields.get("timezone")?,
        clocks: clocks(fields)?,
        cluster_created_at: fields.instant_if_any("cluster_created_at")?,
        closed_at: fields.instant_if_any("closed_at")?,
        cluster_gone_at: fields.instant_if_any("cluster_gone_at")?,
    };
    Ok((pair_of(&PAIRS, row)?, state))
}

/// A row of [`PAUSES`].
pub(super) fn pause(row: &Row<'_>) -> Result<(PolicyName, Pause), Fault> {
    let fields = Fields {
        table: &PAUSES,
        row,
    };
    let pause = Pause {
        paused_at: fields.instant("paused_at")?,
        resumed_at: fields.instant_if_any("resumed_at")?,
    };
    Ok((fields.parsed("policy")?, pause))
}

/// A row of [`ACCOUNTS`].
pub(super) fn account(row: &Row<'_>) -> Result<(AccountName, String), Fault> {
    let fields = Fields {
        table: &ACCOUNTS,
        row,
    };
    Ok((fields.parsed("name")?, fields.get("number")?))
}

/// A row of [`MISSED_RANGES`].
pub(super) fn missed_range(row: &Row<'_>) -> Result<MissedRange, Fault> {
    let fields = Fields {
        table: &MISSED_RANGES,
        row,
    };
    let count: i64 = fields.get("count")?;
    Ok(MissedRange {
        pair: pair_of(&MISSED_RANGES, row)?,
        first_at: fields.instant("first_at")?,
        last_at: fields.instant("last_at")?,
        count: u64::try_from(count).map_err(|error| fields.damage("count", error))?,
        reason: missed(fields, &fields.get::<String>("reason")?)?,
    })
}

/// A row of [`RUNS`].
pub(super) fn run(row: &Row<'_>) -> Result<Run, Fault> {
    let fields = Fields { table: &RUNS, row };
    Ok(Run {
        slot: Slot {
            pair: pair_of(&RUNS, row)?,
            scheduled_at: fields.instant("scheduled_at")?,
        },
        trigger: fields.parsed("trigger")?,
        request: request(fields)?,
        state: state(fields)?,
        attempts: fields.get("attempts")?,
        requested_at: fields.instant_if_any("requested_at")?,
        asked_at: fields.instant_if_any("asked_at")?,
        accepted_at: fields.instant_if_any("accepted_at")?,
        ended_at: fields.instant_if_any("ended_at")?,
        message: fields.get("message")?,
        snapshot: fields.json_if_any("snapshot")?.map(Arc::new),
        gone: gone(fields)?,
    })
}

fn request(fields: Fields<'_>) -> Result<SnapshotSpec, Fault> {
    let days: i64 = fields.get("retention_days")?;
    let retention = Retention::from_days(days).ok_or_else(|| {
        fields.damage(
            "retention_days",
            format_args!("got {days}, wanted -1 or 1 to 3653"),
        )
    })?;
    Ok(SnapshotSpec {
        snapshot_id: SnapshotId::recorded(fields.get("snapshot_id")?),
        retention,
        tier: fields.parsed("tier")?,
        tier_reason: fields.get("tier_reason")?,
        tags: fields.json("tags")?,
        starts_at: fields.instant("starts_at")?,
        deadline: fields.instant("deadline_at")?,
        completion_window: fields.seconds("completion_window_seconds")?,
        interval: fields.seconds("interval_seconds")?,
    })
}

/// An open run stands in `progress`; an ended one is told by its word and its reason.
fn state(fields: Fields<'_>) -> Result<RunState, Fault> {
    match fields.json_if_any("progress")? {
        Some(RunState::Ended(_)) => Err(fields.damage("progress", "an ended run, wanted NULL")),
        Some(open) => Ok(open),
        None => outcome(fields).map(RunState::Ended),
    }
}

fn outcome(fields: Fields<'_>) -> Result<Outcome, Fault> {
    let word: String = fields.get("state")?;
    let reason = || fields.get::<String>("reason");
    Ok(match word.as_str() {
        "available" => Outcome::Available,
        "failed" => Outcome::Failed(reason()?),
        "missed" => Outcome::Missed(missed(fields, &reason()?)?),
        "skipped" => Outcome::Skipped,
        "expired" => Outcome::Expired(reason()?),
        "conflict" => Outcome::Conflict(reason()?),
        other => {
            return Err(fields.damage(
                "state",
                format_args!("got {other:?}, wanted an ended run's word"),
            ));
        }
    })
}

fn missed(fields: Fields<'_>, word: &str) -> Result<Missed, Fault> {
    [
        Missed::Late,
        Missed::Blackout,
        Missed::Coalesced,
        Missed::Disabled,
        Missed::Paused,
    ]
    .into_iter()
    .find(|missed| missed.as_str() == word)
    .ok_or_else(|| {
        fields.damage(
            "reason",
            format_args!("got {word:?}, wanted a reason for a missed slot"),
        )
    })
}

fn gone(fields: Fields<'_>) -> Result<Option<Gone>, Fault> {
    let Some(at) = fields.instant_if_any("gone_at")? else {
        return Ok(None);
    };
    let word: String = fields.get("gone_reason")?;
    let reason = [GoneReason::Expired, GoneReason::Deleted, GoneReason::Pruned]
        .into_iter()
        .find(|reason| reason.as_str() == word)
        .ok_or_else(|| {
            fields.damage(
                "gone_reason",
                format_args!("got {word:?}, wanted expired, deleted or pruned"),
            )
        })?;
    Ok(Some(Gone { at, reason }))
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

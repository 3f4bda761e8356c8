//! The ended runs whose snapshots may be there.
//!
//! Owns: reading them out of the index `runs_there`, which has all that is kept in mind of them. There may be hundreds of
//! thousands, and neither the table's pages nor AWS's whole description are looked at for them.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row};

use super::error::Fault;
use super::glance::names;
use super::load;
use super::row::{RUNS, RunRow, run_of};
use super::table::Stored;
use redkeep_core::names::{Tags, account_in_arn};
use redkeep_core::run::Run;
use redkeep_core::seen::{Gist, Seen, Terms};
use redkeep_core::shared_tags::SharedTags;
use redkeep_core::slot::Pair;
use redkeep_core::snapshot::{RestoreAccess, SnapshotId, tag};

/// The gist of AWS's description, by the words of the index.
pub(super) const GIST: &str = "iif(json_valid(snapshot), json_extract(snapshot, '$.snapshot_identifier', '$.snapshot_create_time',
        '$.cluster_create_time', '$.manual_snapshot_retention_period', '$.snapshot_retention_start_time',
        '$.actual_incremental_backup_size_in_mega_bytes', '$.owner_account', '$.snapshot_arn',
        '$.accounts_with_restore_access'), snapshot)";

/// The tags as AWS told them, where they are not those that were asked for; by the words of the index.
const OTHER_TAGS: &str =
    "iif(json_valid(snapshot), nullif(json_extract(snapshot, '$.tags'), tags), NULL)";

/// The statement that reads all of them, in the order of the slots.
pub(super) static ALL: LazyLock<String> = LazyLock::new(|| {
    select(
        "",
        " ORDER BY policy, account, region, cluster, scheduled_at",
    )
});

/// The statement that reads a pair's newest complete one.
pub(super) static NEWEST: LazyLock<String> = LazyLock::new(|| {
    select(
        "policy = ?1 AND account = ?2 AND region = ?3 AND cluster = ?4 AND state = 'available' AND ",
        " ORDER BY scheduled_at DESC LIMIT 1",
    )
});

/// The condition of the index.
pub(super) const THERE: &str =
    "progress IS NULL AND gone_at IS NULL AND (state = 'available' OR snapshot IS NOT NULL)";

/// Behind the columns of [`RUNS`] stand the tags that were asked for, the gist and other tags.
fn select(condition: &str, order: &str) -> String {
    let columns = RUNS.columns_as(|column| match column {
        "gone_at" | "gone_reason" | "snapshot" | "progress" => Some("NULL"),
        // They are read by themselves: nearly all of them are those of the run before.
        "tags" => Some("'{}'"),
        _ => None,
    });
    format!(
        "SELECT rowid, {columns}, tags, {GIST}, {OTHER_TAGS} FROM runs WHERE {condition}{THERE}{order}"
    )
}

/// Gives each run that `select` reads to `take`.
pub(super) fn each(
    connection: &Connection,
    select: &str,
    mut take: impl FnMut(Run),
) -> Result<(), Fault> {
    let mut tags = TagsOfRows::default();
    load::each(connection, select, |row| {
        take(run(row, &mut tags)?);
        Ok(())
    })
}

/// The newest complete one of a pair.
pub(super) fn newest(connection: &Connection, pair: &Pair) -> Result<Option<Run>, Fault> {
    let mut statement = connection.prepare_cached(&NEWEST)?;
    let mut rows = statement.query(names(pair))?;
    let newest = rows.next()?;
    newest
        .map(|row| run(row, &mut TagsOfRows::default()))
        .transpose()
}

fn run(row: &Row<'_>, tags: &mut TagsOfRows) -> Result<Run, Fault> {
    let own = RUNS.columns.len() + 1;
    let damage = |column, error: serde_json::Error| RunRow::damage(row, column, error);
    let read = RunRow::read(row)?;
    let size = read.size_bytes.and_then(|bytes| u64::try_from(bytes).ok());
    let mut run = run_of(row, read)?;
    let (asked, gist): (String, Option<String>) = (row.get(own)?, row.get(own + 1)?);
    let slot = run.slot.scheduled_at;
    let tags = tags.of(&asked, &super::cell::to_text(slot));
    run.request.tags = tags.map_err(|error| damage("tags", error))?;
    if let Some(gist) = gist {
        let other: Option<String> = row.get(own + 2)?;
        let gist = read_gist(&gist, size, &run.request.tags, other.as_deref());
        let gist = gist.map_err(|error| damage("snapshot", error))?;
        run.snapshot = Some(Seen::Gist(gist));
    }
    Ok(run)
}

/// What the index has of a description.
type Told = (
    String,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
    Option<i32>,
    Option<DateTime<Utc>>,
    Option<f64>,
    Option<String>,
    Option<String>,
    Option<Vec<RestoreAccess>>,
);

fn read_gist(
    text: &str,
    size_bytes: Option<u64>,
    asked: &SharedTags,
    other: Option<&str>,
) -> serde_json::Result<Gist> {
    let (name, made, cluster_made, period, start, increment, owner, arn, access): Told =
        serde_json::from_str(text)?;
    let access = access.unwrap_or_default();
    let terms = match other {
        Some(tags) => Terms::of(&serde_json::from_str::<Tags>(tags)?, &access),
        None => Terms::as_asked(asked, &access),
    };
    let owner = owner.filter(|number| !number.is_empty());
    let by_arn = arn.as_deref().and_then(account_in_arn);
    Ok(Gist {
        identifier: SnapshotId::recorded(name),
        create_time: made,
        cluster_create_time: cluster_made,
        retention_period: period,
        retention_start: start,
        size_bytes,
        incremental_megabytes: increment,
        account_number: owner.as_deref().or(by_arn).map(Arc::from),
        terms,
    })
}

/// The tags of one row after another, which are read anew only where more than the slot is another.
#[derive(Default)]
struct TagsOfRows {
    around_slot: [String; 2],
    last: SharedTags,
}

impl TagsOfRows {
    fn of(&mut self, text: &str, slot: &str) -> serde_json::Result<SharedTags> {
        let quoted = format!("\"{slot}\"");
        let Some((before, after)) = text.split_once(&quoted) else {
            return serde_json::from_str::<Tags>(text).map(SharedTags::from);
        };
        if self.around_slot == [before, after] {
            return Ok(self.last.with_slot(slot));
        }
        let tags = SharedTags::from(serde_json::from_str::<Tags>(text)?);
        // Else the slot's text stands somewhere else.
        if tags.get(tag::SLOT) == Some(slot) && !after.contains(&quoted) {
            self.last = tags.clone();
            self.around_slot = [before.to_owned(), after.to_owned()];
        }
        Ok(tags)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::file::File;
    use crate::operations::{self, REMOVALS};

    /// What SQLite does for a statement.
    pub(crate) fn plan(file: &File, sql: &str) -> Vec<String> {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = file.connection.prepare(&sql).unwrap();
        let values = vec!["x"; statement.parameter_count()];
        let values = rusqlite::params_from_iter(values);
        let rows = statement.query_map(values, |row| row.get(3)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn nothing_that_is_read_at_a_start_looks_at_all_runs() {
        let dir = std::env::temp_dir().join(format!("redkeep-plans-{}", std::process::id()));
        let file = File::open(&dir.join("history.db")).unwrap();
        assert_eq!(
            plan(&file, &ALL),
            ["SCAN runs USING COVERING INDEX runs_there"]
        );
        let others = load::WANTED_RUNS
            .each_ref()
            .map(|condition| RUNS.select() + condition);
        let removals = operations::WANTED_REMOVALS.map(|condition| REMOVALS.select() + condition);
        let newest = plan(&file, &NEWEST);
        let wanted = "SEARCH runs USING COVERING INDEX runs_there";
        assert!(
            newest.len() == 1 && newest[0].starts_with(wanted),
            "{newest:?}"
        );
        for statement in others.iter().chain(&removals).chain([&*NEWEST]) {
            let steps = plan(&file, statement);
            let whole = ["SCAN runs", "SCAN one", "SCAN removals"];
            let is_whole = |step: &String| whole.contains(&step.as_str());
            assert!(!steps.iter().any(is_whole), "{statement}: {steps:#?}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn tags_are_read_anew_where_more_than_the_slot_is_another() {
        let text =
            |team: &str, slot: &str| format!(r#"{{"redkeep:slot":"{slot}","team":"{team}"}}"#);
        let mut tags = TagsOfRows::default();
        for (team, slot) in [("a", "x"), ("a", "y"), ("b", "y"), ("y", "y"), ("b", "z")] {
            let text = text(team, slot);
            let wanted = serde_json::from_str::<Tags>(&text).unwrap();
            assert_eq!(tags.of(&text, slot).unwrap().to_tags(), wanted, "{text}");
        }
        let odd = r#"{"a":"s","redkeep:slot":"t"}"#;
        assert_eq!(tags.of(odd, "s").unwrap().get("redkeep:slot"), Some("t"));
        assert_eq!(tags.of(odd, "s").unwrap().get("a"), Some("s"));
        let odd = r#"{"a":"r","redkeep:slot":"t"}"#;
        assert_eq!(tags.of(odd, "r").unwrap().get("a"), Some("r"));
    }
}

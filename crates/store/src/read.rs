//! Rows out of the history.
//!
//! Owns: what the daemon loads at its start, and the questions of the commands. Never writes: commands read
//! through a connection of their own, beside a running daemon (WAL).

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, ToSql};

use super::error::{Fault, StoreError};
use super::file::File;
use super::meta::{self, EndpointKind, Installation};
use super::operations::{self, ERRANDS, REMOVALS};
use super::row::{self, ACCOUNTS, EXTENSIONS, MISSED_RANGES, PAIRS, PAUSES, RUNS, Table, to_text};
use redkeep_core::history::{History, MissedRange};
use redkeep_core::names::{AccountName, ClusterId, PolicyName, Region};
use redkeep_core::operations::{Removal, SnapshotAction};
use redkeep_core::pause::Pauses;
use redkeep_core::run::Run;
use redkeep_core::slot::{Pair, Scope, Slot};
use redkeep_core::snapshot::SnapshotId;

/// The totals by pair and result: of the runs, out of the index `runs_totals` alone, and of the ranges.
const TOTALS: [(&Table, &str); 2] = [
    (
        &RUNS,
        "SELECT min(rowid), policy, account, region, cluster, state, count(*) FROM runs
         WHERE state NOT IN ('due', 'requested', 'creating')
         GROUP BY policy, account, region, cluster, state",
    ),
    (
        &MISSED_RANGES,
        "SELECT min(rowid), policy, account, region, cluster, 'missed', sum(count) FROM missed_ranges
         GROUP BY policy, account, region, cluster",
    ),
];

/// How often the end of a snapshot was put off, by pair.
const EXTENSIONS_BY_PAIR: &str = "
    SELECT min(rowid), policy, account, region, cluster, count(*) FROM extensions
    GROUP BY policy, account, region, cluster";

/// The runs that the next decision may need: open, with a snapshot that is there, or the newest of their pair.
const WANTED_RUNS: [&str; 5] = [
    " WHERE progress IS NOT NULL",
    " WHERE state = 'available' AND gone_at IS NULL",
    " WHERE state <> 'available' AND progress IS NULL AND gone_at IS NULL AND snapshot IS NOT NULL",
    // The first one, which failed, may be there.
    " WHERE generation = 2",
    " WHERE (policy, account, region, cluster, scheduled_at) IN (
         SELECT policy, account, region, cluster, max(scheduled_at) FROM runs
         GROUP BY policy, account, region, cluster, \"trigger\")",
];

/// Which runs are asked for; every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this policy.
    pub policy: Option<PolicyName>,
    /// In this account, by its name in the policy file.
    pub account: Option<AccountName>,
    /// In this region.
    pub region: Option<Region>,
    /// Of this cluster.
    pub cluster: Option<ClusterId>,
    /// In this state, a word of [`redkeep_core::run::Run::word`].
    pub state: Option<String>,
    /// Scheduled at or after this instant.
    pub since: Option<DateTime<Utc>>,
    /// Scheduled at or before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Whose snapshot has this identifier, or had it before it failed and a second one was made.
    pub snapshot_id: Option<String>,
    /// At most so many: the newest, still oldest first.
    pub limit: Option<u32>,
}

/// A reading connection for the commands.
pub struct Reader {
    file: File,
}

impl Reader {
    /// Opens the history at `path` for reading, also where nothing can be written.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none yet; otherwise as for the daemon, except that the pages
    /// are not checked.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        File::open_for_command(path).map(|file| Self { file })
    }

    /// The runs that `filter` asks for, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the row that redkeep did not write.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, StoreError> {
        self.answer(Self::query(filter), row::run)
    }

    /// The same runs, each given to `take` when it is read: there may be millions.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn each_run(
        &self,
        filter: &RunFilter,
        mut take: impl FnMut(&Run),
    ) -> Result<(), StoreError> {
        let taken = Self::query(filter).each(&self.file.connection, |row| {
            take(&row::run(row)?);
            Ok(())
        });
        taken.map_err(|fault| fault.at(&self.file.path))
    }

    fn query(filter: &RunFilter) -> Query {
        let mut query = Query::new(&RUNS);
        query.of_pair(filter);
        query.equal("state", filter.state.as_ref());
        query.compare("scheduled_at >= ?", filter.since.map(to_text));
        query.compare("scheduled_at <= ?", filter.until.map(to_text));
        query.of_snapshot(filter.snapshot_id.as_ref());
        query.newest("scheduled_at", filter.limit);
        query
    }

    /// The ranges of missed slots that `filter` asks for, oldest first.
    ///
    /// A range counts when one of its slots may lie between `since` and `until`. A state other than
    /// `missed`, or an identifier, asks for none.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn missed_ranges(&self, filter: &RunFilter) -> Result<Vec<MissedRange>, StoreError> {
        if filter.state.as_ref().is_some_and(|state| state != "missed")
            || filter.snapshot_id.is_some()
        {
            return Ok(Vec::new());
        }
        let mut query = Query::new(&MISSED_RANGES);
        query.of_pair(filter);
        query.compare("last_at >= ?", filter.since.map(to_text));
        query.compare("first_at <= ?", filter.until.map(to_text));
        query.newest("first_at", filter.limit);
        self.answer(query, row::missed_range)
    }

    /// The actions from number `first` to `last`.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn actions(&self, first: i64, last: i64) -> Result<Vec<SnapshotAction>, StoreError> {
        let mut query = Query::new(&ERRANDS);
        query.compare("id >= ?", Some(first.to_string()));
        query.compare("id <= ?", Some(last.to_string()));
        self.answer(query, operations::action)
    }

    /// The removals of a policy that were intended at or after `since`, the oldest first.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn removals(
        &self,
        policy: &PolicyName,
        since: DateTime<Utc>,
    ) -> Result<Vec<Removal>, StoreError> {
        let mut query = Query::new(&REMOVALS);
        query.equal("policy", Some(policy));
        query.compare("planned_at >= ?", Some(to_text(since)));
        query.newest("planned_at", None);
        self.answer(query, operations::removal)
    }

    /// The removal of a scope's snapshots that was intended last.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn last_removal(&self, scope: &Scope) -> Result<Option<Removal>, StoreError> {
        let mut query = Query::new(&REMOVALS);
        query.equal("account", Some(&scope.account));
        query.equal("region", Some(&scope.region));
        query.newest("planned_at", Some(1));
        let mut last = self.answer(query, operations::removal)?;
        Ok(last.pop())
    }

    /// The history as the daemon would load it.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn history(&self) -> Result<History, StoreError> {
        load(&self.file.connection).map_err(|fault| fault.at(&self.file.path))
    }

    /// SQLite's own check of all pages and constraints (`quick_check`), about a second for each gigabyte.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] has the first thing that is wrong.
    pub fn check_sound(&self) -> Result<(), StoreError> {
        self.file
            .check_sound()
            .map_err(|fault| fault.at(&self.file.path))
    }

    /// The version of the file's schema.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn schema_version(&self) -> Result<i64, StoreError> {
        let marks = self.file.marks();
        marks
            .map(|[_, version, _]| version)
            .map_err(|fault| fault.at(&self.file.path))
    }

    /// Whose history it is, and of which kind of endpoint.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn identity(&self) -> Result<(Installation, EndpointKind), StoreError> {
        meta::read(&self.file.connection).map_err(|fault| fault.at(&self.file.path))
    }

    /// The pairs of the runs and ranges that `filter` asks for.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn pairs(&self, filter: &RunFilter) -> Result<BTreeSet<Pair>, StoreError> {
        let mut pairs = BTreeSet::new();
        for (table, first, last) in [
            (&RUNS, "scheduled_at <= ?", "scheduled_at >= ?"),
            (&MISSED_RANGES, "first_at <= ?", "last_at >= ?"),
        ] {
            let columns = "min(rowid), policy, account, region, cluster";
            let mut query = Query::from(format!("SELECT {columns} FROM {}", table.name));
            query.of_pair(filter);
            query.compare(last, filter.since.map(to_text));
            query.compare(first, filter.until.map(to_text));
            query
                .sql
                .push_str(" GROUP BY policy, account, region, cluster");
            pairs.extend(self.answer(query, |row| row::pair_of(table, row))?);
        }
        Ok(pairs)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.file.connection
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }

    fn answer<T>(
        &self,
        query: Query,
        read: impl Fn(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, StoreError> {
        query
            .run(&self.file.connection, read)
            .map_err(|fault| fault.at(&self.file.path))
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.file.path)
            .finish_non_exhaustive()
    }
}

/// A statement put together from fixed texts; what varies is bound.
pub(super) struct Query {
    sql: String,
    values: Vec<Box<dyn ToSql>>,
    is_newest_first: bool,
}

impl Query {
    fn new(table: &Table) -> Self {
        Self::from(table.select())
    }

    pub(super) fn from(select: String) -> Self {
        Self {
            sql: select + " WHERE true",
            values: Vec::new(),
            is_newest_first: false,
        }
    }

    fn of_pair(&mut self, filter: &RunFilter) {
        self.equal("policy", filter.policy.as_ref());
        self.equal("account", filter.account.as_ref());
        self.equal("region", filter.region.as_ref());
        self.equal("cluster", filter.cluster.as_ref());
    }

    pub(super) fn equal(&mut self, column: &'static str, value: Option<&impl ToString>) {
        if let Some(value) = value {
            self.sql.extend([" AND ", column, " = ?"]);
            self.values.push(Box::new(value.to_string()));
        }
    }

    pub(super) fn compare(&mut self, condition: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.sql.extend([" AND ", condition]);
            self.values.push(Box::new(value));
        }
    }

    /// Of the snapshot `id`, or of the second one of its slot.
    pub(super) fn of_snapshot(&mut self, id: Option<&String>) {
        if let Some(id) = id {
            let second = SnapshotId::recorded(id.clone()).second();
            self.compare("snapshot_id IN (?, ?)", Some(id.clone()));
            self.values.push(Box::new(second.to_string()));
        }
    }

    /// Whose `columns` are `beyond` (an operator) those of `key`.
    pub(super) fn beyond<const N: usize>(&mut self, columns: &str, beyond: &str, key: [String; N]) {
        let marks = ["?"; N].join(", ");
        let condition = format!(" AND ({columns}) {beyond} ({marks})");
        self.sql.push_str(&condition);
        let values = key
            .into_iter()
            .map(|value| Box::new(value) as Box<dyn ToSql>);
        self.values.extend(values);
    }

    /// In the order of `columns`, at most so many.
    pub(super) fn order(&mut self, columns: &str, limit: Option<u32>) {
        self.sql.extend([" ORDER BY ", columns]);
        if let Some(limit) = limit {
            self.sql.push_str(" LIMIT ?");
            self.values.push(Box::new(limit));
        }
    }

    /// The statement, and what is bound to it.
    pub(super) fn parts(&self) -> (&str, &[Box<dyn ToSql>]) {
        (&self.sql, &self.values)
    }

    /// Orders by `instant`; a limit takes from the new end, and [`Query::run`] turns the rows around.
    fn newest(&mut self, instant: &'static str, limit: Option<u32>) {
        self.is_newest_first = limit.is_some();
        let direction = if self.is_newest_first { " DESC" } else { "" };
        let order =
            [instant, "policy", "account", "region", "cluster"].join(&format!("{direction}, "));
        self.sql.extend([" ORDER BY ", &order, direction]);
        if let Some(limit) = limit {
            self.sql.push_str(" LIMIT ?");
            self.values.push(Box::new(limit));
        }
    }

    /// Gives each row to `take`, as it is read.
    fn each(
        self,
        connection: &Connection,
        mut take: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut statement = connection.prepare(&self.sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(self.values))?;
        while let Some(row) = rows.next()? {
            take(row)?;
        }
        Ok(())
    }

    pub(super) fn run<T>(
        self,
        connection: &Connection,
        read: impl Fn(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut found = Vec::new();
        let is_newest_first = self.is_newest_first;
        self.each(connection, |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        if is_newest_first {
            found.reverse();
        }
        Ok(found)
    }
}

/// The run of a slot.
pub(super) fn run_of(connection: &Connection, slot: &Slot) -> Result<Option<Run>, Fault> {
    let pair = &slot.pair;
    let mut query = Query::new(&RUNS);
    query.of_pair(&RunFilter {
        policy: Some(pair.policy.clone()),
        account: Some(pair.scope.account.clone()),
        region: Some(pair.scope.region.clone()),
        cluster: Some(pair.cluster.clone()),
        ..RunFilter::default()
    });
    query.compare("scheduled_at = ?", Some(to_text(slot.scheduled_at)));
    Ok(query.run(connection, row::run)?.pop())
}

/// The history as far as decisions and metrics need it, all as of one instant.
pub(super) fn load(connection: &Connection) -> Result<History, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let mut history = History::default();
    history.rebuilt_at = meta::rebuilt_at(&snapshot)?;
    each(&snapshot, &PAIRS.select(), |row| {
        let (pair, state) = row::pair(row)?;
        history.pairs.insert(pair, state);
        Ok(())
    })?;
    for condition in WANTED_RUNS {
        each(&snapshot, &(RUNS.select() + condition), |row| {
            let run = row::run(row)?;
            history.insert(run);
            Ok(())
        })?;
    }
    history.pauses = pauses(&snapshot)?;
    each(&snapshot, &ACCOUNTS.select(), |row| {
        let (name, number) = row::account(row)?;
        history.account_numbers.insert(name, number);
        Ok(())
    })?;
    each(&snapshot, EXTENSIONS_BY_PAIR, |row| {
        let count: i64 = row.get(5)?;
        let pair = row::pair_of(&EXTENSIONS, row)?;
        history.extensions.insert(pair, count.unsigned_abs());
        Ok(())
    })?;
    operations::load(&snapshot, &mut history)?;
    for (table, totals) in TOTALS {
        each(&snapshot, totals, |row| {
            let pair = row::pair_of(table, row)?;
            let (word, count): (String, i64) = (row.get(5)?, row.get(6)?);
            history
                .totals
                .entry(pair)
                .or_default()
                .add(&word, count.unsigned_abs());
            Ok(())
        })?;
    }
    snapshot.commit()?;
    Ok(history)
}

pub(super) fn pauses(connection: &Connection) -> Result<Pauses, Fault> {
    let mut pauses = Vec::new();
    each(connection, &PAUSES.select(), |row| {
        pauses.push(row::pause(row)?);
        Ok(())
    })?;
    Ok(pauses.into_iter().collect())
}

pub(super) fn each(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

//! The questions of the commands.
//!
//! Owns: what they may ask the history for. Never writes: commands read through a connection of their own, beside a
//! running daemon (WAL).

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row};

use super::cell::to_text;
use super::error::{Fault, StoreError};
use super::file::File;
use super::load::{load, load_newest};
use super::meta::{self, EndpointKind, Installation};
use super::operations::{self, ERRANDS, REMOVALS};
use super::outbox::{self, Pending};
use super::query::Query;
use super::row::{self, MISSED_RANGES, RUNS};
use super::there::THERE;
use redkeep_core::history::{History, MissedRange};
use redkeep_core::names::{AccountName, ClusterId, PolicyName, Region};
use redkeep_core::operations::{Removal, SnapshotAction};
use redkeep_core::run::Run;
use redkeep_core::slot::{Pair, PairFilter, Scope};

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
    /// Whose snapshot's identifier ends in this hash, with or without `-r1` behind it.
    pub short_id: Option<String>,
    /// Of one of these pairs.
    pub among: PairFilter,
    /// Whose outcome came at or after this instant.
    pub ended_since: Option<DateTime<Utc>>,
    /// Whose snapshot is there, or no more.
    pub presence: Option<Presence>,
    /// How many at most: the newest, still oldest first.
    pub limit: Option<u32>,
}

/// Whether a run that has ended has a snapshot, as far as AWS has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has one, complete or failed.
    There,
    /// It had one.
    Gone,
}

impl Presence {
    pub(super) fn condition(self) -> &'static str {
        match self {
            Self::There => THERE,
            Self::Gone => "gone_at IS NOT NULL",
        }
    }
}

impl RunFilter {
    /// All runs of a pair.
    pub fn of(pair: &Pair) -> Self {
        Self {
            policy: Some(pair.policy.clone()),
            account: Some(pair.scope.account.clone()),
            region: Some(pair.scope.region.clone()),
            cluster: Some(pair.cluster.clone()),
            ..Self::default()
        }
    }
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

    /// The same in the process of the daemon, whose own connections would lose their locks if the file were read by anything
    /// but SQLite; so there is no other way where SQLite has none.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_in_daemon(path: &Path) -> Result<Self, StoreError> {
        File::open_read_only(path).map(|file| Self { file })
    }

    /// The runs that `filter` asks for, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the row that redkeep did not write.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, StoreError> {
        let mut query = Query::new(&RUNS);
        query.of_pair(filter);
        query.equal("state", filter.state.as_ref());
        query.compare("scheduled_at >= ?", filter.since.map(to_text));
        query.compare("scheduled_at <= ?", filter.until.map(to_text));
        query.of_what_came(filter);
        query.newest("scheduled_at", filter.limit);
        self.answer(query, row::run)
    }

    /// The messages that wait for a receiver, the oldest first.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn pending(&self) -> Result<Vec<Pending>, StoreError> {
        let pending = outbox::all_pending(&self.file.connection);
        pending.map_err(|fault| fault.at(&self.file.path))
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
            || filter.short_id.is_some()
            || filter.presence.is_some()
        {
            return Ok(Vec::new());
        }
        let mut query = Query::new(&MISSED_RANGES);
        query.of_pair(filter);
        query.compare("last_at >= ?", filter.since.map(to_text));
        query.compare("last_at >= ?", filter.ended_since.map(to_text));
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

    /// The same, and of the complete snapshots that are there only the newest of each pair.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn newest(&self) -> Result<History, StoreError> {
        load_newest(&self.file.connection).map_err(|fault| fault.at(&self.file.path))
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

    /// From when on every slot that has ended is in the history (docs/database.md, `complete_from`); `None` where none has
    /// left it.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn complete_from(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        meta::complete_from(&self.file.connection).map_err(|fault| fault.at(&self.file.path))
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
        // A pair of which a run has ended is among the totals; to look there and for one of its runs is much less than to
        // look at all runs.
        let columns = "0, policy, account, region, cluster";
        let mut ended = Query::from(format!("SELECT DISTINCT {columns} FROM totals AS of"));
        ended.of_pair(filter);
        ended.and_a_run(filter);
        let mut open = Query::from(format!("SELECT {columns} FROM runs"));
        open.of_pair(filter);
        open.and("progress IS NOT NULL");
        open.compare("scheduled_at >= ?", filter.since.map(to_text));
        open.compare("scheduled_at <= ?", filter.until.map(to_text));
        let mut ranges = Query::from(format!("SELECT {columns} FROM missed_ranges"));
        ranges.of_pair(filter);
        ranges.compare("last_at >= ?", filter.since.map(to_text));
        ranges.compare("first_at <= ?", filter.until.map(to_text));
        ranges.group_by_pair();
        let mut pairs = BTreeSet::new();
        for (table, query) in [(&RUNS, ended), (&RUNS, open), (&MISSED_RANGES, ranges)] {
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

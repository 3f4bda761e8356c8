//! The history a page at a time, oldest first.
//!
//! Owns: the order of runs and ranges among each other, and where a page begins. No page leaves a transaction open: a
//! reader that waits, such as a person with a pager, does not keep the log from being moved into the file. And however
//! many runs there are, it wants the memory of one page.

use std::collections::VecDeque;

use rusqlite::Connection;

use super::cell::to_text;
use super::error::{Fault, StoreError};
use super::query::Query;
use super::read::{Reader, RunFilter};
use super::row::{self, RUNS};
use redkeep_core::history::MissedRange;
use redkeep_core::run::Run;

/// How many runs are read at once.
const PAGE: u32 = 1000;

/// The columns by which runs are in order; an index has them.
const ORDER: &str = "scheduled_at, policy, account, region, cluster";

/// What became of one slot, or of many in a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Of one.
    Run(Box<Run>),
    /// Of more than a hundred.
    Missed(MissedRange),
}

/// The records that a filter asks for, a page at a time.
#[derive(Debug)]
pub struct Pages<'a> {
    reader: &'a Reader,
    filter: RunFilter,
    next: Next,
    /// They are few: each of them stands for more than a hundred slots.
    ranges: VecDeque<MissedRange>,
}

/// The values of [`ORDER`] of a run.
type Key = [String; 5];

/// Where the next page of runs begins.
#[derive(Debug)]
enum Next {
    First,
    From(Key),
    After(Key),
    None,
}

impl Reader {
    /// The runs and ranges that `filter` asks for, oldest first, a page at a time.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn pages(&self, filter: &RunFilter) -> Result<Pages<'_>, StoreError> {
        let all = RunFilter {
            limit: None,
            ..filter.clone()
        };
        let mut pages = Pages {
            reader: self,
            ranges: self.missed_ranges(&all)?.into(),
            filter: all,
            next: Next::First,
        };
        if let Some(limit) = filter.limit {
            let begun = pages.begin_at_newest(limit);
            begun.map_err(|fault| fault.at(self.path()))?;
        }
        Ok(pages)
    }
}

impl Pages<'_> {
    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub fn next_page(&mut self) -> Result<Option<Vec<Record>>, StoreError> {
        let runs = self.runs().map_err(|fault| fault.at(self.reader.path()))?;
        let mut page = Vec::new();
        for run in runs {
            let at = run.slot.scheduled_at;
            while let Some(range) = self.ranges.pop_front_if(|range| range.first_at < at) {
                page.push(Record::Missed(range));
            }
            page.push(Record::Run(Box::new(run)));
        }
        if matches!(self.next, Next::None) {
            page.extend(self.ranges.drain(..).map(Record::Missed));
        }
        Ok((!page.is_empty()).then_some(page))
    }

    fn runs(&mut self) -> Result<Vec<Run>, Fault> {
        let mut query = self.query(RUNS.select());
        match std::mem::replace(&mut self.next, Next::None) {
            Next::First => {}
            Next::From(key) => query.beyond(ORDER, ">=", key),
            Next::After(key) => query.beyond(ORDER, ">", key),
            Next::None => return Ok(Vec::new()),
        }
        query.order(ORDER, Some(PAGE));
        let runs = query.run(self.connection(), row::run)?;
        if let Some(last) = runs.last().filter(|_| runs.len() == PAGE as usize) {
            self.next = Next::After(key(last));
        }
        Ok(runs)
    }

    /// Leaves only the newest `limit` of runs and ranges together.
    fn begin_at_newest(&mut self, limit: u32) -> Result<(), Fault> {
        let mut query = self.query(format!("SELECT {ORDER} FROM runs"));
        query.order(&(ORDER.replace(',', " DESC,") + " DESC"), None);
        let (mut left, mut ranges) = (limit, VecDeque::new());
        self.next = Next::None;
        let (sql, values) = query.parts();
        let mut statement = self.reader.connection().prepare(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        while left > 0 {
            let newest = rows.next()?;
            let key = newest.map(|row| -> rusqlite::Result<Key> {
                Ok([
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ])
            });
            let key = key.transpose()?;
            // A range comes behind the runs of its instant.
            let is_newer = |range: &mut MissedRange| {
                key.as_ref()
                    .is_none_or(|key| to_text(range.first_at) >= key[0])
            };
            while left > 0
                && let Some(range) = self.ranges.pop_back_if(is_newer)
            {
                ranges.push_front(range);
                left -= 1;
            }
            match key {
                Some(key) if left > 0 => {
                    self.next = Next::From(key);
                    left -= 1;
                }
                Some(_) => {}
                None => break,
            }
        }
        self.ranges = ranges;
        Ok(())
    }

    /// The statement without its order. The pair's columns are kept from choosing another index than that of the order:
    /// it would sort all of the pair's runs for each page.
    fn query(&self, select: String) -> Query {
        let filter = &self.filter;
        let mut query = Query::from(select);
        query.equal("+policy", filter.policy.as_ref());
        query.equal("+account", filter.account.as_ref());
        query.equal("+region", filter.region.as_ref());
        query.equal("+cluster", filter.cluster.as_ref());
        query.among(filter, ["+policy", "+account", "+region", "+cluster"]);
        query.equal("+state", filter.state.as_ref());
        query.compare("scheduled_at >= ?", filter.since.map(to_text));
        query.compare("scheduled_at <= ?", filter.until.map(to_text));
        query.of_what_came(filter);
        query
    }

    fn connection(&self) -> &Connection {
        self.reader.connection()
    }
}

fn key(run: &Run) -> Key {
    let pair = &run.slot.pair;
    [
        to_text(run.slot.scheduled_at),
        pair.policy.to_string(),
        pair.scope.account.to_string(),
        pair.scope.region.to_string(),
        pair.cluster.to_string(),
    ]
}

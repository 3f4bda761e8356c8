//! Questions to the history, put together from fixed texts.
//!
//! Owns: conditions, order and limit of a `SELECT`. Never puts a value into the text: values are bound.

use rusqlite::{Connection, Row, ToSql};

use super::cell::to_text;
use super::error::Fault;
use super::read::RunFilter;
use super::table::Table;
use redkeep_core::snapshot::SnapshotId;

/// A statement put together from fixed texts; what varies is bound.
pub(super) struct Query {
    sql: String,
    values: Vec<Box<dyn ToSql>>,
    is_newest_first: bool,
}

impl Query {
    pub(super) fn new(table: &Table) -> Self {
        Self::from(table.select())
    }

    pub(super) fn from(select: String) -> Self {
        Self {
            sql: select + " WHERE true",
            values: Vec::new(),
            is_newest_first: false,
        }
    }

    /// Of the policy, in the account and region, and of the cluster that `filter` names.
    pub(super) fn of_pair(&mut self, filter: &RunFilter) {
        self.equal("policy", filter.policy.as_ref());
        self.equal("account", filter.account.as_ref());
        self.equal("region", filter.region.as_ref());
        self.equal("cluster", filter.cluster.as_ref());
        self.among(filter, ["policy", "account", "region", "cluster"]);
    }

    /// Of one of the pairs that `filter` is among, by these columns.
    pub(super) fn among(&mut self, filter: &RunFilter, columns: [&'static str; 4]) {
        let [policy, account, region, cluster] = columns;
        self.one_of(policy, &filter.among.policies);
        self.one_of(account, &filter.among.accounts);
        self.one_of(region, &filter.among.regions);
        self.one_of(cluster, &filter.among.clusters);
    }

    fn one_of(&mut self, column: &'static str, values: &[impl ToString]) {
        if values.is_empty() {
            return;
        }
        let marks = vec!["?"; values.len()].join(", ");
        self.sql.extend([" AND ", column, " IN (", &marks, ")"]);
        let values = { values.iter() }.map(|value| Box::new(value.to_string()) as Box<dyn ToSql>);
        self.values.extend(values);
    }

    /// By what came of the run: its outcome's instant, and its snapshot.
    pub(super) fn of_what_came(&mut self, filter: &RunFilter) {
        self.compare("ended_at >= ?", filter.ended_since.map(to_text));
        self.of_snapshot(filter.snapshot_id.as_ref());
        if let Some(short_id) = &filter.short_id {
            let end = short_id.strip_suffix("-r1").unwrap_or(short_id);
            let condition = "(substr(snapshot_id, -9) = ? OR substr(snapshot_id, -12) = ?)";
            self.compare(condition, Some(format!("-{end}")));
            self.values.push(Box::new(format!("-{end}-r1")));
        }
        if let Some(presence) = filter.presence {
            self.and(presence.condition());
        }
    }

    pub(super) fn equal(&mut self, column: &'static str, value: Option<&impl ToString>) {
        if let Some(value) = value {
            self.sql.extend([" AND ", column, " = ?"]);
            self.values.push(Box::new(value.to_string()));
        }
    }

    /// A condition without a value.
    pub(super) fn and(&mut self, condition: &'static str) {
        self.sql.extend([" AND ", condition]);
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

    /// Of which a run is scheduled in the period that `filter` names.
    pub(super) fn and_a_run(&mut self, filter: &RunFilter) {
        self.sql.push_str(
            " AND EXISTS (SELECT 1 FROM runs AS one WHERE one.policy = of.policy AND one.account = of.account
              AND one.region = of.region AND one.cluster = of.cluster",
        );
        self.compare("one.scheduled_at >= ?", filter.since.map(to_text));
        self.compare("one.scheduled_at <= ?", filter.until.map(to_text));
        self.sql.push(')');
    }

    /// One row for each pair.
    pub(super) fn group_by_pair(&mut self) {
        self.sql
            .push_str(" GROUP BY policy, account, region, cluster");
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
    pub(super) fn newest(&mut self, instant: &'static str, limit: Option<u32>) {
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
    pub(super) fn each(
        self,
        connection: &Connection,
        mut take: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(&self.sql)?;
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

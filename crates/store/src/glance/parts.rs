//! The part of a history that a question is about.
//!
//! Owns: which pairs and runs belong to it, all as of one instant.

use rusqlite::Connection;

use crate::error::Fault;
use crate::query::Query;
use crate::read::RunFilter;
use crate::row::{self, PAIRS, RUNS};
use crate::there::THERE;
use crate::{load, meta};
use redkeep_core::history::History;
use redkeep_core::names::ClusterId;
use redkeep_core::slot::{Pair, Scope};

pub(super) fn history_of(connection: &Connection, cluster: &ClusterId) -> Result<History, Fault> {
    let of_cluster = RunFilter {
        cluster: Some(cluster.clone()),
        ..RunFilter::default()
    };
    // The newest of each pair, and the newest that may be there.
    part_of(
        connection,
        &of_cluster,
        &[("true", Some(1)), (THERE, Some(2))],
    )
}

pub(super) fn history_of_scope(connection: &Connection, scope: &Scope) -> Result<History, Fault> {
    let of_scope = RunFilter {
        account: Some(scope.account.clone()),
        region: Some(scope.region.clone()),
        ..RunFilter::default()
    };
    part_of(connection, &of_scope, &[(THERE, None)])
}

/// The pairs that `filter` asks for, their open runs, and of each pair the newest runs for which a condition holds, all as of
/// one instant.
fn part_of(
    connection: &Connection,
    filter: &RunFilter,
    conditions: &[(&'static str, Option<u32>)],
) -> Result<History, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let mut history = History::default();
    history.rebuilt_at = meta::rebuilt_at(&snapshot)?;
    let mut query = Query::new(&PAIRS);
    query.of_pair(filter);
    history.pairs.extend(query.run(&snapshot, row::pair)?);
    let pairs: Vec<Pair> = history.pairs.keys().cloned().collect();
    let mut open = Query::new(&RUNS);
    open.of_pair(filter);
    open.and("progress IS NOT NULL");
    for run in open.run(&snapshot, row::run)? {
        history.insert(run);
    }
    for pair in &pairs {
        for (condition, limit) in conditions {
            let mut query = Query::new(&RUNS);
            query.of_pair(&RunFilter::of(pair));
            query.and(condition);
            query.newest("scheduled_at", *limit);
            for run in query.run(&snapshot, row::run)? {
                history.insert(run);
            }
        }
    }
    history.pauses = load::pauses(&snapshot)?;
    Ok(history)
}

//! The count of requests to AWS.
//!
//! Owns: one number for each scope, operation and code. A counter vector of the library would do, were it
//! not that a scope's series must go when the scope does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::text::{Labels, Lines};
use crate::redshift::Operation;
use crate::slot::Scope;

/// By the words of operation and code, in whose order they are shown.
type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// How many requests of each kind were made.
#[derive(Debug, Default)]
pub(super) struct Requests {
    counts: Mutex<BTreeMap<Scope, Counts>>,
}

impl Requests {
    pub(super) fn count(&self, scope: &Scope, operation: Operation, code: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_scope = counts.entry(scope.clone()).or_insert_with(zeros);
        *of_scope.entry((operation.as_str(), code)).or_default() += 1;
    }

    /// Drops the counts of all other scopes, and begins with 0 for whatever may come of each operation in new ones: the
    /// rate of a series that begins with 1 does not show the first.
    pub(super) fn keep<'a>(&self, scopes: impl Iterator<Item = &'a Scope>) {
        let scopes: BTreeSet<&Scope> = scopes.collect();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|scope, _| scopes.contains(scope));
        for scope in scopes {
            if !counts.contains_key(scope) {
                counts.insert(scope.clone(), zeros());
            }
        }
    }

    /// A line for each, in the order of their labels.
    pub(super) fn write(&self, lines: &mut Lines) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (scope, of_scope) in counts.iter() {
            for ((operation, code), count) in of_scope {
                let labels = Labels::new([
                    ("account", scope.account.as_str()),
                    ("region", scope.region.as_str()),
                    ("operation", operation),
                ]);
                lines.add_with(&labels, ("code", code), *count as f64);
            }
        }
    }
}

/// Nothing asked yet, for each operation and whatever may come of it.
fn zeros() -> Counts {
    let operations = Operation::ALL.into_iter();
    let series = operations.flat_map(|operation| {
        let codes = operation.codes();
        codes.map(move |code| ((operation.as_str(), code), 0))
    });
    series.collect()
}

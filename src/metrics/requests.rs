//! The count of requests to AWS.
//!
//! Owns: one number for each scope, operation and code. A counter vector of the library would do, were it
//! not that a scope's series must go when the scope does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use super::families::{Family, Sample};
use crate::redshift::Operation;
use crate::slot::Scope;

type Counts = BTreeMap<(Scope, Operation, &'static str), u64>;

/// How many requests of each kind were made.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    family: Family,
    counts: Arc<Mutex<Counts>>,
}

impl Requests {
    pub(super) fn new() -> prometheus::Result<Self> {
        let family = Family::new(
            "redkeep_aws_requests_total",
            "Requests to AWS since the daemon started, by their outcome: ok, the error's code, or other.",
            MetricType::COUNTER,
            &["account", "region", "operation", "code"],
        )?;
        Ok(Self {
            family,
            counts: Arc::default(),
        })
    }

    pub(super) fn count(&self, scope: &Scope, operation: Operation, code: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((scope.clone(), operation, code)).or_default() += 1;
    }

    /// Drops the counts of all other scopes, and begins with 0 for whatever may come of each operation in new ones: the
    /// rate of a series that begins with 1 does not show the first.
    pub(super) fn keep<'a>(&self, scopes: impl Iterator<Item = &'a Scope>) {
        let scopes: BTreeSet<&Scope> = scopes.collect();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|(scope, _, _), _| scopes.contains(scope));
        for scope in scopes {
            for operation in Operation::ALL {
                for code in operation.codes() {
                    counts.entry((scope.clone(), operation, code)).or_default();
                }
            }
        }
    }
}

impl Collector for Requests {
    fn desc(&self) -> Vec<&Desc> {
        vec![self.family.desc()]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = counts
            .iter()
            .map(|((scope, operation, code), count)| Sample {
                labels: vec![
                    scope.account.to_string(),
                    scope.region.to_string(),
                    operation.as_str().to_owned(),
                    (*code).to_owned(),
                ],
                value: *count as f64,
            });
        vec![self.family.of(samples.collect())]
    }
}

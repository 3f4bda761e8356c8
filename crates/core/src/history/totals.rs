//! How many runs of a pair have ended, and how.
//!
//! Owns: the count of each outcome. Never forgets one, though the run itself leaves the history.

use crate::run::OutcomeKind;

/// How many runs of a pair ended with each result, over all time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are the results of the metric `redkeep_runs_total`"
)]
pub struct Totals {
    pub available: u64,
    pub failed: u64,
    pub missed: u64,
    pub skipped: u64,
    pub expired: u64,
    pub conflict: u64,
}

impl Totals {
    /// Counts `count` runs that ended with `result`.
    pub fn add(&mut self, result: OutcomeKind, count: u64) {
        *self.of_mut(result) += count;
    }

    /// Takes one back.
    pub(super) fn remove_one(&mut self, result: OutcomeKind) {
        let count = self.of_mut(result);
        *count = count.saturating_sub(1);
    }

    /// How many runs ended with `result`.
    pub fn of(&self, result: OutcomeKind) -> u64 {
        match result {
            OutcomeKind::Available => self.available,
            OutcomeKind::Failed => self.failed,
            OutcomeKind::Missed => self.missed,
            OutcomeKind::Skipped => self.skipped,
            OutcomeKind::Expired => self.expired,
            OutcomeKind::Conflict => self.conflict,
        }
    }

    fn of_mut(&mut self, result: OutcomeKind) -> &mut u64 {
        match result {
            OutcomeKind::Available => &mut self.available,
            OutcomeKind::Failed => &mut self.failed,
            OutcomeKind::Missed => &mut self.missed,
            OutcomeKind::Skipped => &mut self.skipped,
            OutcomeKind::Expired => &mut self.expired,
            OutcomeKind::Conflict => &mut self.conflict,
        }
    }

    /// The counts in the order of the documentation.
    pub fn by_result(&self) -> [(OutcomeKind, u64); 6] {
        OutcomeKind::ALL.map(|result| (result, self.of(result)))
    }

    /// How many runs ended.
    pub fn ended(&self) -> u64 {
        self.by_result().iter().map(|(_, count)| count).sum()
    }
}

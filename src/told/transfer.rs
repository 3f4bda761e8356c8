//! How far AWS has got with a snapshot, in its own figures.

use chrono::TimeDelta;
use indicatif::HumanBytes;

use crate::explain::span;
use crate::snapshot::Snapshot;

/// What AWS counts in.
const MEGABYTE: f64 = 1_048_576.0;

/// How far AWS has got, in its own figures.
pub(crate) struct Transfer {
    pub(crate) done_bytes: u64,
    pub(crate) whole_bytes: u64,
    bytes_per_second: u64,
    remaining: TimeDelta,
}

impl Transfer {
    /// `None` as long as AWS tells nothing: all figures are 0 or absent until the transfer has begun.
    pub(crate) fn of(snapshot: &Snapshot) -> Option<Self> {
        let bytes = |megabytes: Option<f64>| (megabytes.unwrap_or_default() * MEGABYTE) as u64;
        let rate = bytes(snapshot.current_backup_rate_in_mega_bytes_per_second);
        let done = bytes(snapshot.backup_progress_in_mega_bytes);
        let remaining = snapshot.estimated_seconds_to_completion.unwrap_or_default();
        let seconds = u64::try_from(remaining).unwrap_or_default();
        let whole = bytes(snapshot.actual_incremental_backup_size_in_mega_bytes);
        let whole = whole.max(done.saturating_add(rate.saturating_mul(seconds)));
        (whole > 0).then_some(Self {
            done_bytes: done,
            whole_bytes: whole,
            bytes_per_second: rate,
            remaining: TimeDelta::try_seconds(remaining).unwrap_or_default(),
        })
    }

    /// Done, whole, rate and what is left, for people.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} of {}, {}/s, {} left",
            HumanBytes(self.done_bytes),
            HumanBytes(self.whole_bytes),
            HumanBytes(self.bytes_per_second),
            span(self.remaining)
        )
    }
}

//! The past in outline: what forecasts and reports look at, of hundreds of thousands of snapshots.
//!
//! Owns: which members of a complete snapshot's run these need. Never what the daemon decides by, which is the whole
//! [`History`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::history::{History, PairState};
use crate::names::{AccountName, Tier};
use crate::pause::Pauses;
use crate::run::Run;
use crate::seen::{Seen, Tenure};
use crate::slot::{Pair, Slot};
use crate::snapshot::SnapshotId;

/// A complete snapshot that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its slot's instant.
    pub scheduled_at: DateTime<Utc>,
    /// Its name.
    pub id: SnapshotId,
    /// Its retention class.
    pub tier: Tier,
    /// How long it is kept.
    pub tenure: Tenure,
    /// ActualIncrementalBackupSizeInMegaBytes.
    pub incremental_megabytes: Option<f64>,
}

impl Kept {
    /// Of a run; `None` where no complete snapshot of it is there.
    pub fn of(run: &Run) -> Option<Self> {
        run.is_good().then(|| Self {
            scheduled_at: run.slot.scheduled_at,
            id: run.request.snapshot_id.clone(),
            tier: run.request.tier,
            tenure: run.tenure(),
            incremental_megabytes: run.snapshot.as_ref().and_then(Seen::incremental_megabytes),
        })
    }
}

/// The past in outline.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    /// Every pair that was ever active.
    pub pairs: BTreeMap<Pair, PairState>,
    /// When which policy was paused, and resumed.
    pub pauses: Pauses,
    /// The account numbers that the accounts' names have stood for.
    pub account_numbers: BTreeMap<AccountName, String>,
    /// The runs that have no outcome yet, by their slots.
    pub open: BTreeMap<Slot, Run>,
    /// The complete snapshots that are there, those of each pair in the order of their slots.
    pub kept: BTreeMap<Pair, Vec<Kept>>,
}

impl Outline {
    /// The complete snapshots of a pair, in the order of their slots.
    pub fn kept_of(&self, pair: &Pair) -> &[Kept] {
        self.kept.get(pair).map_or(&[], Vec::as_slice)
    }

    /// The open runs of a pair, in the order of their slots.
    pub fn open_of<'a>(&'a self, pair: &Pair) -> impl Iterator<Item = &'a Run> + use<'a> {
        let at = |scheduled_at| Slot {
            pair: pair.clone(),
            scheduled_at,
        };
        let slots = at(DateTime::<Utc>::MIN_UTC)..=at(DateTime::<Utc>::MAX_UTC);
        self.open.range(slots).map(|(_, run)| run)
    }

    /// When the newest complete snapshot of a pair was made.
    pub fn last_good_at(&self, pair: &Pair) -> Option<DateTime<Utc>> {
        self.kept_of(pair).last()?.tenure.created_at
    }
}

impl From<&History> for Outline {
    fn from(history: &History) -> Self {
        let mut kept: BTreeMap<Pair, Vec<Kept>> = BTreeMap::new();
        for pair in history.runs.pairs() {
            let of_pair = history.of_pair(pair).filter_map(Kept::of);
            kept.insert(pair.clone(), of_pair.collect());
        }
        let open = history.open().map(|run| (run.slot.clone(), run.clone()));
        Self {
            pairs: history.pairs.clone(),
            pauses: history.pauses.clone(),
            account_numbers: history.account_numbers.clone(),
            open: open.collect(),
            kept,
        }
    }
}

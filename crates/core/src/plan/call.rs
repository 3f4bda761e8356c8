//! The calls that a plan asks for.
//!
//! Owns: what each has with it, and how many requests it takes of its scope's budget. Never makes one: `execute` does.

use chrono::TimeDelta;

use crate::history::Extension;
use crate::operations::{Removal, SnapshotAction};
use crate::redshift::CreateRequest;
use crate::retention::prune::Proof;
use crate::slot::{Scope, Slot};
use crate::snapshot::SnapshotId;

/// A call to AWS, with all that is needed to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// List a scope's clusters and manual snapshots, all pages.
    List {
        /// The scope.
        scope: Scope,
        /// How far apart the pages are beyond the first [`SHORT_PAGES`](crate::observed::SHORT_PAGES).
        page_pause: TimeDelta,
        /// Whether the account's number is still to be asked for.
        asks_account: bool,
    },
    /// Ask for the snapshot of a run whose intent has been committed.
    Create {
        /// The run's slot.
        slot: Slot,
        /// What to ask for.
        request: CreateRequest,
    },
    /// Look for the snapshot of a run by its name.
    Describe {
        /// The run's slot.
        slot: Slot,
        /// The snapshot.
        id: SnapshotId,
        /// Whether the account's number is asked for as well: that the snapshot is not there says something only in
        /// the right account.
        asks_account: bool,
    },
    /// Ask why the snapshot of a run failed.
    Explain {
        /// The run's slot.
        slot: Slot,
        /// The snapshot.
        id: SnapshotId,
    },
    /// Put off the end of a good snapshot.
    Extend {
        /// The snapshot.
        id: SnapshotId,
        /// What is to be recorded of it.
        extension: Extension,
        /// The account's number, where it is known: another account may share one of the same name.
        account_number: Option<String>,
    },
    /// Describe a snapshot once more and, if it still may go, remove it; one that AWS may have been asked for
    /// before is only described.
    Remove {
        /// The intent, which has been committed.
        removal: Box<Removal>,
        /// What proves that it may be touched.
        proof: Box<Proof>,
    },
    /// Do what a person wants done to a snapshot, once it has proven itself to be redkeep's.
    SnapshotAction {
        /// What.
        action: Box<SnapshotAction>,
        /// What proves that it may be touched.
        proof: Box<Proof>,
    },
}

impl Call {
    /// The scope in which the call is made.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::List { scope, .. } => scope,
            Self::Create { slot, .. }
            | Self::Describe { slot, .. }
            | Self::Explain { slot, .. } => &slot.pair.scope,
            Self::Extend { extension, .. } => &extension.slot.pair.scope,
            Self::Remove { removal, .. } => &removal.slot.pair.scope,
            Self::SnapshotAction { action, .. } => &action.slot.pair.scope,
        }
    }

    /// How many requests the call takes of its scope's budget when it is made; a listing of more than one page
    /// is charged for the others when its answer tells how many there were.
    pub fn requests(&self) -> u32 {
        match self {
            Self::List {
                asks_account: true, ..
            } => 3,
            // One in doubt is only described.
            Self::Remove { removal, .. } if removal.look_at.is_some() => 1,
            Self::List { .. } | Self::Remove { .. } | Self::Extend { .. } => 2,
            Self::Describe {
                asks_account: true, ..
            } => 2,
            Self::SnapshotAction { .. } => 4,
            Self::Create { .. } | Self::Describe { .. } | Self::Explain { .. } => 1,
        }
    }

    /// The slot of the run that the call is for.
    pub fn slot(&self) -> Option<&Slot> {
        match self {
            Self::List { .. } => None,
            Self::Create { slot, .. }
            | Self::Describe { slot, .. }
            | Self::Explain { slot, .. } => Some(slot),
            Self::Extend { extension, .. } => Some(&extension.slot),
            Self::Remove { removal, .. } => Some(&removal.slot),
            Self::SnapshotAction { action, .. } => Some(&action.slot),
        }
    }
}

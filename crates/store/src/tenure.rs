//! By what right a store is written, and what follows from that.
//!
//! Owns: the difference between a history of this machine's own and one that is shared, as those see it who work on it.

use std::sync::Arc;
use std::time::Duration;

use redkeep_core::lease::Trust;

use super::{HeldLease, Peers, Store, beside};

/// A server answers within a tenth of a second; twice this much is less than a slot may be late.
const SHARED_PATIENCE: Duration = Duration::from_millis(700);

/// By what right the history is written.
#[derive(Debug, Clone)]
pub(super) enum Tenure {
    /// It is this machine's alone: whoever holds the state directory writes it.
    Own,
    /// It is shared, and this instance has the lease.
    Leased(Arc<HeldLease>),
    /// It is shared, and cannot be written: this instance works on its copy alone.
    Orphaned,
}

impl Tenure {
    /// Whether nobody else can be working on the history.
    pub(super) fn is_trusted(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Leased(lease) => lease.is_trusted(),
            Self::Orphaned => false,
        }
    }
}

impl Store {
    /// Whether nobody else can be working on the history: only then may anything be deleted, shortened or told.
    pub fn is_trusted(&self) -> bool {
        self.shared.tenure.is_trusted()
    }

    /// For how long an answer is waited for where slots may be due: one that comes later is to be taken in then. A disk that
    /// does not answer is waited for.
    pub fn patience(&self) -> Duration {
        match &self.shared.tenure {
            Tenure::Own => Duration::MAX,
            Tenure::Leased(_) | Tenure::Orphaned => SHARED_PATIENCE,
        }
    }

    /// Whether somebody has asked this instance to let another one work.
    pub fn is_wanted(&self) -> bool {
        matches!(&self.shared.tenure, Tenure::Leased(lease) if lease.is_wanted())
    }

    /// Ends when another instance works on the history; never where it is this machine's alone.
    pub async fn lost(&self) {
        match &self.shared.tenure {
            Tenure::Leased(lease) => lease.lost().await,
            Tenure::Own | Tenure::Orphaned => std::future::pending().await,
        }
    }

    /// The number of the term, where the history is shared and this instance has the lease.
    pub fn epoch(&self) -> Option<i64> {
        match &self.shared.tenure {
            Tenure::Leased(lease) => Some(lease.epoch()),
            Tenure::Own | Tenure::Orphaned => None,
        }
    }

    /// How many instances share the history; `None` where it is this machine's alone, or nobody can tell.
    pub fn peers(&self) -> Option<Peers> {
        match &self.shared.tenure {
            Tenure::Leased(lease) => Some(lease.peers()),
            Tenure::Own | Tenure::Orphaned => None,
        }
    }

    /// Says to the other instances which configuration is in force here from now on, by its fingerprint.
    pub fn configured(&self, hash: String) {
        if let Tenure::Leased(lease) = &self.shared.tenure {
            lease.configured(hash);
        }
    }

    /// Lets another instance work, after what was asked before is done.
    pub async fn give_up(&self) {
        if let Tenure::Leased(lease) = &self.shared.tenure {
            let lease = Arc::clone(lease);
            // Where that fails, the others count to the end.
            let _ = beside(move || {
                lease.give_up();
                Ok(())
            })
            .await;
        }
    }
}

impl Trust for Store {
    fn is_trusted(&self) -> bool {
        self.is_trusted()
    }
}

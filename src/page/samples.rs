//! Pairs and records for the tests of the page.

use chrono::DateTime;

use crate::metrics::PairView;
use crate::run::OutcomeKind;
use crate::slot::{Pair, Scope};
use crate::store::LastEnded;

pub(super) fn pair(cluster: &str) -> Pair {
    Pair {
        policy: "nightly".parse().unwrap(),
        scope: Scope {
            account: "prod".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        },
        cluster: cluster.parse().unwrap(),
    }
}

pub(super) fn pair_view(cluster: &str) -> PairView {
    PairView {
        pair: pair(cluster),
        totals: Default::default(),
        extensions: 0,
        in_progress: false,
        completion_deadline: None,
        last_success: None,
        active_since: DateTime::UNIX_EPOCH,
        last_run: None,
        next_run: None,
        interval: None,
        rpo: None,
        size_bytes: None,
    }
}

pub(super) fn ended(kind: OutcomeKind, reason: Option<&str>) -> LastEnded {
    LastEnded {
        at: DateTime::UNIX_EPOCH,
        kind,
        reason: reason.map(str::to_owned),
        message: None,
        is_good: kind == OutcomeKind::Available,
    }
}

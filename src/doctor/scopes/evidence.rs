//! What cannot be asked without doing it, and what the history tells of it.
//!
//! Owns: whether AWS lets redkeep create and delete, by what it answered last. Never asks.

use chrono::{DateTime, Utc};

use super::super::Finding;
use super::Asked;
use crate::config::Config;
use crate::history::History;
use crate::operations::Removal;
use crate::redshift::Operation;
use crate::refusals::in_force;
use crate::run::Reason;
use crate::slot::{Pair, Scope, rfc3339};
use crate::standing::{self, Concern};

/// What the history says of the permission to create, or to delete, in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing.
    None,
    /// AWS did it.
    Accepted {
        /// When.
        at: DateTime<Utc>,
        /// Its name.
        id: String,
    },
    /// AWS refused the last one, and will refuse the next alike until somebody does something about it.
    Refused {
        /// When it was asked for last.
        at: DateTime<Utc>,
        /// What for.
        why: Reason,
        /// AWS's words.
        message: String,
    },
}

/// What the newest create calls of a scope tell.
pub fn evidence(config: &Config, history: &History, scope: &Scope) -> Evidence {
    let refused = in_force(config, history, scope);
    if let Some((run, why)) = refused.last().and_then(|run| Some((run, run.refusal()?))) {
        return Evidence::Refused {
            at: run.asked_at.unwrap_or(run.slot.scheduled_at),
            why: why.clone(),
            message: run.message.clone().unwrap_or_default(),
        };
    }
    let accepted = history.runs.in_scope(scope);
    let newest = accepted.filter_map(|run| Some((run.accepted_at?, run)));
    let newest = newest.max_by_key(|(at, _)| *at);
    newest.map_or(Evidence::None, |(at, run)| Evidence::Accepted {
        at,
        id: run.request.snapshot_id.to_string(),
    })
}

/// What AWS refuses in a scope now, beside what it refuses all create calls for.
pub fn refused_now(history: &History, scope: &Scope, now: DateTime<Utc>) -> Vec<(Pair, Concern)> {
    let open = history
        .open()
        .filter(|run| run.slot.pair.scope == *scope && !run.is_refused_for_good());
    let told = open.filter_map(|run| {
        let concern = standing::refused_now(run, now, rfc3339)?;
        Some((run.slot.pair.clone(), concern))
    });
    told.collect()
}

/// What the last attempt to delete a snapshot tells.
pub fn deleting(last: Option<&Removal>) -> Evidence {
    let ended = last.and_then(|removal| Some((removal, removal.end.as_ref()?)));
    match ended {
        Some((removal, end)) if end.is_done() => Evidence::Accepted {
            at: end.at,
            id: removal.id.to_string(),
        },
        Some((_, end)) if end.is_denied() => Evidence::Refused {
            at: end.at,
            why: Reason::AccessDenied,
            message: end.text(),
        },
        _ => Evidence::None,
    }
}

pub(super) fn creating(asked: &Asked) -> Finding {
    const CHECK: &str = Operation::CreateClusterSnapshot.action();
    let print = format!("`redkeep iam-policy --account {}`", asked.scope.account);
    match &asked.evidence {
        Evidence::None => Finding::warning(
            CHECK,
            "whether it and redshift:CreateTags are allowed cannot be asked without side effects: Redshift has no \
             dry run; redkeep has not asked for a snapshot here yet",
            format!(
                "compare the identity's permissions with {print}, or have IAM simulate them (aws iam \
                 simulate-principal-policy); the first slot will show it"
            ),
        ),
        Evidence::Accepted { at, id } => Finding::ok(
            CHECK,
            format!(
                "not asked, since Redshift has no dry run; AWS accepted {id}, with its tags, at {}",
                rfc3339(*at)
            ),
        ),
        Evidence::Refused { at, why, message } => Finding::failed(
            CHECK,
            format!(
                "not asked, since Redshift has no dry run; AWS refused the last one, at {}, {why}: {message}",
                rfc3339(*at)
            ),
            match why {
                Reason::Quota => format!(
                    "delete some, keep fewer, or have AWS raise the quota; AWS's own limit may be below \
                     `snapshot_quota`, which is {}",
                    asked.quota
                ),
                _ => format!("allow it and redshift:CreateTags; {print} prints what is needed"),
            },
        ),
    }
}

/// How many slots that AWS refuses now are told for each scope; `redkeep status` tells all.
const MOST_SLOTS: usize = 5;

pub(super) fn slots(refused: &[(Pair, Concern)]) -> Vec<Finding> {
    const CHECK: &str = "slots";
    let told = refused.iter().take(MOST_SLOTS).map(|(pair, concern)| {
        let found = format!("{} {}: {}", pair.policy, pair.cluster, concern.words);
        Finding::failed(CHECK, found, format!("`{}`", concern.command))
    });
    let more = refused.len().saturating_sub(MOST_SLOTS);
    let more = (more > 0).then(|| {
        Finding::failed(
            CHECK,
            format!("AWS refuses {more} more slots"),
            "`redkeep status`",
        )
    });
    told.chain(more).collect()
}

pub(super) fn deletes(evidence: &Evidence, scope: &Scope) -> Finding {
    const CHECK: &str = Operation::DeleteClusterSnapshot.action();
    let print = format!("`redkeep iam-policy --account {}`", scope.account);
    match evidence {
        Evidence::None => Finding::warning(
            CHECK,
            "whether it is allowed cannot be asked without side effects; `keep_last` has deleted nothing here yet",
            format!("compare the identity's permissions with {print}"),
        ),
        Evidence::Accepted { at, id } => Finding::ok(
            CHECK,
            format!("not asked; AWS deleted {id} at {}", rfc3339(*at)),
        ),
        Evidence::Refused { at, message, .. } => Finding::failed(
            CHECK,
            format!("not asked; AWS refused it at {}: {message}", rfc3339(*at)),
            format!("allow it, as {print} prints it, or take keep_last out of the policies"),
        ),
    }
}

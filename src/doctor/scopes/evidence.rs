//! What cannot be asked without doing it, and what the history tells of it.
//!
//! Owns: whether AWS lets redkeep create and delete, by what it answered last. Never asks.

use chrono::{DateTime, Utc};

use super::super::Finding;
use super::Asked;
use crate::history::History;
use crate::operations::Removal;
use crate::redshift::Operation;
use crate::run::{Outcome, Reason, Run, RunState};
use crate::slot::{Scope, rfc3339};

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
    /// AWS refused the last one for lack of permission.
    Denied {
        /// When a snapshot was asked for last.
        at: DateTime<Utc>,
        /// AWS's words.
        message: String,
    },
}

/// What the newest create calls of a scope tell.
pub fn evidence(history: &History, scope: &Scope) -> Evidence {
    let runs = history.runs.values();
    let telling = runs
        .filter(|run| run.slot.pair.scope == *scope)
        .filter_map(|run| Some((run.asked_at?, told_by(run)?)));
    let newest = telling.max_by_key(|(at, _)| *at);
    newest.map_or(Evidence::None, |(_, evidence)| evidence)
}

fn told_by(run: &Run) -> Option<Evidence> {
    let refusal = match &run.state {
        RunState::Waiting { refusal, .. } => Some(&refusal.why),
        RunState::Ended(Outcome::Expired(why)) => Some(why.refusal()),
        _ => None,
    };
    if refusal == Some(&Reason::AccessDenied) {
        return Some(Evidence::Denied {
            at: run.asked_at?,
            message: run.message.clone().unwrap_or_default(),
        });
    }
    Some(Evidence::Accepted {
        at: run.accepted_at?,
        id: run.request.snapshot_id.to_string(),
    })
}

/// What the last attempt to delete a snapshot tells.
pub fn deleting(last: Option<&Removal>) -> Evidence {
    let ended = last.and_then(|removal| Some((removal, removal.end.as_ref()?)));
    match ended {
        Some((removal, end)) if end.is_done() => Evidence::Accepted {
            at: end.at,
            id: removal.id.to_string(),
        },
        Some((_, end)) if end.is_denied() => Evidence::Denied {
            at: end.at,
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
             dry run; no snapshot was asked for here yet",
            format!(
                "compare the identity's permissions with {print}, or have IAM simulate them (aws iam \
                 simulate-principal-policy); the first slot will tell"
            ),
        ),
        Evidence::Accepted { at, id } => Finding::ok(
            CHECK,
            format!(
                "not asked, since Redshift has no dry run; AWS accepted {id}, with its tags, at {}",
                rfc3339(*at)
            ),
        ),
        Evidence::Denied { at, message } => Finding::failed(
            CHECK,
            format!(
                "not asked, since Redshift has no dry run; AWS refused the last one, at {}: {message}",
                rfc3339(*at)
            ),
            format!("allow it and redshift:CreateTags; {print} prints what is needed"),
        ),
    }
}

pub(super) fn deletes(evidence: &Evidence, scope: &Scope) -> Finding {
    const CHECK: &str = Operation::DeleteClusterSnapshot.action();
    let print = format!("`redkeep iam-policy --account {}`", scope.account);
    match evidence {
        Evidence::None => Finding::warning(
            CHECK,
            "whether it is allowed cannot be asked without side effects; nothing of keep_last was deleted here yet",
            format!("compare the identity's permissions with {print}"),
        ),
        Evidence::Accepted { at, id } => Finding::ok(
            CHECK,
            format!("not asked; AWS deleted {id} at {}", rfc3339(*at)),
        ),
        Evidence::Denied { at, message } => Finding::failed(
            CHECK,
            format!("not asked; AWS refused it at {}: {message}", rfc3339(*at)),
            format!("allow it, as {print} prints it, or take keep_last out of the policies"),
        ),
    }
}

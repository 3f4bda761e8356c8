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
use crate::refusals::{Refusals, in_force};
use crate::run::Reason;
use crate::slot::{Scope, rfc3339};
use crate::standing::{self, Concern, subject};

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
    /// AWS was asked, and has accepted none yet, for something else than what lasts.
    Unaccepted {
        /// When it was asked last.
        at: DateTime<Utc>,
        /// What came of it.
        message: String,
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
pub fn evidence(config: &Config, history: &History, scope: &Scope, now: DateTime<Utc>) -> Evidence {
    let refused = in_force(config, history, scope, now);
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
    match newest {
        Some((at, run)) => Evidence::Accepted {
            at,
            id: run.request.snapshot_id.to_string(),
        },
        None => asked(history, scope),
    }
}

/// That AWS was asked and has accepted nothing; in doubt that nothing is known.
fn asked(history: &History, scope: &Scope) -> Evidence {
    let asked = history.runs.in_scope(scope);
    let asked = asked.filter_map(|run| Some((run.asked_at?, run)));
    let newest = asked.max_by_key(|(at, _)| *at);
    newest.map_or(Evidence::None, |(at, run)| Evidence::Unaccepted {
        at,
        message: run.reason().unwrap_or_else(|| run.word().to_owned()),
    })
}

/// What AWS refuses in a scope now, beside what it refuses all create calls for: of whom, and what is so.
pub fn refused_now(history: &History, scope: &Scope, now: DateTime<Utc>) -> Vec<(String, Concern)> {
    let causes = Refusals::now(history, now).of_pairs(|pair| pair.scope == *scope);
    let causes = causes.iter().filter(|one| !one.why.is_lasting());
    let told = causes.filter_map(|one| {
        let concern = standing::refused(one, now, rfc3339)?;
        Some((subject(one), concern))
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
        Evidence::Unaccepted { at, message } => Finding::warning(
            CHECK,
            format!(
                "not asked, since Redshift has no dry run; AWS has accepted no snapshot here yet; the last one was asked \
                 for at {}: {message}",
                rfc3339(*at)
            ),
            "`redkeep status` shows what is wrong, and which command helps",
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

/// For how many causes the slots that AWS refuses now are told for each scope; `redkeep status` tells all.
const MOST_CAUSES: usize = 5;

pub(super) fn slots(refused: &[(String, Concern)]) -> Vec<Finding> {
    const CHECK: &str = "slots";
    let told = refused.iter().take(MOST_CAUSES).map(|(subject, concern)| {
        let found = format!("{subject}: {}", concern.words);
        Finding::failed(CHECK, found, format!("`{}`", concern.command))
    });
    let more = refused.len().saturating_sub(MOST_CAUSES);
    let more = (more > 0).then(|| {
        Finding::failed(
            CHECK,
            format!("AWS refuses more for {more} other reasons"),
            "`redkeep status`",
        )
    });
    told.chain(more).collect()
}

pub(super) fn deletes(evidence: &Evidence, scope: &Scope) -> Finding {
    const CHECK: &str = Operation::DeleteClusterSnapshot.action();
    let print = format!("`redkeep iam-policy --account {}`", scope.account);
    match evidence {
        Evidence::None | Evidence::Unaccepted { .. } => Finding::warning(
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

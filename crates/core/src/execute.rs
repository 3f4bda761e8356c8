//! Making the calls that the plan asks for.
//!
//! Owns: the step from a [`Call`] to a [`Reply`]. Never decides anything; an answer goes back as it came.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::join;

use crate::names::Retention;
use crate::operations::{ActionKind, Removal, SnapshotAction};
use crate::plan::Call;
use crate::redshift::{Answer, ErrorClass, Redshift, RedshiftError, ServerDate};
use crate::reply::{Described, Listed, Removed, Reply};
use crate::retention::guard::is_still_needed;
use crate::retention::hold::{HoldStep, is_done};
use crate::retention::prune::Proof;
use crate::snapshot::{Hold, Snapshot, SnapshotId};

/// Makes `call`, which begins at `began_at`.
pub async fn execute<R: Redshift>(call: Call, client: Arc<R>, began_at: DateTime<Utc>) -> Reply {
    match call {
        Call::List {
            scope,
            page_pause,
            asks_account,
        } => {
            let pause = page_pause.to_std().unwrap_or_default();
            let (clusters, snapshots) = join(client.clusters(), client.snapshots(pause)).await;
            let account_number = if asks_account {
                Some(client.account_number().await)
            } else {
                None
            };
            Reply::Listed(Box::new(Listed {
                scope,
                began_at,
                clusters,
                snapshots,
                account_number,
            }))
        }
        Call::Create { slot, request } => Reply::Created(slot, client.create(&request).await),
        Call::Describe {
            slot,
            id,
            asks_account,
        } => {
            let snapshots = client.snapshot(&id).await;
            let account_number = match asks_account {
                true => Some(client.account_number().await),
                false => None,
            };
            Reply::Described(Box::new(Described {
                slot,
                began_at,
                snapshots,
                account_number,
            }))
        }
        Call::Explain { slot, id } => Reply::Explained(slot, client.events(&id).await),
        Call::Remove { removal, proof } => {
            let answer = remove(&removal, &proof, &*client, began_at).await;
            Reply::Removed(removal, answer)
        }
        Call::SnapshotAction { mut action, proof } => {
            let answer = run_action(&mut action, &proof, &*client, began_at).await;
            Reply::Done(action, answer)
        }
        Call::Extend {
            id,
            extension,
            account_number,
        } => {
            let answer = extend(&id, extension.to, account_number.as_deref(), &*client).await;
            Reply::Extended(Box::new(extension), answer)
        }
    }
}

/// The reply to a call whose making ended without one: its outcome is unknown.
pub fn lost(call: Call, began_at: DateTime<Utc>) -> Reply {
    match call {
        Call::List { scope, .. } => Reply::Listed(Box::new(Listed {
            scope,
            began_at,
            clusters: unknown(),
            snapshots: unknown(),
            account_number: None,
        })),
        Call::Create { slot, .. } => Reply::Created(slot, unknown()),
        Call::Describe { slot, .. } => Reply::Described(Box::new(Described {
            slot,
            began_at,
            snapshots: unknown(),
            account_number: None,
        })),
        Call::Explain { slot, .. } => Reply::Explained(slot, unknown()),
        Call::Extend { extension, .. } => Reply::Extended(Box::new(extension), unknown()),
        Call::Remove { removal, .. } => Reply::Removed(removal, unknown()),
        Call::SnapshotAction { action, .. } => Reply::Done(action, unknown()),
    }
}

/// Describes the snapshot, and keeps it for longer unless somebody has seen to that meanwhile.
async fn extend<R: Redshift>(
    id: &SnapshotId,
    to: Retention,
    account: Option<&str>,
    client: &R,
) -> Answer<Arc<Snapshot>> {
    let described = client.snapshot(id).await;
    let is_ours = |one: &&Arc<Snapshot>| {
        let owners = account.zip(one.account_number());
        one.snapshot_identifier == id.as_str() && owners.is_none_or(|(ours, owner)| ours == owner)
    };
    let found = match &described.result {
        Ok(found) => found.iter().find(is_ours),
        Err(error) => return before_sending(&described, error),
    };
    match found.cloned() {
        None => with(described, 0, drop).map_to(Err(gone())),
        Some(one) if !is_still_needed(&one, to) => with(described, 0, drop).map_to(Ok(one)),
        Some(_) => with(client.keep_for(id, to).await, described.requests, |one| one),
    }
}

fn gone() -> RedshiftError {
    RedshiftError {
        class: ErrorClass::SnapshotNotFound,
        code: None,
        message: "it is gone since".to_owned(),
    }
}

/// Describes the snapshot and removes it if it still may go; one in doubt is only looked for.
async fn remove<R: Redshift>(
    removal: &Removal,
    proof: &Proof,
    client: &R,
    now: DateTime<Utc>,
) -> Answer<Removed> {
    let described = client.snapshot(&removal.id).await;
    let found = match &described.result {
        Ok(found) => found,
        Err(error) => return before_sending(&described, error),
    };
    let outcome = if removal.look_at.is_some() {
        let is_it = |one: &Arc<Snapshot>| {
            one.snapshot_identifier == removal.id.as_str() && proof.is_ours(one)
        };
        let is_there = found.iter().any(is_it);
        Ok(if is_there {
            Removed::Present
        } else {
            Removed::Absent
        })
    } else {
        let seen = (found.as_slice(), described.server_date);
        match proof.removable(&removal.id, removal.why, seen, now) {
            Err(why) => Ok(Removed::Refused(why)),
            Ok(None) => Ok(Removed::Absent),
            Ok(Some(cluster)) => {
                let deleted = client.delete(&removal.id, &cluster).await;
                return with(deleted, described.requests, |()| Removed::Done);
            }
        }
    };
    with(described, 0, |_| ()).map_to(outcome)
}

/// What went wrong before anything was sent that changes something is clear, whatever it was.
fn before_sending<T, U>(answer: &Answer<T>, error: &RedshiftError) -> Answer<U> {
    let class = match error.class {
        ErrorClass::Unknown => ErrorClass::Unsent,
        class => class,
    };
    Answer {
        result: Err(RedshiftError {
            class,
            ..error.clone()
        }),
        server_date: answer.server_date,
        requests: answer.requests,
    }
}

/// The answer after `before` further requests.
fn with<T, U>(answer: Answer<T>, before: u32, map: impl FnOnce(T) -> U) -> Answer<U> {
    Answer {
        result: answer.result.map(map),
        server_date: answer.server_date,
        requests: answer.requests + before,
    }
}

/// Proves the snapshot, does one step after the other, and reads it again. Where it ends between two steps, the action
/// has its trouble.
async fn run_action<R: Redshift>(
    action: &mut SnapshotAction,
    proof: &Proof,
    client: &R,
    now: DateTime<Utc>,
) -> Answer<(Arc<Snapshot>, String)> {
    let described = client.snapshot(&action.snapshot).await;
    let found = match &described.result {
        Ok(found) => found,
        Err(error) => return before_sending(&described, error),
    };
    let half = |one: &Arc<Snapshot>| proof.is_ours(one) && one.hold() == Hold::Half;
    let was_half = action.kind != ActionKind::Takeover && found.iter().any(half);
    let steps = proof.steps(action, found, now);
    action.trouble = None;
    let (arn, steps) = match steps {
        Ok(steps) => steps,
        Err(why) => {
            let error = RedshiftError {
                class: ErrorClass::Invalid,
                code: None,
                message: why,
            };
            return with(described, 0, |_| ()).map_to(Err(error));
        }
    };
    for (done, step) in steps.iter().enumerate() {
        let answer = match step {
            HoldStep::Tag(key, value) => client.tag(&arn, key, value).await,
            HoldStep::Untag(key) => client.untag(&arn, key).await,
            HoldStep::KeepFor(retention) => {
                with(client.keep_for(&action.snapshot, *retention).await, 0, drop)
            }
        };
        if let Err(error) = answer.result.clone() {
            let may_be_done = done > 0 || error.class == ErrorClass::Unknown && steps.len() > 1;
            action.trouble = (was_half || may_be_done).then(|| error.told());
            return answer.map_to(Err(error));
        }
    }
    let again = client.snapshot(&action.snapshot).await;
    let is_it = |one: &&Arc<Snapshot>| {
        one.snapshot_identifier == action.snapshot.as_str() && proof.is_ours(one)
    };
    let found = match &again.result {
        Ok(found) => found.iter().find(is_it),
        Err(error) => return before_sending(&again, error),
    };
    let result = match found {
        None => Err(gone()),
        Some(one) if !is_done(action.kind, proof.writer.as_str(), one) => {
            let error = unseen();
            action.trouble = Some(error.told()).filter(|_| one.hold() == Hold::Half);
            Err(error)
        }
        Some(one) => Ok((Arc::clone(one), told(action, &steps))),
    };
    again.map_to(result)
}

/// What is told where AWS has taken every step of an action, and does not show it.
pub const UNSEEN: &str = "AWS accepted the change but does not show it";

/// AWS has taken every step, and does not show it yet.
fn unseen() -> RedshiftError {
    RedshiftError {
        class: ErrorClass::Unknown,
        code: None,
        message: UNSEEN.to_owned(),
    }
}

fn told(action: &SnapshotAction, steps: &[HoldStep]) -> String {
    if steps.is_empty() {
        let already = match action.kind {
            ActionKind::Hold => "it is already on hold",
            ActionKind::Release => "it is not on hold",
            ActionKind::Takeover => "this installation is already its writer",
        };
        return already.to_owned();
    }
    let period = steps.iter().find_map(|step| match step {
        HoldStep::KeepFor(retention) => Some(format!(", its period is {retention}")),
        _ => None,
    });
    let period = period.unwrap_or_default();
    match action.kind {
        ActionKind::Hold => format!("on hold{period}"),
        ActionKind::Release => format!("released{period}"),
        ActionKind::Takeover => "taken over".to_owned(),
    }
}

fn unknown<T>() -> Answer<T> {
    Answer {
        result: Err(RedshiftError {
            class: ErrorClass::Unknown,
            code: None,
            message: "the call ended without an answer".to_owned(),
        }),
        server_date: ServerDate::NoAnswer,
        requests: 1,
    }
}

#[cfg(test)]
mod tests;

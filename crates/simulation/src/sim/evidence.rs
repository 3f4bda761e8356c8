//! What a host goes by: I22 no call with the same content is repeated sooner than its back-off while nothing changed, and
//! no create call whose outcome is open before a look for its name, I23 a run is changed only by an answer that names its snapshot and account, I24 no verdict of absence from a listing begun
//! before AWS accepted and ten minutes more.
//!
//! Owns: when each call was made last and what AWS had then, and when the last listing of each scope began, in true time.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::plan::Call;
use redkeep_core::run::{GoneReason, Outcome, Reason, Run, RunState};
use redkeep_core::slot::Scope;
use redkeep_core::snapshot::tag;
use redkeep_sandbox::tag::Tag;

use super::aws::Aws;
use super::refused::NO_CODE;

/// docs/semantics.md, section 2: not found within ten minutes of acceptance is patience.
const MAX_LISTING_LAG: TimeDelta = TimeDelta::minutes(10);

/// A call that was made.
struct Made {
    at: DateTime<Utc>,
    /// The same by the host's own clock.
    told_at: DateTime<Utc>,
    /// What there was to be seen and known then.
    known: String,
}

/// What one host went by.
#[derive(Default)]
pub struct Evidence {
    made: BTreeMap<String, Made>,
    /// When the last listing that it took in of each scope began.
    looks: BTreeMap<Scope, DateTime<Utc>>,
    /// When the last answered look for a single name was sent.
    named: BTreeMap<(Scope, String), DateTime<Utc>>,
    /// When the answer to a create call came that does not say what was done, for each name that nobody has looked for
    /// since.
    open: BTreeMap<(Scope, String), DateTime<Utc>>,
    /// Since when its clock has been right.
    pub clock_right_since: Option<DateTime<Utc>>,
}

impl Evidence {
    /// A new process, a new configuration or another clock: nothing is known of what was tried before.
    pub fn forget_calls(&mut self) {
        self.made.clear();
        self.open.clear();
    }

    /// The answer to the create call for a name has come, and does not say what was done.
    pub fn left_open(&mut self, scope: &Scope, id: &str, now: DateTime<Utc>) {
        self.open.insert((scope.clone(), id.to_owned()), now);
    }

    /// A complete listing that began at `began_at`, in true time, is taken in.
    pub fn looked(&mut self, scope: &Scope, began_at: DateTime<Utc>) {
        self.looks.insert(scope.clone(), began_at);
        self.open
            .retain(|(of, _), opened_at| of != scope || began_at < *opened_at);
    }

    /// A look for one name that was sent at `sent_at`, in true time, is answered.
    pub fn looked_for(&mut self, scope: &Scope, id: &str, sent_at: DateTime<Utc>) {
        self.named.insert((scope.clone(), id.to_owned()), sent_at);
    }

    /// I22, before a call is made. `commits` says how much the host has recorded so far, and `run` what of the call's.
    pub fn calling(
        &mut self,
        call: &Call,
        (commits, run): (u64, Option<&Run>),
        aws: &Aws,
        (now, told_now): (DateTime<Utc>, DateTime<Utc>),
    ) {
        match call {
            Call::Create { request, .. } => {
                let key = (call.scope().clone(), request.snapshot_id.to_string());
                let id = &request.snapshot_id;
                assert!(
                    !self.open.contains_key(&key),
                    "I22: {id} is asked for again, and nobody has looked what became of the last request"
                );
            }
            // What AWS answers, if it does, is another matter: the doubt has an end.
            Call::Describe { id, .. } => {
                let key = (call.scope().clone(), id.to_string());
                self.open.remove(&key);
            }
            _ => {}
        }
        let (content, pause) = content(call);
        let known = match call {
            Call::List { .. } => commits.to_string(),
            Call::Describe { .. } => run.map_or(0, |run| run.attempts).to_string(),
            Call::Create { request, .. } => let_in(aws, request.snapshot_id.as_str()),
            Call::Extend { id, .. } => described(aws, call.scope(), id.as_str()),
            Call::SnapshotAction { action, .. } => {
                described(aws, call.scope(), action.snapshot.as_str())
            }
            _ => String::new(),
        };
        let made = Made {
            at: now,
            told_at: told_now,
            known,
        };
        let before = self.made.get(&content);
        let same = before.filter(|before| before.known == made.known);
        let pause = match (call, run, same) {
            (Call::Create { request, .. }, Some(run), Some(before)) => pause.max(back_off(
                aws,
                request.snapshot_id.as_str(),
                run,
                before.told_at,
            )),
            _ => pause,
        };
        assert!(
            same.is_none_or(|before| now >= before.at + pause),
            "I22: {content} is repeated after {} ms, and nothing has changed",
            same.map_or(0, |before| (now - before.at).num_milliseconds())
        );
        self.made.insert(content, made);
    }

    /// I23, before a change of a run that follows from an answer is committed.
    pub fn changing(before: Option<&Run>, run: &Run, home: &Aws, is_from_home: bool) {
        if let Some(snapshot) = &run.snapshot {
            let (name, asked) = (snapshot.identifier(), &run.request.snapshot_id);
            // The first, failed, is kept beside a second that is asked for.
            let first = asked.as_str().strip_suffix("-r1");
            assert!(
                name == asked.as_str() || first == Some(name),
                "I23: {run} has the snapshot of another: {name}"
            );
            let owner = snapshot.account_number();
            let ours = home.account.account_id.as_str();
            assert!(
                owner.is_none_or(|owner| owner == ours),
                "I23: {run} is of {ours}, and has a snapshot of {owner:?}"
            );
        }
        let seen = |run: &Run| (run.is_ended(), run.gone.is_some(), run.snapshot.is_some());
        let now = seen(run);
        assert!(
            is_from_home || before.map_or((false, false, false), seen) == now,
            "I23: {run} is changed by an answer of another account: {:?}, gone: {:?}",
            run.state,
            run.gone
        );
    }

    /// I24, before a change of a run is committed.
    pub fn concluding(&self, before: Option<&Run>, run: &Run, home: &Aws, now: DateTime<Utc>) {
        let is_steady = |since: DateTime<Utc>| now > since + TimeDelta::hours(1);
        let is_removed = is_new(before, run, &|run| gone_by(run, GoneReason::Pruned));
        if !is_removed && !is_absence(before, run) || !self.clock_right_since.is_none_or(is_steady)
        {
            return;
        }
        let (id, scope) = (run.request.snapshot_id.as_str(), &run.slot.pair.scope);
        let region = home.account.region_at(scope.region.as_str(), now);
        let mut there = region.snapshots_at(now);
        // Another one in its place has other tags.
        let policy = run.slot.pair.policy.as_str();
        let is_other = |tag: &Tag| tag.key == tag::POLICY && tag.value != policy;
        let is_there =
            there.any(|one| one.snapshot_identifier == id && !one.tags.iter().any(is_other));
        assert!(
            !is_there,
            "I24: {run} is said to be gone, and {id} is there"
        );
        if is_removed {
            return;
        }
        let accepted = home.accepted.iter().find(|(made, _)| made == id);
        let named = self.named.get(&(scope.clone(), id.to_owned()));
        let look = self.looks.get(scope).max(named);
        assert!(
            accepted.is_none_or(|(_, at)| look.is_some_and(|look| *look >= *at + MAX_LISTING_LAG)),
            "I24: {run}, accepted at {:?}, is said to be gone by a look that began at {look:?}",
            accepted.map(|(_, at)| at)
        );
    }
}

/// Whether the change says that AWS has the snapshot no more, by what a listing lacks.
fn is_absence(before: Option<&Run>, run: &Run) -> bool {
    let vanished = |run: &Run| {
        matches!(
            &run.state,
            RunState::Ended(Outcome::Failed(Reason::Vanished))
        )
    };
    let gone = |run: &Run| run.gone.is_some() && !gone_by(run, GoneReason::Pruned);
    is_new(before, run, &vanished) || is_new(before, run, &gone)
}

fn gone_by(run: &Run, reason: GoneReason) -> bool {
    run.gone.as_ref().is_some_and(|gone| gone.reason == reason)
}

/// Whether something holds of the run that did not hold before.
fn is_new(before: Option<&Run>, run: &Run, is: &dyn Fn(&Run) -> bool) -> bool {
    is(run) && !before.is_some_and(is)
}

/// What a call asks for, and how soon it may be asked for again.
fn content(call: &Call) -> (String, TimeDelta) {
    let second = TimeDelta::seconds(1);
    let scope = call.scope();
    match call {
        Call::List { asks_account, .. } => {
            let whose = if *asks_account {
                " and whose it is"
            } else {
                ""
            };
            (format!("the listing of {scope}{whose}"), second)
        }
        Call::Create { slot, request } => {
            let attempt = &request.snapshot_id;
            (format!("the request for {attempt}, for {slot}"), second)
        }
        Call::Describe {
            slot,
            id,
            asks_account,
        } => {
            let whose = if *asks_account {
                " and whose it is"
            } else {
                ""
            };
            (format!("the look for {id}{whose}, for {slot}"), second)
        }
        Call::Explain { slot, id } => (format!("the events of {id}, for {slot}"), second * 10),
        Call::Extend { id, extension, .. } => {
            let to = extension.to;
            (
                format!("{id} of {scope} is to be kept for {to}"),
                second * 60,
            )
        }
        Call::Remove { removal, .. } => {
            let (id, at) = (&removal.id, removal.planned_at);
            (
                format!("the removal of {id} of {scope}, planned at {at}"),
                second * 60,
            )
        }
        Call::SnapshotAction { action, .. } => {
            (format!("the errand {} of {scope}", action.id), second * 5)
        }
    }
}

/// Whether AWS lets anything in, for a name that was refused for something that is so in the whole account: an acceptance
/// there is a change. Why a cluster is refused is not changed by another one's snapshot.
fn let_in(aws: &Aws, id: &str) -> String {
    let code = aws.last_codes.get(id).map_or(NO_CODE, String::as_str);
    match common_pause(code) {
        Some(_) => (aws.accepted.len() + aws.found_existing).to_string(),
        None => String::new(),
    }
}

/// How long nothing is asked for again after a code that is so in the whole account; docs/semantics.md, section 2.
fn common_pause(code: &str) -> Option<TimeDelta> {
    match code {
        "ClusterSnapshotQuotaExceeded" => Some(TimeDelta::minutes(30)),
        "AccessDenied" | "UnauthorizedOperation" => Some(TimeDelta::minutes(10)),
        "RequestExpired" | "SignatureDoesNotMatch" => Some(TimeDelta::minutes(5)),
        // The first time new credentials are fetched at once.
        "ExpiredToken" | "InvalidClientTokenId" => Some(TimeDelta::seconds(1)),
        _ => None,
    }
}

/// How long a name is not asked for again that was refused after it was asked for at `asked_at`: at most half of what was left
/// until its deadline or the next slot.
fn back_off(aws: &Aws, id: &str, run: &Run, asked_at: DateTime<Utc>) -> TimeDelta {
    let code = aws.last_codes.get(id).map_or(NO_CODE, String::as_str);
    let next = Some(run.slot.scheduled_at + run.request.interval).filter(|next| *next > asked_at);
    let deadline = run.request.deadline;
    let end = next.map_or(deadline, |next| next.min(deadline));
    let pause = common_pause(code).unwrap_or_default();
    pause.min((end - asked_at) / 2)
}

/// What can be changed of a snapshot, as AWS has it.
fn described(aws: &Aws, scope: &Scope, id: &str) -> String {
    let region = aws.account.region(scope.region.as_str());
    let one = region.and_then(|region| region.snapshots.get(id));
    one.map_or_else(String::new, |one| {
        format!(
            "{} {} {:?}",
            one.retention_days, one.retention_started_at, one.tags
        )
    })
}

//! What goes on, against what the receivers know of it.
//!
//! Owns: which alarm is which cause, and when the absence of an alarm proves that it is over. After a start nothing was
//! looked at yet: what is only not seen goes on. It looks at the whole fleet, as the alarms do, and so at most each half
//! minute (`engine`).

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::decision::{Decision, Seen};
use super::texts;
use crate::history::{Change, PairState};
use crate::observed::ScopeView;
use crate::outbox::{Cause, Condition, Content, Subject};
use crate::plan::{Alarm, Facts, alarms, guarded};
use crate::refusals::has_accepted;
use crate::run::Run;
use crate::slot::{Scope, Slot};

/// A policy's runs that are still a job after so long are nobody's any more: their account or policy is gone.
const LONGEST_JOB: TimeDelta = TimeDelta::days(14);

/// How something goes on that no alarm tells of any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Nothing says that it is over.
    GoesOn,
    /// What was looked at since shows that it is over.
    Over,
    /// redkeep does not look at it any more: the policy file or the cluster is another one.
    Unwatched,
}

pub(super) fn told(facts: Facts<'_>) -> Vec<Change> {
    let mut decision = Decision::new(facts);
    let mut there = BTreeSet::new();
    for (alarm, said) in alarms(facts) {
        let (cause, subject) = alarm.cause();
        let content = || texts::of_alarm(facts, &alarm, (cause, &subject), &said);
        decision.begin((cause, &subject), Seen::Standing, content);
        there.insert((cause, subject));
    }
    let care = guarded(facts);
    for condition in facts.history.conditions.values() {
        let key = &condition.key;
        if !there.contains(&(key.cause, key.subject.clone())) {
            conclude(&mut decision, condition, &care);
        } else if !is_heard(facts, condition) {
            decision.forget(key);
        }
    }
    decision.into_changes()
}

fn conclude(decision: &mut Decision<'_>, condition: &Condition, care: &BTreeSet<Slot>) {
    let key = &condition.key;
    let about = (key.cause, &key.subject);
    let course = course(decision.facts, about, condition.since, care);
    match course {
        _ if !is_heard(decision.facts, condition) => decision.forget(key),
        _ if key.cause == Cause::Run => {
            if decision.facts.now - condition.since > LONGEST_JOB {
                decision.forget(key);
            }
        }
        Course::GoesOn => {}
        Course::Over => decision.end(key, |begun| Content {
            title: format!("{}: over", begun.title),
            reason: String::new(),
            action: "redkeep status".to_owned(),
            ..begun.clone()
        }),
        Course::Unwatched => decision.end(key, |begun| Content {
            title: format!("{}: no longer watched", begun.title),
            reason: "the policy file or the cluster has changed".to_owned(),
            action: "redkeep coverage".to_owned(),
            ..begun.clone()
        }),
    }
}

/// Whether the receiver is there, and is still told of this.
fn is_heard(facts: Facts<'_>, condition: &Condition) -> bool {
    let key = &condition.key;
    let mut receivers = facts.config.receivers.iter();
    receivers.any(|one| one.name == key.receiver && one.hears(key.cause, &key.subject))
}

/// How an alarm of `since` goes on that is not there any more.
pub fn course_of(facts: Facts<'_>, alarm: &Alarm, since: DateTime<Utc>) -> Course {
    let (cause, subject) = alarm.cause();
    course(facts, (cause, &subject), since, &guarded(facts))
}

fn course(
    facts: Facts<'_>,
    (cause, subject): (Cause, &Subject),
    since: DateTime<Utc>,
    care: &BTreeSet<Slot>,
) -> Course {
    match cause {
        Cause::Failed | Cause::Expired | Cause::Missed | Cause::Conflict | Cause::GuardWorks => {
            of_pair(facts, subject, Course::GoesOn)
        }
        // Whether it is so follows from the history, which is known after every start.
        Cause::Overdue => of_pair(facts, subject, Course::Over),
        Cause::StillCreating | Cause::UnknownStatus => Course::Over,
        Cause::NoSuchCluster => {
            let listed = is_listed(facts, subject);
            of_pair(facts, subject, listed)
        }
        Cause::QuotaNear | Cause::QuotaReached => of_scope(facts, subject, |scope, _| {
            facts.observed.manual_snapshots(scope).is_some()
        }),
        Cause::AccessDenied => match subject.scope() {
            Some(scope) if has_accepted(facts.history, &scope, since) => Course::Over,
            // What was refused is not asked for any more.
            _ => Course::Unwatched,
        },
        Cause::Refused => of_refused(facts, subject, since),
        Cause::ClockSkew => of_scope(facts, subject, |_, view| view.clocks_agree()),
        Cause::Unreachable => of_scope(facts, subject, |_, view| view.reached_at.is_some()),
        Cause::SameAccount | Cause::Unidentified => of_scope(facts, subject, |_, view| {
            view.reached_at.is_some() && view.is_identified
        }),
        Cause::OtherAccount => of_account(facts, subject),
        Cause::HalfHeld => of_scope(facts, subject, |_, view| view.snapshots.is_some()),
        Cause::GuardRefused | Cause::LettingGo => of_care(facts, subject, care),
        Cause::PruneBlocked | Cause::ConfirmationLapsed => of_policy(facts, subject),
        Cause::Run => Course::GoesOn,
    }
}

fn of_pair(facts: Facts<'_>, subject: &Subject, watched: Course) -> Course {
    let state = subject.pair();
    let state = state.and_then(|pair| facts.history.pairs.get(&pair));
    let is_known = subject
        .policy
        .as_ref()
        .is_some_and(|policy| facts.config.policy(policy).is_some());
    match state.is_some_and(PairState::is_active) && is_known {
        true => watched,
        false => Course::Unwatched,
    }
}

/// That a refused slot has ended does not show that the next one is accepted.
fn of_refused(facts: Facts<'_>, subject: &Subject, since: DateTime<Utc>) -> Course {
    let is_accepted = |run: &Run| run.accepted_at.is_some_and(|at| at > since);
    match subject.pair() {
        Some(pair) if facts.history.of_pair(&pair).any(is_accepted) => Course::Over,
        Some(_) => of_pair(facts, subject, Course::GoesOn),
        None => of_scope(facts, subject, |scope, _| {
            has_accepted(facts.history, scope, since)
        }),
    }
}

fn is_listed(facts: Facts<'_>, subject: &Subject) -> Course {
    let scope = subject.scope();
    let view = scope.and_then(|scope| facts.observed.scopes.get(&scope));
    match view.is_some_and(|view| view.clusters.is_some()) {
        true => Course::Over,
        false => Course::GoesOn,
    }
}

fn of_scope(
    facts: Facts<'_>,
    subject: &Subject,
    is_over: impl Fn(&Scope, &ScopeView) -> bool,
) -> Course {
    let Some(scope) = subject.scope() else {
        return Course::Unwatched;
    };
    match facts.observed.scopes.get(&scope) {
        None => Course::Unwatched,
        Some(view) if is_over(&scope, view) => Course::Over,
        Some(_) => Course::GoesOn,
    }
}

fn of_account(facts: Facts<'_>, subject: &Subject) -> Course {
    let Some(account) = &subject.account else {
        return Course::Unwatched;
    };
    let views = facts.observed.scopes.iter();
    let mut views = views.filter(|(scope, _)| scope.account == *account);
    let is_known = |view: &ScopeView| view.reached_at.is_some() && view.is_identified;
    match facts.config.account(account) {
        None => Course::Unwatched,
        Some(_) if views.any(|(_, view)| is_known(view)) => Course::Over,
        Some(_) => Course::GoesOn,
    }
}

/// Whether the end of a snapshot is near is only told by a listing.
fn of_care(facts: Facts<'_>, subject: &Subject, care: &BTreeSet<Slot>) -> Course {
    let Some(slot) = subject.slot() else {
        return Course::Unwatched;
    };
    match care.contains(&slot) {
        true => Course::GoesOn,
        false => of_scope(facts, subject, |_, view| view.snapshots.is_some()),
    }
}

/// What blocks the pass over a policy's snapshots shows once all of its scopes were looked at.
fn of_policy(facts: Facts<'_>, subject: &Subject) -> Course {
    let policy = subject.policy.as_ref();
    let Some(policy) = policy.and_then(|policy| facts.config.policy(policy)) else {
        return Course::Unwatched;
    };
    let mut views = policy.scopes.iter();
    let was_looked_at = |scope: &Scope| {
        let view = facts.observed.scopes.get(scope);
        view.is_some_and(ScopeView::was_looked_at)
    };
    match views.all(was_looked_at) {
        true => Course::Over,
        false => Course::GoesOn,
    }
}

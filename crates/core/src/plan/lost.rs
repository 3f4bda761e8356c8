//! What can no longer be followed.
//!
//! Owns: when that is, and what a run, a removal or an action ends with then. An account that is taken out of the policy
//! file keeps its client for what has begun; where that is gone too, after a restart, or where AWS does not answer it any
//! more, nobody can look, and what is open would be open for ever. Never ends anything in an account of the file.

use chrono::TimeDelta;

use crate::history::Change;
use crate::names::Trigger;
use crate::observed::{Listing, ScopeView};
use crate::run::{Event, Missed, Outcome, Reason, Run, RunState};
use crate::slot::Scope;

use super::open_runs::Open;
use super::{Facts, Plan};

/// How many listings in a row may fail in an account that has left the file: about ten minutes.
const MAX_FAILED_LISTINGS: u32 = 10;

/// How often it is looked whether an account has another name by now.
const RENAME_CHECK: TimeDelta = TimeDelta::seconds(5);

/// Whether nobody can follow what has begun in the scope, and its account is not in the file under another name.
pub(super) fn is_lost(facts: Facts<'_>, scope: &Scope) -> bool {
    is_out_of_reach(facts, scope) && !facts.may_be_renamed(&scope.account)
}

/// Whether nobody can look there now.
pub(super) fn is_out_of_reach(facts: Facts<'_>, scope: &Scope) -> bool {
    let Some(view) = facts.observed.scopes.get(scope) else {
        return true;
    };
    let is_removed = facts.config.account(&scope.account).is_none();
    is_removed && has_failed(view) && !is_answered(facts, scope)
}

/// Whether AWS tells of a run by its name, though it does not list.
fn is_answered(facts: Facts<'_>, scope: &Scope) -> bool {
    let looks = facts.observed.looks.iter();
    let mut looks = looks.filter(|(slot, _)| slot.pair.scope == *scope);
    looks.any(|(_, look)| look.failures == 0 && look.told_at.is_some())
}

fn has_failed(view: &ScopeView) -> bool {
    match view.listing {
        Listing::Next { failures, .. } | Listing::UnderWay { failures, .. } => {
            failures >= MAX_FAILED_LISTINGS
        }
    }
}

/// What is said of a run that ends because nobody can follow it.
pub(super) fn reason(scope: &Scope) -> String {
    format!("account {} is not in the policy file", scope.account)
}

/// Ends the open runs of a scope that is out of reach. Where its account may only have another name, what was asked for
/// waits until that is known, and a slot as long as its start window is open and until the first look.
pub(super) fn give_up(facts: Facts<'_>, open: &Open<'_>, plan: &mut Plan) {
    let is_ours = |run: &&&Run| facts.extent.has(run);
    // After a start nobody can know a name before a first listing tells a number.
    let is_looked_at = { facts.observed.scopes.values() }.all(ScopeView::was_looked_at);
    let idle = |run: &&&Run| !facts.observed.in_flight.contains(&run.slot);
    for run in open.runs.iter().filter(is_ours).filter(idle) {
        let is_open = facts.now < run.request.deadline || !is_looked_at;
        let may_wait = is_open || run.state != RunState::Due;
        if may_wait && facts.may_be_renamed(&run.slot.pair.scope.account) {
            plan.wake(run.request.deadline.max(facts.now + RENAME_CHECK));
            continue;
        }
        let (verdict, message) = end(run);
        let ended = (*run)
            .clone()
            .apply(Event::Placeless { verdict, message }, facts.now);
        let ended = ended.map(|run| Change::Run(Box::new(run)));
        plan.changes.extend(ended);
    }
}

/// What the run ends with, and what AWS may have of it.
fn end(run: &Run) -> (Outcome, Option<String>) {
    let lost = || Outcome::Failed(Reason::AccountRemoved);
    let told = |rest: &str| Some(format!("{}; {rest}", reason(&run.slot.pair.scope)));
    match &run.state {
        RunState::Due if run.trigger == Trigger::Schedule => {
            (Outcome::Missed(Missed::Disabled), None)
        }
        RunState::Due => never_asked(run),
        RunState::Concluding { verdict, .. } if run.attempts == 0 => {
            (verdict.clone(), told("AWS was not asked for it"))
        }
        RunState::Waiting { refusal, .. } => {
            let last = format!("AWS had refused it so far ({})", refusal.why);
            (lost(), told(&last))
        }
        RunState::Failing { .. } => (
            Outcome::Failed(Reason::SnapshotFailed),
            told("AWS was not asked why it failed"),
        ),
        RunState::Creating { .. } => (
            lost(),
            told("AWS accepted the snapshot and may have completed it: redkeep can no longer look"),
        ),
        RunState::Asking { .. }
        | RunState::InDoubt { .. }
        | RunState::Concluding { .. }
        | RunState::Ended(_) => (
            lost(),
            told("AWS may have made the snapshot: redkeep can no longer look"),
        ),
    }
}

fn never_asked(run: &Run) -> (Outcome, Option<String>) {
    let account = &run.slot.pair.scope.account;
    let message = format!(
        "the running daemon does not know the account {account}: reload its configuration, and try again"
    );
    (Outcome::Failed(Reason::Config), Some(message))
}

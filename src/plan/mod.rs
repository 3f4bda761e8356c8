//! The plan: from configuration, observation, history and `now` to what is to be done.
//!
//! Owns: every decision of the daemon. Never does anything: a plan is a value, so that a dry run, a test and
//! the daemon see the same. Planning over a history with unfinished runs is recovery; there is no other.
//!
//! `pairs` decides which pairs are active, `due` which slots get a run, `runs` what each open run needs.

mod due;
mod pairs;
mod runs;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Config;
use crate::history::{Change, History};
use crate::names::Writer;
use crate::observed::{Listing, Observed, ScopeView};
use crate::slot::{Scope, Slot};

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is to be committed, before any of the calls is made.
    pub changes: Vec<Change>,
    /// What AWS is to be asked.
    pub calls: Vec<Call>,
    /// What an operator should know, as long as it lasts.
    pub alarms: BTreeSet<Alarm>,
    /// When to plan again if nothing happens before.
    pub wake_at: DateTime<Utc>,
}

/// A call to AWS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// List a scope's clusters and manual snapshots, all pages.
    List(Scope),
    /// Ask for the snapshot of a run whose intent has been committed.
    Create(Slot),
    /// Look for the snapshot of a run in doubt.
    Describe(Slot),
    /// Ask why the snapshot of a run failed.
    Explain(Slot),
}

/// Something that lasts and that an operator should know; told once when it begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A snapshot has been `creating` for longer than its completion window.
    StillCreating(Slot),
    /// A snapshot has a status that the documentation does not give.
    UnknownStatus(Slot, String),
    /// A scope holds as many manual snapshots as its quota allows, or more.
    QuotaReached(Scope, u32),
    /// Our clock and AWS's are more than five minutes apart.
    ClockSkew(Scope),
    /// A scope's last listing failed.
    Unreachable(Scope, String),
}

/// What a decision is made from.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// What was seen of AWS.
    pub observed: &'a Observed,
    /// What is known of the past.
    pub history: &'a History,
    /// This installation, the writer of new snapshots.
    pub writer: &'a Writer,
    /// The present.
    pub now: DateTime<Utc>,
}

/// The longest that the daemon sleeps, whatever the plan says.
pub const LONGEST_SLEEP: TimeDelta = TimeDelta::seconds(30);

/// Decides what is to be done at `facts.now`.
///
/// Activations and newly due slots come first and alone: once they are committed the caller plans again, so
/// that each decision is made from a history that is in the store.
pub fn plan(facts: Facts<'_>) -> Plan {
    let mut plan = Plan {
        wake_at: facts.now + LONGEST_SLEEP,
        ..Plan::default()
    };
    pairs::activate(facts, &mut plan);
    if plan.changes.is_empty() {
        due::open_slots(facts, &mut plan);
    }
    if plan.changes.is_empty() {
        runs::advance(facts, &mut plan);
        list_scopes(facts, &mut plan);
    }
    raise_scope_alarms(facts, &mut plan);
    plan
}

impl Plan {
    fn wake(&mut self, at: DateTime<Utc>) {
        self.wake_at = self.wake_at.min(at);
    }
}

/// A listing is due at the scope's pace, or at once when a decision waits for one.
fn list_scopes(facts: Facts<'_>, plan: &mut Plan) {
    for (scope, view) in &facts.observed.scopes {
        let Listing::Next { at, failures } = view.listing else {
            continue;
        };
        let wanted_at = runs::look_wanted_at(facts, scope, view);
        let at = match failures {
            0 => at.min(wanted_at.unwrap_or(at)),
            _ => at,
        };
        if at <= facts.now && view.budget.available(facts.now) > 0 {
            plan.calls.push(Call::List(scope.clone()));
        } else {
            plan.wake(at.max(view.budget.next_at(facts.now)));
        }
    }
}

fn raise_scope_alarms(facts: Facts<'_>, plan: &mut Plan) {
    for (scope, view) in &facts.observed.scopes {
        if let Some(trouble) = &view.trouble {
            plan.alarms
                .insert(Alarm::Unreachable(scope.clone(), trouble.clone()));
        }
        if skewed(view) {
            plan.alarms.insert(Alarm::ClockSkew(scope.clone()));
        }
        let quota = facts.config.quota(scope);
        let held = facts.observed.manual_snapshots(scope);
        if held.is_some_and(|held| held >= quota as usize) {
            plan.alarms
                .insert(Alarm::QuotaReached(scope.clone(), quota));
        }
    }
}

fn skewed(view: &ScopeView) -> bool {
    use crate::observed::{SKEW_LIMIT, ServerClock};
    matches!(view.server_clock, ServerClock::Skew(skew) if skew.abs() > SKEW_LIMIT)
}

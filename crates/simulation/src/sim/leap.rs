//! Leaping over time in which nothing can happen.
//!
//! Owns: when that is. A daemon that has nothing to do lists its scopes once a minute and plans twice; a year has half
//! a million such minutes. Where nothing is on the wire, no fault waits, AWS has been looked at since it last changed,
//! and no slot, no change at AWS and no instant that an open run waits for comes soon, the daemons sleep until the
//! next of these. A simulation that does not leap (`Sim::leaps`) gives the same records: a test compares them.

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::observed::{Listing, ScopeView, ServerClock};
use redkeep_core::run::{Run, RunState};

use super::Sim;
use super::host::{Host, Process};

/// Shorter rests are lived through.
const SHORTEST: TimeDelta = TimeDelta::seconds(100);
/// A run that waits for another one is looked at so often.
const BLOCKED: TimeDelta = TimeDelta::minutes(5);
/// A longer rest is broken: the guard has to see that a snapshot will expire.
const LONGEST: TimeDelta = TimeDelta::hours(6);
/// A slot is met awake, and after a listing.
const LEAD: TimeDelta = TimeDelta::seconds(75);

impl Sim {
    /// Leaps if there is nothing to do; at most until `until`.
    pub(super) fn leap(&mut self, until: DateTime<Utc>) {
        let Some(quiet_until) = self.quiet_until() else {
            return;
        };
        let target = quiet_until.min(until).min(self.now + LONGEST);
        if target < self.now + SHORTEST {
            return;
        }
        self.now = target;
        for process in self
            .hosts
            .iter_mut()
            .filter_map(|host| host.process.as_mut())
        {
            process.turns_at = target;
        }
        self.leap_shared();
    }

    /// Until when nothing can happen.
    fn quiet_until(&self) -> Option<DateTime<Utc>> {
        let rests = self.wires.is_empty()
            && self.calls.is_empty()
            && self.crash_at.is_none()
            && self.aws.is_sound()
            && self.is_shared_calm();
        if !rests {
            return None;
        }
        let mut quiet_until = DateTime::<Utc>::MAX_UTC;
        for host in &self.hosts {
            quiet_until = quiet_until.min(match (&host.process, host.starts_at) {
                // Between a wait's end and the turn that sees it, a look at the lease may come.
                (Some(process), _) if self.shared.is_some() && process.turned_at != self.now => {
                    return None;
                }
                (Some(process), _) => rests_until(host, process, self.now)?,
                (None, Some(starts_at)) => starts_at,
                (None, None) => continue,
            });
        }
        // What is still to be seen by a listing is no rest.
        let looked_at = self
            .hosts
            .iter()
            .filter_map(looked_at)
            .min()
            .unwrap_or(self.now);
        let changes = self.accounts().filter_map(|aws| aws.next_change(looked_at));
        let changes_at = changes.min().unwrap_or(quiet_until);
        (changes_at > self.now).then(|| quiet_until.min(changes_at))
    }
}

/// Until when a process has nothing to do but to look.
fn rests_until(host: &Host, process: &Process, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let engine = &process.engine;
    let views = &engine.observed().scopes;
    let rests = process.turns_at > now && views.values().all(is_at_rest);
    let active = |pair: &redkeep_core::slot::Pair| engine.config().policy(&pair.policy);
    let slots = engine.history().pairs.iter().filter_map(|(pair, state)| {
        let policy = active(pair)?;
        state.next_slot(policy)
    });
    let slot = slots.min().unwrap_or(host.time(now) + LONGEST * 2);
    let mut until = slot - LEAD;
    for run in engine.history().open() {
        until = until.min(waits_until(run, host.time(now))?);
    }
    rests.then(|| until - host.clock_ahead)
}

/// Until when, by its host's clock, an open run needs nothing but what AWS does.
fn waits_until(run: &Run, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let blocked = now + BLOCKED;
    let later = |at: DateTime<Utc>| if at > now { at } else { blocked };
    let deadline = later(run.request.deadline);
    match &run.state {
        RunState::Creating { look_at } => Some(*look_at),
        RunState::Due => Some(later(run.request.starts_at).min(deadline)),
        RunState::Waiting { until, .. } => Some(later(*until).min(deadline)),
        RunState::Asking { .. }
        | RunState::InDoubt { .. }
        | RunState::Concluding { .. }
        | RunState::Failing { .. }
        | RunState::Ended(_) => None,
    }
}

fn is_at_rest(view: &ScopeView) -> bool {
    let clock = match view.server_clock {
        ServerClock::Unasked => false,
        ServerClock::Undated => true,
        ServerClock::Skew(skew) => skew.abs() < TimeDelta::seconds(200),
    };
    let clock = clock && view.doubted.is_none();
    clock && view.trouble.is_none() && matches!(view.listing, Listing::Next { failures: 0, .. })
}

/// When AWS was as a running host has seen it last, in true time.
fn looked_at(host: &Host) -> Option<DateTime<Utc>> {
    let views = host.process.as_ref()?.engine.observed().scopes.values();
    let began = views
        .filter_map(|view| view.snapshots.as_ref())
        .map(|seen| seen.began_at);
    Some(began.min()? - host.clock_ahead)
}

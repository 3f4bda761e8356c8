//! The inbox: what operators ask for beside the schedules.
//!
//! Owns: what is new of it, and its way into the history. Never carries a request out: the plan does.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Engine;
use crate::names::PolicyName;
use crate::operations::{Confirmation, SnapshotAction};
use crate::pause::Pauses;
use crate::run::Run;
use crate::slot::Slot;

/// What operators have asked for beside the schedules, as the store has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Requests {
    /// All pauses that there have been.
    pub pauses: Pauses,
    /// The open runs that people asked for.
    pub runs: Vec<Run>,
    /// The newest confirmation of each policy.
    pub confirmations: BTreeMap<PolicyName, Confirmation>,
    /// What is to be done to single snapshots.
    pub actions: Vec<SnapshotAction>,
    /// When records were found to be lost, unless somebody has acknowledged that.
    pub rebuilt_at: Option<DateTime<Utc>>,
}

/// What is known here and not in the store yet.
pub trait Pending {
    /// Of this run.
    fn has_run(&self, slot: &Slot) -> bool;
    /// Of this action.
    fn has_action(&self, id: i64) -> bool;
    /// Of anything.
    fn has_any(&self) -> bool;
}

/// Nothing is.
impl Pending for () {
    fn has_run(&self, _slot: &Slot) -> bool {
        false
    }

    fn has_action(&self, _id: i64) -> bool {
        false
    }

    fn has_any(&self) -> bool {
        false
    }
}

/// One request that was not known before.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// This policy's slots are not to be started.
    Pause(PolicyName),
    /// This policy's slots are to be started again.
    Resume(PolicyName),
    /// This snapshot is to be taken now.
    Snapshot(Box<Run>),
    /// The plan of this policy is right.
    Confirm(PolicyName),
    /// This is to be done to a snapshot.
    SnapshotAction(Box<SnapshotAction>),
    /// It is known that the history was rebuilt.
    Acknowledge,
}

impl Engine {
    /// Takes in what operators have asked for; returns what was not known. The runs among it are for the caller to hand
    /// to [`Engine::committed`]; the store has all of it already.
    ///
    /// `pending` tells of what more is known here than the store has been told yet.
    pub fn receive(&mut self, requests: Requests, pending: &impl Pending) -> Vec<Request> {
        let mut news = self.receive_operations(&requests, pending);
        let before = std::mem::replace(&mut self.history.pauses, requests.pauses);
        let after = &self.history.pauses;
        let paused = after
            .policies()
            .filter(|policy| before.since(policy).is_none());
        let resumed = before
            .policies()
            .filter(|policy| after.since(policy).is_none());
        news.extend(paused.cloned().map(Request::Pause));
        news.extend(resumed.cloned().map(Request::Resume));
        for run in requests.runs {
            let is_known = self.history.runs.contains_key(&run.slot);
            if !is_known && !pending.has_run(&run.slot) {
                news.push(Request::Snapshot(Box::new(run)));
            }
        }
        if !news.is_empty() {
            self.agenda.mark_all();
        }
        news
    }

    fn receive_operations(&mut self, requests: &Requests, pending: &impl Pending) -> Vec<Request> {
        let mut news = Vec::new();
        let history = &mut self.history;
        if history.rebuilt_at.is_some() && requests.rebuilt_at.is_none() && !pending.has_any() {
            history.rebuilt_at = None;
            // What was announced before is to be announced anew.
            history.passes.clear();
            history.confirmations.clear();
            news.push(Request::Acknowledge);
        } else if history.rebuilt_at.is_none() {
            // Another instance has found that the database lost records.
            history.rebuilt_at = requests.rebuilt_at;
        }
        for (policy, confirmation) in &requests.confirmations {
            let known = history.confirmations.get(policy);
            if known.is_none_or(|known| known.id < confirmation.id) {
                news.push(Request::Confirm(policy.clone()));
                let confirmation = confirmation.clone();
                history.confirmations.insert(policy.clone(), confirmation);
            }
        }
        for action in &requests.actions {
            if !history.actions.contains_key(&action.id) && !pending.has_action(action.id) {
                news.push(Request::SnapshotAction(Box::new(action.clone())));
                history.actions.insert(action.id, action.clone());
            }
        }
        news
    }
}

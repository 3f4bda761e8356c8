//! The world as redkeep knows it: configuration, history and observation under one roof.
//!
//! Owns: the order of one step — plan, commit, apply, call, take in — as methods without effects. The daemon
//! drives it with a clock, a store and clients; a simulation can drive the same with others.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::history::{Change, History};
use crate::names::Trigger;
use crate::names::{AccountName, PolicyName, Writer};
use crate::observed::{Listing, Observed, ScopeView};
use crate::pause::Pauses;
use crate::plan::{
    Alarm, Blocked, Call, Extent, Facts, Judged, Judgement, Plan, alarms, blocked, judged, lapsed,
    pass, plan, wants_confirmed,
};
use crate::policy::Policy;
use crate::reply::{Known, Reply, take_in};
use crate::run::{Event, Run, RunState};
use crate::settings::Config;
use crate::slot::{Scope, Slot};
use crate::snapshot::tag;
use crate::upkeep::{Confirmation, Errand};

/// What people ask for beside the schedules, as the store has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wishes {
    /// All pauses that there have been.
    pub pauses: Pauses,
    /// The open runs that people asked for.
    pub runs: Vec<Run>,
    /// The newest confirmation of each policy.
    pub confirmations: BTreeMap<PolicyName, Confirmation>,
    /// What is to be done to single snapshots.
    pub errands: Vec<Errand>,
    /// When records were found to be lost, unless somebody has acknowledged that.
    pub rebuilt_at: Option<DateTime<Utc>>,
}

/// What is known here and not in the store yet.
pub trait Pending {
    /// Of this run.
    fn has_run(&self, slot: &Slot) -> bool;
    /// Of this errand.
    fn has_errand(&self, id: i64) -> bool;
    /// Of anything.
    fn has_any(&self) -> bool;
}

/// Nothing is.
impl Pending for () {
    fn has_run(&self, _slot: &Slot) -> bool {
        false
    }

    fn has_errand(&self, _id: i64) -> bool {
        false
    }

    fn has_any(&self) -> bool {
        false
    }
}

/// One wish that was not known before.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// This policy's slots are not to be started.
    Pause(PolicyName),
    /// They are to be started again.
    Resume(PolicyName),
    /// This snapshot is to be taken now.
    Snapshot(Box<Run>),
    /// The plan of this policy is right.
    Confirm(PolicyName),
    /// This is to be done to a snapshot.
    Errand(Box<Errand>),
    /// It is known that the history was rebuilt.
    Acknowledge,
}

/// Everything that decisions are made from, but for the clock.
#[derive(Debug, Clone)]
pub struct World {
    /// The configuration in force.
    pub config: Config,
    /// What is known of the past; the store holds the same.
    pub history: History,
    /// What was seen of AWS.
    pub observed: Observed,
    /// This installation.
    pub writer: Writer,
    /// How far the work goes.
    pub extent: Extent,
    /// Whether the store has taken everything that was committed: while it has not, nothing is removed.
    pub is_written: bool,
}

impl World {
    /// A world in which AWS has not been looked at yet.
    pub fn new(config: Config, history: History, writer: Writer, now: DateTime<Utc>) -> Self {
        let mut world = Self {
            config,
            history,
            observed: Observed::default(),
            writer,
            extent: Extent::Endless,
            is_written: true,
        };
        world.observed = Observed::nothing(world.scopes(), now);
        world
    }

    /// The configured scopes, and those of open runs whose account is still configured: what has begun there
    /// is followed to its end.
    fn scopes(&self) -> BTreeSet<Scope> {
        let begun = self.begun();
        let begun = begun.filter(|scope| self.config.account(&scope.account).is_some());
        self.config
            .scopes()
            .into_iter()
            .chain(begun.cloned())
            .collect()
    }

    /// Where something is under way.
    fn begun(&self) -> impl Iterator<Item = &Scope> {
        let runs = self.history.open().map(|run| &run.slot);
        let removals = self.history.removals.values().map(|removal| &removal.slot);
        let errands = self.history.errands.values().map(|errand| &errand.slot);
        let slots = runs.chain(removals).chain(errands);
        slots.map(|slot| &slot.pair.scope)
    }

    /// Begins to look at the scopes of open runs that are not looked at yet, as a restart would: somebody may ask for
    /// a snapshot in a region that came into the file later.
    pub fn reach_out(&mut self, now: DateTime<Utc>) {
        let scopes = self.scopes();
        let seen = &mut self.observed.scopes;
        for scope in scopes {
            seen.entry(scope).or_insert_with(|| ScopeView::unseen(now));
        }
    }

    /// What a restart makes of the runs whose call it cut off: they are in doubt.
    pub fn recover(&self, now: DateTime<Utc>) -> Vec<Change> {
        let lost = Event::Lost {
            look_at: now,
            message: "the daemon stopped before the answer came".to_owned(),
        };
        self.history
            .open()
            .filter(|run| matches!(run.state, RunState::Asking { .. }))
            .filter_map(|run| run.clone().apply(lost.clone(), now))
            .map(|run| Change::Run(Box::new(run)))
            .collect()
    }

    /// What is to be done now.
    pub fn plan(&self, now: DateTime<Utc>) -> Plan {
        plan(self.facts(now))
    }

    /// What an operator should know now.
    pub fn alarms(&self, now: DateTime<Utc>) -> BTreeMap<Alarm, String> {
        alarms(self.facts(now))
    }

    /// What a pass over the snapshots of each policy that removes any would come to now.
    pub fn judge(&self, now: DateTime<Utc>) -> Vec<(&Policy, Judgement)> {
        let policies = self.config.policies.iter();
        let judged = policies.filter_map(|policy| Some((policy, pass(self.facts(now), policy)?)));
        judged.collect()
    }

    /// Every snapshot of a policy with what becomes of it, whether or not the policy removes any.
    pub fn judge_all(&self, policy: &Policy, now: DateTime<Utc>) -> Vec<Judged> {
        judged(self.facts(now), policy)
    }

    /// What keeps the snapshots of each policy that removes any from being removed now.
    pub fn prune_blocked(&self, now: DateTime<Utc>) -> BTreeMap<PolicyName, BTreeSet<Blocked>> {
        let policies = self.config.policies.iter();
        let pruning = policies.filter(|policy| policy.prunes());
        let blocked = pruning.map(|policy| (policy.name.clone(), blocked(self.facts(now), policy)));
        blocked.collect()
    }

    /// The confirmation of the policy's plan that has lapsed, where another is waited for.
    pub fn lapsed(&self, policy: &Policy, now: DateTime<Utc>) -> Option<&Confirmation> {
        lapsed(self.facts(now), policy)
    }

    /// Whether another installation made this run's snapshot for a slot that the schedule here does not have: its policy
    /// file or its time zone data is another.
    pub fn lacks_slot_of(&self, run: &Run) -> bool {
        let Slot { pair, scheduled_at } = &run.slot;
        let writer = run.request.tags.get(tag::WRITER);
        let is_of_another = writer.is_some_and(|writer| writer != self.writer.as_str());
        let pair_state = self.history.pairs.get(pair);
        let was_active =
            pair_state.is_some_and(|state| state.is_active() && state.active_from < *scheduled_at);
        let policy = self.config.policy(&pair.policy);
        let has_slot = policy.is_none_or(|policy| policy.schedule.has(*scheduled_at));
        run.trigger == Trigger::Schedule && is_of_another && was_active && !has_slot
    }

    /// Whether nothing is left of what people asked for beside snapshots.
    pub fn is_idle(&self, now: DateTime<Utc>) -> bool {
        let is_known = |slot: &Slot| self.observed.scopes.contains_key(&slot.pair.scope);
        let mut policies = self.config.policies.iter();
        let mut removals = self.history.removals.values();
        // One that is half done waits for somebody to mend something; once it was tried, nobody waits for it.
        let waits = |errand: &Errand| {
            errand.trouble.is_some() && self.observed.errand_trouble.contains_key(&errand.id)
        };
        self.history.errands.values().all(waits)
            && !removals.any(|removal| is_known(&removal.slot))
            && !policies.any(|policy| wants_confirmed(&self.history, policy, now))
    }

    fn facts(&self, now: DateTime<Utc>) -> Facts<'_> {
        Facts {
            config: &self.config,
            observed: &self.observed,
            history: &self.history,
            writer: &self.writer,
            extent: &self.extent,
            is_written: self.is_written,
            now,
        }
    }

    /// Takes in changes that have been committed.
    pub fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.history.apply(change);
        }
    }

    /// Puts in what the store told of runs that had ended before.
    pub fn recall(&mut self, runs: Vec<Run>) {
        for run in runs {
            self.history.insert(run);
        }
    }

    /// Notes that a call is being made.
    pub fn dispatched(&mut self, call: &Call, now: DateTime<Utc>) {
        let scope = call.scope();
        if let Some(view) = self.observed.scopes.get_mut(scope) {
            view.budget = view.budget.spent(call.requests(), now);
            if let (Call::List { .. }, Listing::Next { failures, .. }) = (call, view.listing) {
                view.listing = Listing::UnderWay {
                    failures,
                    since: now,
                };
            }
        }
        self.observed.in_flight.extend(call.slot().cloned());
    }

    /// Takes an answer in; the changes are for the caller to commit and apply.
    pub fn take_in(&mut self, reply: Reply, now: DateTime<Utc>) -> Vec<Change> {
        let known = Known {
            config: &self.config,
            history: &self.history,
            writer: &self.writer,
        };
        take_in(reply, known, &mut self.observed, now)
    }

    /// Whether an open run can be followed to its end: its account is configured, and is the one it was.
    pub fn can_end(&self, run: &Run) -> bool {
        let view = self.observed.scopes.get(&run.slot.pair.scope);
        view.is_some_and(|view| !view.is_other_account())
    }

    /// Takes in the pauses that people ask for; returns what was not known. The runs among it are for the
    /// caller to apply; the store has all of it already.
    ///
    /// `pending` tells of what more is known here than the store has been told yet.
    pub fn heed(&mut self, wishes: Wishes, pending: &impl Pending) -> Vec<Wish> {
        let mut news = self.heed_upkeep(&wishes, pending);
        let before = std::mem::replace(&mut self.history.pauses, wishes.pauses);
        let after = &self.history.pauses;
        let paused = after
            .policies()
            .filter(|policy| before.since(policy).is_none());
        let resumed = before
            .policies()
            .filter(|policy| after.since(policy).is_none());
        news.extend(paused.cloned().map(Wish::Pause));
        news.extend(resumed.cloned().map(Wish::Resume));
        for run in wishes.runs {
            let is_known = self.history.runs.contains_key(&run.slot);
            if !is_known && !pending.has_run(&run.slot) {
                news.push(Wish::Snapshot(Box::new(run)));
            }
        }
        news
    }

    fn heed_upkeep(&mut self, wishes: &Wishes, pending: &impl Pending) -> Vec<Wish> {
        let mut news = Vec::new();
        let history = &mut self.history;
        if history.rebuilt_at.is_some() && wishes.rebuilt_at.is_none() && !pending.has_any() {
            history.rebuilt_at = None;
            // What was announced before is to be announced anew.
            history.passes.clear();
            history.confirmations.clear();
            news.push(Wish::Acknowledge);
        }
        for (policy, confirmation) in &wishes.confirmations {
            let known = history.confirmations.get(policy);
            if known.is_none_or(|known| known.id < confirmation.id) {
                news.push(Wish::Confirm(policy.clone()));
                let confirmation = confirmation.clone();
                history.confirmations.insert(policy.clone(), confirmation);
            }
        }
        for errand in &wishes.errands {
            if !history.errands.contains_key(&errand.id) && !pending.has_errand(errand.id) {
                news.push(Wish::Errand(Box::new(errand.clone())));
                history.errands.insert(errand.id, errand.clone());
            }
        }
        news
    }

    /// Swaps the configuration; what was seen of the scopes that stay is kept.
    pub fn reconfigure(&mut self, config: Config, now: DateTime<Utc>) {
        // An account with other credentials may be another account.
        let old = std::mem::replace(&mut self.config, config);
        let edited = edited(&old, &self.config);
        let edited = edited.map(|name| (name.clone(), now));
        self.observed.edited_at.extend(edited);
        let same = |name: &AccountName| old.account(name) == self.config.account(name);
        self.observed.account_numbers.retain(|name, _| same(name));
        let (kept, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.observed.scopes)
                .into_iter()
                .partition(|(scope, _)| same(&scope.account));
        self.observed.scopes = kept;
        // A removed account's client is still there: what has begun with it is followed to its end.
        let scopes = self.begun().cloned().chain(self.config.scopes());
        let scopes = scopes.collect();
        self.observed.rescope(&scopes, now);
        let is_under_way = |view: &ScopeView| matches!(view.listing, Listing::UnderWay { .. });
        let outdated = dropped.into_iter().filter(|(_, view)| is_under_way(view));
        self.observed.outdate(outdated.map(|(scope, _)| scope), now);
    }
}

/// The policies that came, went, or are due at other times or for other clusters than before.
fn edited<'a>(old: &'a Config, new: &'a Config) -> impl Iterator<Item = &'a PolicyName> {
    let all = old.policies.iter().chain(&new.policies);
    let names = all.map(|policy| &policy.name);
    names.filter(|name| match (old.policy(name), new.policy(name)) {
        (Some(old), Some(new)) => !old.is_due_like(new),
        _ => true,
    })
}

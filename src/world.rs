//! The world as redkeep knows it: configuration, history and observation under one roof.
//!
//! Owns: the order of one step — plan, commit, apply, call, take in — as methods without effects. The daemon
//! drives it with a clock, a store and clients; a simulation can drive the same with others.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::history::{Change, History};
use crate::names::{AccountName, PolicyName, Writer};
use crate::observed::{Listing, Observed, ScopeView};
use crate::pause::Pauses;
use crate::plan::{Alarm, Call, Extent, Facts, Plan, alarms, plan};
use crate::reply::{Known, Reply, take_in};
use crate::run::{Event, Run, RunState};
use crate::slot::{Scope, Slot};

/// What people ask for beside the schedules, as the store has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wishes {
    /// All pauses that there have been.
    pub pauses: Pauses,
    /// The open runs that people asked for.
    pub runs: Vec<Run>,
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
        };
        world.observed = Observed::nothing(world.scopes(), now);
        world
    }

    /// The configured scopes, and those of open runs whose account is still configured: what has begun there
    /// is followed to its end.
    fn scopes(&self) -> BTreeSet<Scope> {
        let begun = self.history.open().map(|run| &run.slot.pair.scope);
        let begun = begun.filter(|scope| self.config.account(&scope.account).is_some());
        self.config
            .scopes()
            .into_iter()
            .chain(begun.cloned())
            .collect()
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

    fn facts(&self, now: DateTime<Utc>) -> Facts<'_> {
        Facts {
            config: &self.config,
            observed: &self.observed,
            history: &self.history,
            writer: &self.writer,
            extent: &self.extent,
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
                view.listing = Listing::UnderWay { failures };
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
    /// `is_newer` tells the runs of which more is known here than the store has been told yet.
    pub fn heed(&mut self, wishes: Wishes, is_newer: impl Fn(&Slot) -> bool) -> Vec<Wish> {
        let before = std::mem::replace(&mut self.history.pauses, wishes.pauses);
        let after = &self.history.pauses;
        let paused = after
            .policies()
            .filter(|policy| before.since(policy).is_none());
        let resumed = before
            .policies()
            .filter(|policy| after.since(policy).is_none());
        let mut news: Vec<Wish> = paused.cloned().map(Wish::Pause).collect();
        news.extend(resumed.cloned().map(Wish::Resume));
        for run in wishes.runs {
            let is_known = self.history.runs.contains_key(&run.slot);
            if !is_known && !is_newer(&run.slot) {
                news.push(Wish::Snapshot(Box::new(run)));
            }
        }
        news
    }

    /// Swaps the configuration; what was seen of the scopes that stay is kept.
    pub fn reconfigure(&mut self, config: Config, now: DateTime<Utc>) {
        // An account with other credentials may be another account.
        let old = std::mem::replace(&mut self.config, config);
        let same = |name: &AccountName| old.account(name) == self.config.account(name);
        self.observed.account_numbers.retain(|name, _| same(name));
        let (kept, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.observed.scopes)
                .into_iter()
                .partition(|(scope, _)| same(&scope.account));
        self.observed.scopes = kept;
        // A removed account's client is still there: what has begun with it is followed to its end.
        let begun = self.history.open().map(|run| run.slot.pair.scope.clone());
        let scopes = begun.chain(self.config.scopes()).collect();
        self.observed.rescope(&scopes, now);
        let is_under_way = |view: &ScopeView| matches!(view.listing, Listing::UnderWay { .. });
        let outdated = dropped.into_iter().filter(|(_, view)| is_under_way(view));
        self.observed.outdate(outdated.map(|(scope, _)| scope));
    }
}

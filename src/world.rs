//! The world as redkeep knows it: configuration, history and observation under one roof.
//!
//! Owns: the order of one step — plan, commit, apply, call, take in — as methods without effects. The daemon
//! drives it with a clock, a store and clients; a simulation can drive the same with others.

use chrono::{DateTime, Utc};

use crate::config::Config;
use crate::history::{Change, History};
use crate::names::Writer;
use crate::observed::{Listing, Observed};
use crate::plan::{Call, Facts, Plan, plan};
use crate::reply::{Reply, take_in};
use crate::run::{Event, Phase, RunState};
use crate::slot::Scope;

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
}

impl World {
    /// A world in which AWS has not been looked at yet.
    pub fn new(config: Config, history: History, writer: Writer, now: DateTime<Utc>) -> Self {
        Self {
            observed: Observed::nothing(config.scopes(), now),
            config,
            history,
            writer,
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
            .filter(|run| {
                matches!(
                    &run.state,
                    RunState::Requested {
                        phase: Phase::Asking,
                        ..
                    }
                )
            })
            .filter_map(|run| run.clone().apply(lost.clone(), now).ok())
            .map(|run| Change::Run(Box::new(run)))
            .collect()
    }

    /// What is to be done now.
    pub fn plan(&self, now: DateTime<Utc>) -> Plan {
        plan(Facts {
            config: &self.config,
            observed: &self.observed,
            history: &self.history,
            writer: &self.writer,
            now,
        })
    }

    /// Takes in changes that have been committed.
    pub fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.history.apply(change);
        }
    }

    /// Notes that a call is being made.
    pub fn dispatched(&mut self, call: &Call, now: DateTime<Utc>) {
        let scope = call.scope();
        if let Some(view) = self.observed.scopes.get_mut(scope) {
            view.budget = view.budget.spent(now);
            if let (Call::List(_), Listing::Next { failures, .. }) = (call, view.listing) {
                view.listing = Listing::UnderWay { failures };
            }
        }
        if let Call::Create(slot) | Call::Describe(slot) | Call::Explain(slot) = call {
            self.observed.in_flight.insert(slot.clone());
        }
    }

    /// Takes an answer in; the changes are for the caller to commit and apply.
    pub fn take_in(&mut self, reply: Reply, now: DateTime<Utc>) -> Vec<Change> {
        take_in(reply, &self.config, &self.history, &mut self.observed, now)
    }

    /// Swaps the configuration; what was seen of the scopes that stay is kept.
    pub fn reconfigure(&mut self, config: Config, now: DateTime<Utc>) {
        self.observed.rescope(&config.scopes(), now);
        self.config = config;
    }
}

impl Call {
    /// The scope in which the call is made.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::List(scope) => scope,
            Self::Create(slot) | Self::Describe(slot) | Self::Explain(slot) => &slot.pair.scope,
        }
    }
}

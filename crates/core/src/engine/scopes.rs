//! Which scopes are looked at, and what a new configuration changes.
//!
//! Owns: the set of scopes and the swap of the configuration. What was seen of the scopes that stay is kept.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Engine;
use crate::names::{AccountName, PolicyName};
use crate::observed::{Listing, ScopeView};
use crate::settings::Config;
use crate::slot::Scope;

impl Engine {
    /// The configured scopes, and those of open runs whose account is still configured: what has begun there
    /// is followed to its end.
    pub(super) fn scopes(&self) -> BTreeSet<Scope> {
        let begun = self.begun();
        let begun = begun.filter(|scope| self.config.account(&scope.account).is_some());
        self.config
            .scopes()
            .into_iter()
            .chain(begun.cloned())
            .collect()
    }

    /// Gives each scope the limit that its account has.
    pub(super) fn limit_pace(&mut self) {
        for (scope, view) in &mut self.observed.scopes {
            let limit = self.config.max_requests_per_second(scope);
            view.budget = view.budget.limited(limit);
        }
    }

    /// Where something is under way.
    fn begun(&self) -> impl Iterator<Item = &Scope> {
        let runs = self.history.open().map(|run| &run.slot);
        let removals = self.history.removals.values().map(|removal| &removal.slot);
        let actions = self.history.actions.values().map(|action| &action.slot);
        let slots = runs.chain(removals).chain(actions);
        slots.map(|slot| &slot.pair.scope)
    }

    /// Begins to look at the scopes of open runs that are not looked at yet, as a restart would: somebody may ask for
    /// a snapshot in a region that came into the file later.
    pub fn reach_out(&mut self, now: DateTime<Utc>) {
        self.agenda.mark_all();
        let scopes = self.scopes();
        let seen = &mut self.observed.scopes;
        for scope in scopes {
            seen.entry(scope).or_insert_with(|| ScopeView::unseen(now));
        }
        self.limit_pace();
    }

    /// Swaps the configuration; what was seen of the scopes that stay is kept.
    pub fn reconfigure(&mut self, config: Config, now: DateTime<Utc>) {
        self.agenda.mark_all();
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
        self.limit_pace();
    }

    /// Swaps the time zone data; what was seen stays.
    pub fn renew_zones(&mut self, config: Config) {
        self.config = config;
        self.agenda.mark_all();
    }

    /// Somebody has set the clock: AWS's is asked again before anything starts.
    pub fn forget_clocks(&mut self, now: DateTime<Utc>) {
        self.observed.forget_clocks(now);
        self.agenda.mark_all();
    }

    /// Lists every scope again soon: its client is another one.
    pub fn look_again(&mut self, now: DateTime<Utc>) {
        self.observed.look_again(now);
        self.agenda.mark_all();
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

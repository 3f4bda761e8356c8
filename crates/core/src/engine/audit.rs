//! The audit: whether what nothing says is due comes to nothing (I25).
//!
//! Owns: the comparison of what the agenda and its indexes have with a plan from scratch. Never mends anything: a debug
//! build stops, and so does the simulation.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Engine;
use super::agenda::Planned;
use crate::plan::outlook::Rest;
use crate::plan::{Plan, Violation, activations, guard_all, of_runs, open_runs};
use crate::slot::Scope;

/// One turn in this many ends with an audit in debug builds.
const AUDIT_EACH: u64 = 8;

impl Engine {
    /// A debug build stops where a mark is missing.
    pub(super) fn audit_now_and_then(&mut self) {
        self.turns += 1;
        if cfg!(debug_assertions)
            && self.turns.is_multiple_of(AUDIT_EACH)
            && let Err(violation) = self.audit()
        {
            debug_assert!(false, "{violation}");
        }
    }

    /// Looks for marks that are missing: what nothing says is due comes, planned once more as of the instant when it was
    /// planned last, to nothing new.
    ///
    /// # Errors
    /// The violation of I25.
    pub fn audit(&self) -> Result<(), Violation> {
        if let Some(scope) = self.agenda.sleeper() {
            return Err(Violation::Unmarked(format!("the wake-up of {scope}")));
        }
        self.audit_pairs()?;
        for (scope, planned) in self.agenda.settled() {
            self.audit_scope(scope, planned)?;
        }
        Ok(())
    }

    /// The pairs of scopes that were looked at together are planned together.
    fn audit_pairs(&self) -> Result<(), Violation> {
        let mut looks: BTreeMap<DateTime<Utc>, BTreeSet<&Scope>> = BTreeMap::new();
        let active = self.history.pairs.keys().map(|pair| &pair.scope);
        for scope in active.chain(self.observed.scopes.keys()) {
            if let Some(at) = self.agenda.settled_pairs(scope) {
                looks.entry(at).or_default().insert(scope);
            }
        }
        for (at, scopes) in looks {
            let mut plan = Plan::nothing(at);
            activations(self.facts(at), &|scope| scopes.contains(scope), &mut plan);
            if let Some(change) = plan.changes.first() {
                return Err(Violation::Unmarked(format!("the pairs: {change:?}")));
            }
        }
        Ok(())
    }

    fn audit_scope(&self, scope: &Scope, planned: &Planned) -> Result<(), Violation> {
        let unmarked = |what: String| Err(Violation::Unmarked(what));
        let facts = self.facts(planned.at);
        let part = of_runs(
            facts,
            scope,
            open_runs::in_scope(facts, scope),
            &Rest::default(),
        );
        if let Some((cluster, outlook)) = planned.waiting.lacks(&part.outlooks) {
            let what = format!(
                "what {cluster} in {scope} waits for at {}: {outlook:?}",
                planned.at
            );
            return unmarked(what);
        }
        // The end of a snapshot draws near by and by, which nobody wakes for.
        let mut guarded = Plan::nothing(planned.whole_at);
        guard_all(self.facts(planned.whole_at), scope, &mut guarded);
        for plan in [part.plan, guarded] {
            if !plan.changes.is_empty() || !plan.calls.is_empty() {
                return unmarked(format!("{scope}, planned at {}: {plan:?}", planned.at));
            }
        }
        Ok(())
    }
}

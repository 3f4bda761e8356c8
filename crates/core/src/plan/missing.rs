//! The snapshots that AWS has accepted and a complete listing lacks.
//!
//! Owns: when each of them is looked for by its name. A listing that lags behind, or is of another account, lacks what is
//! there: nothing is believed to be gone before a look by its name, in the right account, has not found it either. What
//! the answer means is `reply`'s.

use super::{Call, Facts, Plan};
use crate::observed::LOOKS_LEAVE;
use crate::slot::Scope;

/// Plans the looks that are due in a scope.
pub(super) fn look(facts: Facts<'_>, scope: &Scope, plan: &mut Plan) {
    let missing = facts.observed.missing.iter();
    for (slot, missing) in missing.filter(|(slot, _)| slot.pair.scope == *scope) {
        let view = facts.observed.scopes.get(scope);
        let run = facts.history.runs.get(slot);
        let run = run.filter(|run| run.is_creating() || run.has_snapshot());
        let (Some(view), Some(run)) = (view.filter(|view| view.barred.is_none()), run) else {
            continue;
        };
        if !facts.extent.has(run) || plan.is_busy(slot, facts) {
            continue;
        }
        if missing.look_at > facts.now {
            plan.wake(missing.look_at);
        } else if plan.room_left(scope, facts.observed) > LOOKS_LEAVE {
            let call = Call::Describe {
                slot: slot.clone(),
                id: run.request.snapshot_id.clone(),
                asks_account: true,
            };
            plan.call(call, view, facts.now);
        }
    }
}

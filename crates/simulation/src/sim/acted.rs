//! What comes of what people ask to be done to a snapshot.
//!
//! Owns: I28. An action that is told as done is done, all of it; one whose every step AWS has accepted is told as done; and
//! one that leaves a snapshot half on hold is told as trouble, so that it is carried on.

use redkeep_core::execute::UNSEEN;
use redkeep_core::names::Writer;
use redkeep_core::operations::{ActionKind, SnapshotAction};
use redkeep_core::plan::Call;
use redkeep_core::reply::Reply;
use redkeep_core::snapshot::{SnapshotId, tag};
use redkeep_sandbox::snapshot::Snapshot as ModelSnapshot;

use super::Sim;
use super::wire::UnderWay;

impl Sim {
    /// The snapshot that a call acts on, and whether it is half on hold now.
    pub(super) fn about_to_act(&self, call: &Call) -> Option<(SnapshotId, bool)> {
        let Call::SnapshotAction { action, .. } = call else {
            return None;
        };
        let is_half = self.acted_on(action).is_some_and(|one| is_half(&one));
        Some((action.snapshot.clone(), is_half))
    }

    fn acted_on(&self, action: &SnapshotAction) -> Option<ModelSnapshot> {
        let scope = &action.slot.pair.scope;
        let home = self.elsewhere.home_of(&self.aws, scope);
        let region = home.account.region_at(scope.region.as_str(), self.now);
        region.snapshots.get(action.snapshot.as_str()).cloned()
    }

    /// I28, for the reply to a call that has acted. Where another acts on the same snapshot meanwhile, nobody can tell.
    pub(super) fn check_acted(&self, call: &UnderWay, reply: &Reply) {
        let (Reply::Done(action, answer), Some((id, was_half))) = (reply, &call.acts_on) else {
            return;
        };
        let others = self.calls.values().filter_map(|one| one.acts_on.as_ref());
        let is_alone = others.filter(|(other, _)| other == id).count() == 0;
        let home = self.elsewhere.home(&call.scope.account);
        let Some(snapshot) = self.acted_on(action) else {
            return;
        };
        if !is_alone || call.account != home {
            return;
        }
        let kind = action.kind.as_str();
        match &answer.result {
            Ok(_) => assert!(
                is_done(action.kind, &self.hosts[call.host].writer, &snapshot),
                "I28: {kind} of {id} is told as done, and is not"
            ),
            Err(error) => {
                let mut forgotten = self.accounts().flat_map(|aws| &aws.forgotten);
                assert!(
                    error.message != UNSEEN || forgotten.any(|arn| arn.ends_with(id.as_str())),
                    "I28: {kind} of {id} was accepted, and not all of it was asked for"
                );
                assert!(
                    action.trouble.is_some() || *was_half || !is_half(&snapshot),
                    "I28: {id} is left half on hold, and nobody is told"
                );
            }
        }
    }
}

fn is_tagged(snapshot: &ModelSnapshot) -> bool {
    snapshot.tags.iter().any(|one| one.key == tag::HOLD)
}

fn is_half(snapshot: &ModelSnapshot) -> bool {
    is_tagged(snapshot) && snapshot.retention_days != -1
}

fn is_done(kind: ActionKind, writer: &Writer, snapshot: &ModelSnapshot) -> bool {
    match kind {
        ActionKind::Hold => is_tagged(snapshot) && snapshot.retention_days == -1,
        ActionKind::Release => !is_tagged(snapshot),
        ActionKind::Takeover => { snapshot.tags.iter() }
            .any(|one| one.key == tag::WRITER && one.value == writer.as_str()),
    }
}

//! A pass over a policy's snapshots: what would go, and whether it may.
//!
//! Owns: the plan, its hash, the fingerprint of the rules, the breaker and what a confirmation covers. A dry run and the
//! daemon call the same [`pass`]. Never makes a change.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::digest;
use crate::operations::{Confirmation, SnapshotKey, Why, named};
use crate::plan::Facts;
use crate::policy::{ClusterGlob, Policy};
use crate::retention::prune::{Keep, Verdict};
use crate::slot::Slot;
use crate::snapshot::{Snapshot, SnapshotId};

use super::blocked::{Blocked, obstacles};
use super::candidates::judged;
use super::{confirmed, wants_confirmed};

/// More than this, and more than a quarter of the policy's snapshots, wants a confirmation.
const MANY: usize = 10;

/// A snapshot and its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneCandidate {
    /// Its slot.
    pub slot: Slot,
    /// As listed.
    pub listed: Arc<Snapshot>,
    /// What becomes of it.
    pub verdict: Verdict,
}

impl PruneCandidate {
    /// The snapshot's name.
    pub fn id(&self) -> SnapshotId {
        SnapshotId::recorded(self.listed.snapshot_identifier.clone())
    }

    /// Where the snapshot is.
    pub fn key(&self) -> SnapshotKey {
        (self.slot.pair.scope.clone(), self.id())
    }

    fn removal(&self) -> Option<Why> {
        match self.verdict {
            Verdict::Remove(why) => Some(why),
            Verdict::Keep(_) => None,
        }
    }
}

/// A pass over a policy's snapshots, as it would be now.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunePlan {
    /// Every snapshot of the policy, the oldest first.
    pub judged: Vec<PruneCandidate>,
    /// What keeps the pass from being carried out.
    pub blocked: BTreeSet<Blocked>,
    /// The fingerprint of the rules.
    pub rules: String,
    /// The hash over the rules and what would go.
    pub hash: String,
    /// Where only what a person has confirmed may go: their names.
    pub only: Option<BTreeSet<String>>,
}

impl PrunePlan {
    /// Those that would go, the oldest first.
    pub fn removals(&self) -> impl Iterator<Item = (&PruneCandidate, Why)> {
        let judged = self.judged.iter();
        judged.filter_map(|judged| Some((judged, judged.removal()?)))
    }

    /// Those of them that may go, unless something blocks the pass.
    pub fn allowed(&self) -> impl Iterator<Item = (&PruneCandidate, Why)> {
        let only = self.only.as_ref();
        self.removals()
            .filter(move |(judged, _)| only.is_none_or(|only| only.contains(&named(&judged.key()))))
    }

    /// The names of all that would go.
    pub fn plan(&self) -> Vec<String> {
        self.removals()
            .map(|(judged, _)| named(&judged.key()))
            .collect()
    }

    /// Whether the plan would remove so many that a person has to confirm it.
    fn is_many(&self) -> bool {
        let ours = |judged: &&PruneCandidate| {
            !matches!(
                judged.verdict,
                Verdict::Keep(Keep::NotProven | Keep::OtherWriter)
            )
        };
        let quarter = self.judged.iter().filter(ours).count() / 4;
        self.removals().count() > MANY.max(quarter)
    }
}

/// What a pass over the policy's snapshots comes to now; `None` where the policy removes none.
pub fn pass(facts: Facts<'_>, policy: &Policy) -> Option<PrunePlan> {
    policy.protection.keep_last?;
    let mut judgement = PrunePlan {
        judged: judged(facts, policy),
        blocked: obstacles(facts, policy),
        rules: fingerprint(facts, policy),
        hash: String::new(),
        only: None,
    };
    let plan = judgement.plan();
    judgement.hash = hash(std::iter::once(&judgement.rules).chain(&plan));
    let last = facts.history.passes.get(&policy.name);
    let is_announced = last.is_some_and(|last| last.rules == judgement.rules);
    // Nobody was told of this plan, or it is too large.
    let wants_word = !is_announced || judgement.is_many();
    let confirmation = confirmation(facts, policy, &judgement.rules, is_announced);
    if wants_word || wants_confirmed(facts.history, policy, facts.now) {
        // Then what a person has confirmed by these rules goes, and nothing else.
        let confirmed = confirmation.into_iter().flat_map(|one| one.plan.iter());
        judgement.only = Some(confirmed.cloned().collect());
    }
    if wants_word && judgement.allowed().next().is_none() {
        judgement.blocked.insert(match is_announced {
            true => Blocked::Breaker,
            false => Blocked::FirstPass,
        });
    }
    Some(judgement)
}

/// The newest confirmation of a plan by the same rules. Of a plan that was not announced, one that an earlier pass was
/// made with says nothing: there were other rules, or a lost history, in between.
fn confirmation<'a>(
    facts: Facts<'a>,
    policy: &Policy,
    rules: &str,
    is_announced: bool,
) -> Option<&'a Confirmation> {
    let newest = confirmed(facts.history, policy, facts.now)?;
    (newest.rules == rules && (is_announced || !newest.is_begun)).then_some(newest)
}

/// Tells one set of rules from another: what an edit of it changes wants to be seen before it is carried out.
pub(super) fn fingerprint(facts: Facts<'_>, policy: &Policy) -> String {
    let selector = &policy.selector;
    let globs = |globs: &[ClusterGlob]| -> Vec<String> {
        globs.iter().map(|glob| glob.pattern().to_owned()).collect()
    };
    let parts = [
        format!("{}", facts.config.namespace),
        format!("{:?}", facts.writer),
        format!("{:?}", policy.scopes),
        format!("{:?}", selector.literals),
        format!("{:?}", globs(&selector.globs)),
        format!("{:?}", globs(&selector.exclude)),
        format!("{:?}", selector.cluster_tags),
        policy.schedule.expression().to_owned(),
        policy.schedule.timezone().to_string(),
        format!("{:?}", policy.retention),
        format!("{:?}", policy.protection.min_good),
        format!("{:?}", policy.protection.keep_last),
    ];
    hash(parts.iter())
}

/// The hash of a list of texts, as announcements and confirmations name it.
fn hash<'a>(parts: impl Iterator<Item = &'a String>) -> String {
    digest::hex(&digest::framed(parts.map(String::as_str)), 12)
}

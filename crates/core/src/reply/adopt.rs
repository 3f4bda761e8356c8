//! Snapshots of ours that no run is known for.
//!
//! Owns: making their runs out of their tags and names, so that every snapshot of ours has a record: after the
//! history was lost, after an older copy was put in its place, and beside a second host with the same policies.
//! What contradicts is left alone. Never touches a run that is known.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::ReplyContext;
use super::listing::Shown;
use crate::history::{Change, History};
use crate::names::Retention;
use crate::names::{Tier, Trigger};
use crate::observed::SKEW_LIMIT;
use crate::ownership::{Ownership, ownership};
use crate::run::{Outcome, Run, RunState, SnapshotSpec};
use crate::settings::Config;
use crate::slot::{Pair, Scope, Slot};
use crate::snapshot::{Generation, Snapshot, SnapshotId, SnapshotStatus, tag};

/// What a policy that is not configured any more cannot tell.
const COMPLETION_WINDOW: TimeDelta = TimeDelta::hours(24);
const INTERVAL: TimeDelta = TimeDelta::days(1);

/// The runs of the listed snapshots that are ours and have none.
pub(super) fn unrecorded(
    known: ReplyContext<'_>,
    scope: &Scope,
    listing: &Shown,
    account: Option<&str>,
    now: DateTime<Utc>,
) -> Vec<Change> {
    let mut found: BTreeMap<Slot, Run> = BTreeMap::new();
    // Nearly all are recorded or another's: those are told by their names alone, which is cheap.
    let namespace = known.config.namespace.as_str();
    let may_be_ours = |id: &SnapshotId| {
        let rest = id.as_str().strip_prefix(namespace);
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let mut recorded = recorded(known.history, scope).into_iter().peekable();
    for (id, snapshot) in listing.by_id.iter().filter(|(id, _)| may_be_ours(id)) {
        while recorded.next_if(|name| *name < id.as_str()).is_some() {}
        if recorded.peek() == Some(&id.as_str()) {
            continue;
        }
        let slot = slot_of(known.config, scope, id, snapshot);
        // A slot that has not come has no snapshot of ours, whatever a tag says.
        let slot = slot.filter(|slot| slot.scheduled_at <= now + SKEW_LIMIT);
        let Some(slot) = slot.filter(|slot| !known.history.runs.contains_key(slot)) else {
            continue;
        };
        let run = adopted(known.config, slot, snapshot, now);
        // Its cluster may have been renamed since, and the pair be unknown: the tag tells its old name.
        let proof = ownership(&**snapshot, &run, account, snapshot.cluster_create_time);
        let foreign = matches!(proof, Ownership::Foreign(_));
        let better = found
            .get(&run.slot)
            .is_none_or(|other| tells_more(&run, other));
        if bears_name(known.config, id, &run.slot) && !foreign && better {
            found.insert(run.slot.clone(), run);
        }
    }
    let ours = |run: &Run| run.request.tags.get(tag::WRITER) == Some(known.writer.as_str());
    // What was created while nobody could record it was not lost.
    let is_explained = |run: &Run| {
        let snapshot = listing.by_id.get(&run.request.snapshot_id);
        let second = || listing.by_id.get(&run.request.snapshot_id.second());
        let created_at = snapshot
            .or_else(second)
            .and_then(|one| one.snapshot_create_time);
        // Who cannot write a history that is shared does not see what others record in it.
        let explains = |at| known.history.handover.is_some_and(|one| one.explains(at));
        let is_cut_off = known.history.handover.is_some() && !known.is_written;
        is_cut_off || created_at.is_some_and(explains)
    };
    let lost = known.history.rebuilt_at.is_none()
        && found.values().any(|run| ours(run) && !is_explained(run));
    let runs = found
        .into_values()
        .map(|run| Change::Adopted(Box::new(run)));
    runs.chain(lost.then_some(Change::Rebuilt(now))).collect()
}

/// The names of the scope's snapshots whose runs are known, in their order. Another account has the same names where its
/// clusters have.
fn recorded<'a>(history: &'a History, scope: &Scope) -> Vec<&'a str> {
    let runs = history.runs.in_scope(scope);
    let mut names: Vec<&str> = runs.map(|run| run.request.snapshot_id.as_str()).collect();
    names.sort();
    names
}

/// Of a slot's two snapshots the complete one counts, else the second.
fn tells_more(run: &Run, than: &Run) -> bool {
    let rank = |run: &Run| (run.is_good(), run.generation());
    rank(run) > rank(than)
}

/// The slot that a snapshot says it is for: by its tags, or by its name where it has none of redkeep's.
fn slot_of(config: &Config, scope: &Scope, id: &SnapshotId, snapshot: &Snapshot) -> Option<Slot> {
    if snapshot.tags.keys().any(|key| key.starts_with(tag::PREFIX)) {
        let claim = snapshot.claim(&config.namespace)?;
        Some(claim.slot(scope))
    } else {
        named_slot(config, scope, id)
    }
}

/// Only a configured policy can be told from its cluster in a name.
fn named_slot(config: &Config, scope: &Scope, id: &SnapshotId) -> Option<Slot> {
    let first = id.first();
    let rest = first.as_str().strip_prefix(config.namespace.as_str())?;
    let rest = rest.strip_prefix('-')?;
    let (rest, _) = rest.rsplit_once('-')?;
    let (names, stamp) = rest.rsplit_once('-')?;
    let scheduled_at = NaiveDateTime::parse_from_str(stamp, "%Y%m%dt%H%M%Sz").ok()?;
    config.policies.iter().find_map(|policy| {
        let cluster = names
            .strip_prefix(policy.name.as_str())?
            .strip_prefix('-')?;
        let pair = Pair {
            policy: policy.name.clone(),
            scope: scope.clone(),
            cluster: cluster.parse().ok()?,
        };
        let scheduled_at = scheduled_at.and_utc();
        let slot = Slot { pair, scheduled_at };
        bears_name(config, id, &slot).then_some(slot)
    })
}

fn bears_name(config: &Config, id: &SnapshotId, slot: &Slot) -> bool {
    let first = SnapshotId::derive(&config.namespace, slot, Generation::First);
    *id == first || *id == first.second()
}

/// The run as the snapshot tells it; what only the daemon that asked for it knew is absent.
fn adopted(config: &Config, slot: Slot, snapshot: &Arc<Snapshot>, now: DateTime<Utc>) -> Run {
    let created_at = snapshot.snapshot_create_time.unwrap_or(now).min(now);
    let state = match snapshot.status() {
        SnapshotStatus::Available => RunState::Ended(Outcome::Available),
        SnapshotStatus::Failed => RunState::Failing {
            since: created_at,
            ask_at: now,
        },
        SnapshotStatus::Creating | SnapshotStatus::Unknown(_) => {
            RunState::Creating { look_at: now }
        }
    };
    let took = TimeDelta::try_seconds(snapshot.elapsed_time_in_seconds.unwrap_or_default());
    let ended_at = created_at
        + took
            .unwrap_or_default()
            .clamp(TimeDelta::zero(), now - created_at);
    let trigger = snapshot
        .tags
        .get(tag::TRIGGER)
        .and_then(|word| word.parse().ok());
    let run = Run::due(
        slot.clone(),
        trigger.unwrap_or(Trigger::Schedule),
        request(config, slot, snapshot),
    );
    Run {
        ended_at: matches!(state, RunState::Ended(_)).then_some(ended_at),
        state,
        accepted_at: Some(created_at),
        snapshot: Some(Arc::clone(snapshot).into()),
        ..run
    }
}

/// What must have been asked for. A slot of a policy that is not configured has no window left to be asked in.
fn request(config: &Config, slot: Slot, snapshot: &Snapshot) -> SnapshotSpec {
    let policy = config.policy(&slot.pair.policy);
    let timing = policy.map(|policy| slot.timing(policy));
    let told = snapshot.tags.get(tag::TIER);
    let tier = told
        .and_then(|word| word.parse().ok())
        .unwrap_or(Tier::Base);
    let asked = policy.map_or(Retention::Forever, |policy| policy.retention.of(tier));
    SnapshotSpec {
        snapshot_id: SnapshotId::recorded(snapshot.snapshot_identifier.clone()),
        retention: snapshot.retention().unwrap_or(asked),
        tier,
        tier_reason: None,
        tags: snapshot.tags.clone().into(),
        starts_at: timing
            .and_then(|timing| timing.starts_at)
            .unwrap_or(slot.scheduled_at),
        deadline: timing.map_or(slot.scheduled_at, |timing| timing.deadline),
        completion_window: policy.map_or(COMPLETION_WINDOW, |policy| policy.completion_window),
        interval: timing.map_or(INTERVAL, |timing| timing.interval),
    }
}

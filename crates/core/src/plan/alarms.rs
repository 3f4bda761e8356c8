//! What an operator should know, as long as it lasts.
//!
//! Owns: the conditions that are alarms. Level-triggered like the plan: an alarm is there while its cause is,
//! and whoever tells people compares with what was there before.

use std::collections::BTreeMap;

use super::Facts;
use super::advance::is_overlong;
use super::guard::cares;
use super::prune::{Blocked, blocked, denied, lapsed};
use crate::brief::Brief;
use crate::coverage::nearest_cluster;
use crate::history::PairState;
use crate::names::{AccountName, PolicyName};
use crate::observed::{Barred, SKEW_LIMIT, ScopeView, ServerClock};
use crate::outbox::{Cause, Subject};
use crate::policy::Policy;
use crate::refusals::{Refusals, Refused, in_force};
use crate::retention::guard::Care;
use crate::rpo::overdue_since;
use crate::run::{Reason, Run};
use crate::slot::{Pair, Scope, Slot, rfc3339};
use crate::snapshot::{SnapshotId, SnapshotStatus};

/// The cause of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A snapshot has been `creating` for longer than its completion window.
    StillCreating(Slot),
    /// A snapshot has a status that the documentation does not give.
    UnknownStatus(Slot),
    /// A pair's newest good snapshot is older than its policy's `rpo`.
    RpoBreach(Pair),
    /// A policy names a cluster that a complete listing of its scope does not have.
    NoSuchCluster(Pair),
    /// A scope holds nearly as many manual snapshots as its quota allows.
    QuotaNear(Scope),
    /// A scope holds as many manual snapshots as its quota allows, or more.
    QuotaReached(Scope),
    /// IAM does not allow snapshots to be made in a scope.
    AccessDenied(Scope),
    /// AWS has refused a pair's open slot for long, for something about its cluster.
    SlotRefused(Pair),
    /// AWS has refused open slots of a scope for long, for this, which is common to them.
    SlotsRefused(Scope, String),
    /// Our clock and AWS's clock are more than 5 minutes apart.
    ClockSkew(Scope),
    /// A scope's last listing failed.
    Unreachable(Scope),
    /// A scope is the same account and region as another, and is left to that one.
    SameAccount(Scope),
    /// One of the last good snapshots is about to expire, and AWS does not let redkeep put that off.
    GuardRefused(Slot),
    /// A snapshot has the tag of a hold, and its period ends all the same.
    HalfHeld(Scope, SnapshotId),
    /// One of the last good snapshots of a cluster that no longer exists is about to expire, and may.
    LettingGo(Slot),
    /// An account's credentials belong to another account than the one that its history is of.
    OtherAccount(AccountName),
    /// A policy's snapshots are not removed, and somebody has to do something about it.
    PruneBlocked(PolicyName, Blocked),
    /// A person's word that a plan is right was not used in time, and does not hold any more.
    ConfirmationLapsed(PolicyName),
    /// Whose account a scope is could not be asked, so that nothing that is missing there is taken to be gone.
    Unidentified(Scope),
}

impl Alarm {
    /// The cause that an alarm is, and what it is of.
    pub fn cause(&self) -> (Cause, Subject) {
        match self {
            Self::StillCreating(slot) => (Cause::StillCreating, slot.into()),
            Self::UnknownStatus(slot) => (Cause::UnknownStatus, slot.into()),
            Self::RpoBreach(pair) => (Cause::Overdue, pair.into()),
            Self::NoSuchCluster(pair) => (Cause::NoSuchCluster, pair.into()),
            Self::QuotaNear(scope) => (Cause::QuotaNear, scope.into()),
            Self::QuotaReached(scope) => (Cause::QuotaReached, scope.into()),
            Self::AccessDenied(scope) => (Cause::AccessDenied, scope.into()),
            Self::SlotRefused(pair) => (Cause::Refused, pair.into()),
            Self::SlotsRefused(scope, why) => {
                let detail = why.clone();
                let subject = Subject::from(scope);
                (Cause::Refused, Subject { detail, ..subject })
            }
            Self::ClockSkew(scope) => (Cause::ClockSkew, scope.into()),
            Self::Unreachable(scope) => (Cause::Unreachable, scope.into()),
            Self::SameAccount(scope) => (Cause::SameAccount, scope.into()),
            Self::Unidentified(scope) => (Cause::Unidentified, scope.into()),
            Self::GuardRefused(slot) => (Cause::GuardRefused, slot.into()),
            Self::LettingGo(slot) => (Cause::LettingGo, slot.into()),
            Self::HalfHeld(scope, snapshot) => {
                let detail = snapshot.to_string();
                let subject = Subject::from(scope);
                (Cause::HalfHeld, Subject { detail, ..subject })
            }
            Self::OtherAccount(account) => {
                let account = Some(account.clone());
                let subject = Subject::default();
                (Cause::OtherAccount, Subject { account, ..subject })
            }
            Self::PruneBlocked(policy, blocked) => {
                let detail = blocked.as_str().to_owned();
                let subject = Subject::from(policy);
                (Cause::PruneBlocked, Subject { detail, ..subject })
            }
            Self::ConfirmationLapsed(policy) => (Cause::ConfirmationLapsed, policy.into()),
        }
    }
}

/// The alarms that there are now, each with what is to be said of it.
pub fn alarms(facts: Facts<'_>) -> BTreeMap<Alarm, String> {
    let scopes = facts
        .observed
        .scopes
        .iter()
        .flat_map(|(scope, view)| of_scope(facts, scope, view));
    let refusals = facts.observed.scopes.keys();
    let refusals = refusals.flat_map(|scope| of_refusals(facts, scope));
    let long = Refusals::now(facts.history, facts.now);
    let long = long.of_pairs(|_| true).into_iter();
    let long = long.filter_map(|refused| of_long_refusal(facts, &refused));
    let runs = facts.history.open().flat_map(|run| of_run(facts, run));
    let keeping = cares(facts).filter_map(|(run, care)| of_care(facts, run, &care));
    let pairs = facts.history.pairs.iter();
    let pairs = pairs.flat_map(|(pair, state)| of_pair(facts, pair, state));
    let pruning = facts.config.policies.iter();
    let pruning = pruning.flat_map(|policy| of_pruning(facts, policy));
    scopes
        .chain(refusals)
        .chain(long)
        .chain(runs)
        .chain(keeping)
        .chain(pairs)
        .chain(pruning)
        .chain(of_holds(facts))
        .collect()
}

fn of_pair(facts: Facts<'_>, pair: &Pair, state: &PairState) -> Vec<(Alarm, String)> {
    let policy = facts.config.policy(&pair.policy);
    let Some(policy) = policy.filter(|policy| state.is_active() && policy.enabled) else {
        return Vec::new();
    };
    let overdue = overdue(facts, policy, pair, state);
    overdue
        .into_iter()
        .chain(absent(facts, pair, state))
        .collect()
}

fn overdue(
    facts: Facts<'_>,
    policy: &Policy,
    pair: &Pair,
    active: &PairState,
) -> Option<(Alarm, String)> {
    overdue_since(policy, facts.history, pair, active, facts.now)?;
    let good_at = facts.history.last_good(pair).and_then(Run::created_at);
    let said = match good_at {
        Some(at) => format!("the newest good snapshot is of {}", rfc3339(at)),
        None => format!("no good snapshot since {}", rfc3339(active.active_from)),
    };
    Some((Alarm::RpoBreach(pair.clone()), said))
}

/// An active pair whose cluster is in no listing is named by its policy: one of a glob would be closed.
fn absent(facts: Facts<'_>, pair: &Pair, active: &PairState) -> Option<(Alarm, String)> {
    active.cluster_gone_at?;
    let clusters = facts.observed.scopes.get(&pair.scope)?.clusters.as_ref()?;
    let near = nearest_cluster(&pair.cluster, clusters.keys());
    let said = near.map_or_else(String::new, |near| format!("did you mean {near}?"));
    Some((Alarm::NoSuchCluster(pair.clone()), said))
}

/// What blocks the removal of a policy's snapshots and passes neither by itself nor was ordered.
fn of_pruning(facts: Facts<'_>, policy: &Policy) -> Vec<(Alarm, String)> {
    let blocked = blocked(facts, policy).into_iter();
    let blocked = blocked.filter(|blocked| {
        matches!(
            blocked,
            Blocked::Rebuilt | Blocked::Undated | Blocked::Breaker | Blocked::Denied
        )
    });
    let last = facts.history.passes.get(&policy.name);
    let hash = last.map_or("", |last| last.plan_hash.as_str());
    let alarm = |blocked| Alarm::PruneBlocked(policy.name.clone(), blocked);
    let lapsed = lapsed(facts, policy).map(|one| {
        let alarm = Alarm::ConfirmationLapsed(policy.name.clone());
        (alarm, rfc3339(one.confirmed_at))
    });
    blocked
        .map(|blocked| match blocked {
            Blocked::Breaker => (alarm(blocked), hash.to_owned()),
            Blocked::Denied => (
                alarm(blocked),
                denied(facts, policy).unwrap_or_default().to_owned(),
            ),
            _ => (alarm(blocked), String::new()),
        })
        .chain(lapsed)
        .collect()
}

/// The holds that are not whole. One that is under way is none: the next answer makes it so, or tells what is in the way.
fn of_holds(facts: Facts<'_>) -> Vec<(Alarm, String)> {
    let namespace = &facts.config.namespace;
    let action_of = |scope: &Scope, id: &SnapshotId| {
        let mut actions = facts.history.actions.values().rev();
        actions.find(|one| one.slot.pair.scope == *scope && one.snapshot == *id)
    };
    let listings = facts.observed.scopes.iter();
    let listings = listings.filter_map(|(scope, view)| Some((scope, view.snapshots.as_ref()?)));
    let half = listings.flat_map(|(scope, listing)| {
        let ours = listing.half_held().filter(|(_, one)| one.claims(namespace));
        ours.filter(|(id, _)| action_of(scope, id).is_none())
            .map(|(id, one)| (Alarm::HalfHeld(scope.clone(), id.clone()), period_of(one)))
    });
    let actions = facts.history.actions.values();
    let stuck = actions.filter_map(|one| {
        let said = format!(
            "the {} is not finished: {}",
            one.kind.as_str(),
            one.trouble.as_ref()?
        );
        let alarm = Alarm::HalfHeld(one.slot.pair.scope.clone(), one.snapshot.clone());
        Some((alarm, said))
    });
    half.chain(stuck).collect()
}

fn period_of(one: &Brief) -> String {
    let days = one
        .period()
        .map_or("unknown".to_owned(), |days| format!("{days}d"));
    format!("its period is {days}")
}

fn of_scope(facts: Facts<'_>, scope: &Scope, view: &ScopeView) -> Vec<(Alarm, String)> {
    let mut alarms = Vec::new();
    if let Some(trouble) = &view.trouble {
        alarms.push((Alarm::Unreachable(scope.clone()), trouble.clone()));
    }
    match &view.barred {
        Some(Barred::Twin(twin)) => {
            alarms.push((Alarm::SameAccount(scope.clone()), twin.to_string()));
        }
        Some(Barred::OtherAccount { wanted, got }) => {
            let said = format!("{got}, and was {wanted}");
            alarms.push((Alarm::OtherAccount(scope.account.clone()), said));
        }
        None => {}
    }
    // Where nothing answers, that is told.
    let is_untold = !view.is_identified && !view.is_other_account() && view.asked_account;
    if is_untold && view.trouble.is_none() {
        alarms.push((Alarm::Unidentified(scope.clone()), String::new()));
    }
    if let ServerClock::Skew(skew) = view.server_clock
        && skew.abs() > SKEW_LIMIT
    {
        let seconds = skew.num_seconds();
        let said = match seconds < 0 {
            true => format!("{}s behind AWS's", -seconds),
            false => format!("{seconds}s ahead of AWS's"),
        };
        alarms.push((Alarm::ClockSkew(scope.clone()), said));
    }
    alarms.extend(of_quota(facts, scope, view));
    alarms
}

/// From this part of a quota on it is near, as the alerting rules have it too.
const NEAR_PERCENT: usize = 85;

fn of_quota(facts: Facts<'_>, scope: &Scope, view: &ScopeView) -> Option<(Alarm, String)> {
    let quota = facts.config.quota(scope);
    let held = facts.observed.manual_snapshots(scope)?;
    let alarm = match quota as usize {
        quota if held >= quota => Alarm::QuotaReached(scope.clone()),
        quota if held * 100 >= quota * NEAR_PERCENT => Alarm::QuotaNear(scope.clone()),
        _ => return None,
    };
    let others = held - own_snapshots(facts, view);
    let said = format!("AWS has {held} of {quota}, of which {others} are not redkeep's");
    Some((alarm, said))
}

/// How many of the listed snapshots say that they are of this namespace.
fn own_snapshots(facts: Facts<'_>, view: &ScopeView) -> usize {
    let listed = view
        .snapshots
        .iter()
        .flat_map(|listing| listing.by_id.values());
    listed
        .filter(|snapshot| snapshot.claims(&facts.config.namespace))
        .count()
}

fn of_care(facts: Facts<'_>, run: &Run, care: &Care) -> Option<(Alarm, String)> {
    let slot = run.slot.clone();
    match care {
        Care::Extend { .. } => {
            let refused = facts.observed.refused.get(&slot)?;
            Some((Alarm::GuardRefused(slot), refused.message.clone()))
        }
        Care::Shared => {
            let said = "it is shared with other accounts, and AWS does not change shared snapshots";
            Some((Alarm::GuardRefused(slot), said.to_owned()))
        }
        Care::LetGo => Some((Alarm::LettingGo(slot), String::new())),
    }
}

fn of_run(facts: Facts<'_>, run: &Run) -> Option<(Alarm, String)> {
    if !run.is_creating() {
        return None;
    }
    if let Some(SnapshotStatus::Unknown(word)) = run.description().map(|told| told.status()) {
        return Some((Alarm::UnknownStatus(run.slot.clone()), word));
    }
    is_overlong(facts, run).then(|| (Alarm::StillCreating(run.slot.clone()), String::new()))
}

/// The refusals that somebody has to do something about, in the words of the last one.
fn of_refusals(facts: Facts<'_>, scope: &Scope) -> Vec<(Alarm, String)> {
    let refused = in_force(facts.config, facts.history, scope, facts.now).into_iter();
    let alarms = refused.filter_map(|run| {
        let alarm = match run.refusal()? {
            // AWS is right, whatever the configured quota and our count say.
            Reason::Quota => Alarm::QuotaReached(scope.clone()),
            Reason::AccessDenied => Alarm::AccessDenied(scope.clone()),
            _ => return None,
        };
        Some((alarm, run.message.clone().unwrap_or_default()))
    });
    alarms.collect()
}

/// What AWS has refused for long and still is asked for. What lasts beyond its slot is an alarm from the first refusal on.
fn of_long_refusal(facts: Facts<'_>, refused: &Refused<'_>) -> Option<(Alarm, String)> {
    if refused.why.is_lasting() || !refused.is_long(facts.now) {
        return None;
    }
    let alarm = match refused.why.is_of_scope() {
        true => Alarm::SlotsRefused(refused.scope().clone(), refused.why.to_string()),
        false => Alarm::SlotRefused(refused.last().slot.pair.clone()),
    };
    let last = refused.last();
    let slots = match refused.count() {
        1 => format!("the slot of {}", rfc3339(last.slot.scheduled_at)),
        count => format!("{count} slots"),
    };
    let minutes = (facts.now - refused.since()).num_minutes();
    let said = last.message.as_ref();
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    let said = format!("{slots}, for {minutes} minutes, {}{said}", refused.why);
    Some((alarm, said))
}

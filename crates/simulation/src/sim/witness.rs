//! The invariants that hold at every step of every simulation, whatever it is about.
//!
//! I3 accepted once, I6 available means that AWS has it, I8 terminal states absorb and I9 the watermark never
//! moves back (both in the ledger), I10 create calls lie inside the start window, I11 the rate is held, intent
//! before call, AWS's clock, no verdict without a look.

mod removals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::history::{Change, MissedRange};
use redkeep_core::names::{PolicyName, Trigger, Writer};
use redkeep_core::plan::Call;
use redkeep_core::redshift::ServerDate;
use redkeep_core::reply::Reply;
use redkeep_core::run::{Outcome, Reason, Run, RunState};
use redkeep_core::schedule::Schedule;
use redkeep_core::slot::{Scope, Slot, rfc3339};
use redkeep_core::snapshot::{Snapshot, tag};
use redkeep_policy_file::Config;

use self::removals::{check_intended, check_spared};
use super::aws::Aws;
use super::journal::Journal;

/// docs/semantics.md: "Each scope has its own rate budget"; so many requests at once, so many a second at most.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 20.0;
const SKEW_LIMIT: TimeDelta = TimeDelta::minutes(5);
/// Nothing is removed by a listing that is ten minutes old by the host's clock, which may have been put back by five since.
const MAX_LISTING_AGE: TimeDelta = TimeDelta::minutes(16);

/// What a scope may still be sent.
struct Bucket {
    left: f64,
    at: DateTime<Utc>,
    /// Pages of long listings that half of the rate is still to pay for, or has paid for already.
    owed: f64,
    /// Whether the last complete listing had more pages than a bucket holds.
    is_long: bool,
    is_listing: bool,
}

impl Bucket {
    fn full(at: DateTime<Utc>) -> Self {
        Self {
            left: BURST,
            at,
            owed: 0.0,
            is_long: false,
            is_listing: false,
        }
    }

    fn fill(&mut self, now: DateTime<Utc>) {
        let gained = (now - self.at).as_seconds_f64() * PER_SECOND;
        let most = if self.is_listing {
            gained
        } else {
            self.owed.max(0.0)
        };
        let paid = (gained / 2.0).min(most);
        self.owed -= paid;
        self.left = (self.left + gained - paid).min(BURST);
        self.at = now;
    }

    fn listed(&mut self, pages: u32, is_complete: bool) {
        let further = f64::from(pages.saturating_sub(2));
        let at_once = if self.is_listing {
            0.0
        } else {
            further.min(BURST)
        };
        self.left -= at_once;
        self.owed = (self.owed + further - at_once).max(0.0);
        self.is_listing = false;
        if is_complete {
            self.is_long = f64::from(pages) > BURST;
        }
    }
}

/// The last complete listing that the host took in.
struct Look {
    at: DateTime<Utc>,
    snapshots: Vec<Arc<Snapshot>>,
}

impl Look {
    /// Whether the run's snapshot is there, and not another one that was put in its place.
    fn has(&self, run: &Run) -> bool {
        let made = |one: &Arc<Snapshot>| one.snapshot_create_time;
        let same = |one: &Arc<Snapshot>| {
            let known = run.snapshot.as_ref();
            one.snapshot_identifier == run.request.snapshot_id.as_str()
                && known.is_none_or(|known| known.create_time() == made(one))
        };
        self.snapshots.iter().any(same)
    }

    /// Whether there is a snapshot of this policy and cluster with a slot between these, by its tags.
    fn has_slot_in(&self, range: &MissedRange) -> bool {
        let (first, last) = (rfc3339(range.first_at), rfc3339(range.last_at));
        self.snapshots.iter().any(|one| {
            let is = |key: &str, wanted: &str| one.tags.get(key).is_some_and(|got| got == wanted);
            let slot = one.tags.get(tag::SLOT);
            is(tag::POLICY, range.pair.policy.as_str())
                && is(tag::CLUSTER, range.pair.cluster.as_str())
                && slot.is_some_and(|slot| (&first..=&last).contains(&slot))
        })
    }
}

/// What one host was seen to do.
#[derive(Default)]
pub struct Witness {
    /// Calls left, and as of when, by the host's clock.
    buckets: BTreeMap<Scope, Bucket>,
    /// The last complete listing of each scope.
    last_looks: BTreeMap<Scope, Look>,
    /// When each identifier was last looked for by itself, and whether it was there; `None` where nobody answered.
    named: BTreeMap<(Scope, String), (DateTime<Utc>, Option<bool>)>,
    /// When each identifier was last asked for.
    asked: BTreeMap<(Scope, String), DateTime<Utc>>,
    /// Since when each policy has its schedule and zone, in true time.
    born: BTreeMap<PolicyName, (Schedule, DateTime<Utc>)>,
}

impl Witness {
    /// A new process begins with a full bucket.
    pub fn process_started(&mut self, _now: DateTime<Utc>) {
        self.buckets.clear();
    }

    /// The history is lost.
    pub fn forget(&mut self) {
        self.last_looks.clear();
    }

    /// A configuration comes into force at `now`, which is true time.
    pub fn reloaded(&mut self, config: &Config, now: DateTime<Utc>) {
        let enabled = config.policies.iter().filter(|policy| policy.enabled);
        let born = enabled.map(|policy| {
            let before = self.born.get(&policy.name);
            // Renewed time zone data is no edit of the policy: it sets the clocks.
            let text = |schedule: &Schedule| {
                (
                    schedule.expression().to_owned(),
                    schedule.timezone().to_string(),
                )
            };
            let is_same = |schedule: &Schedule| text(schedule) == text(&policy.schedule);
            let same = before.filter(|(schedule, _)| is_same(schedule));
            let since = same.map_or(now, |(_, since)| *since);
            (policy.name.clone(), (policy.schedule.clone(), since))
        });
        self.born = born.collect();
    }

    /// A call is about to be made.
    pub fn dispatching(
        &mut self,
        call: &Call,
        (config, writer): (&Config, &Writer),
        journal: &Journal,
        aws: &Aws,
        (now, host_time): (DateTime<Utc>, DateTime<Utc>),
    ) {
        let requests = match call {
            Call::List {
                asks_account: true, ..
            } => 3.0,
            Call::Remove { removal, .. } if removal.look_at.is_some() => 1.0,
            Call::List { .. } | Call::Remove { .. } | Call::Extend { .. } => 2.0,
            Call::Describe {
                asks_account: true, ..
            } => 2.0,
            Call::SnapshotAction { .. } => 4.0,
            _ => 1.0,
        };
        let left = self.bucket(call.scope(), now);
        assert!(
            *left > requests - 0.01,
            "I11: the rate is not held at {now}: {call:?} with {left} requests left"
        );
        *left -= requests;
        if matches!(call, Call::List { .. }) {
            let bucket = self.buckets.get_mut(call.scope()).unwrap();
            bucket.is_listing = bucket.is_long;
        }
        if let Call::Remove { removal, .. } = call {
            check_intended(removal, journal);
            if removal.look_at.is_none() {
                self.check_sure(removal, aws, now, host_time);
                check_spared(removal, (config, writer), aws, now);
            }
        }
        if let Call::Create { slot, .. } = call {
            let id = call_name(call);
            assert!(
                !aws.deleted.contains(id),
                "I19: {id} was deleted, and is asked for again"
            );
            let run = journal.ledger.runs.get(slot);
            let run = run.unwrap_or_else(|| panic!("I7: no intent is committed for {slot}"));
            check_create(run, slot, aws, now, host_time);
            let scope = call.scope().clone();
            self.asked.insert((scope, id.to_owned()), now);
        }
    }

    /// How many requests the scope may still be sent at `now`.
    fn bucket(&mut self, scope: &Scope, now: DateTime<Utc>) -> &mut f64 {
        let bucket = self.buckets.entry(scope.clone());
        let bucket = bucket.or_insert_with(|| Bucket::full(now));
        bucket.fill(now);
        &mut bucket.left
    }

    /// An answer is taken in that shows AWS as of `looked_at`.
    ///
    /// `id` is the name that was looked for, where one was.
    pub fn answered(
        &mut self,
        reply: &Reply,
        id: Option<&str>,
        (looked_at, now): (DateTime<Utc>, DateTime<Utc>),
    ) {
        if let Reply::Described(described) = reply
            && let Some(id) = id
        {
            let found = described.snapshots.result.as_ref();
            let is_there = found.ok().map(|found| !found.is_empty());
            let scope = described.slot.pair.scope.clone();
            self.named
                .insert((scope, id.to_owned()), (looked_at, is_there));
        }
        let Reply::Listed(listed) = reply else {
            return;
        };
        self.bucket(&listed.scope, now);
        let pages = listed.clusters.requests + listed.snapshots.requests;
        let bucket = self.buckets.get_mut(&listed.scope).unwrap();
        let is_complete = listed.clusters.result.is_ok() && listed.snapshots.result.is_ok();
        bucket.listed(pages, is_complete);
        let Ok(snapshots) = &listed.snapshots.result else {
            return;
        };
        let look = Look {
            at: looked_at,
            snapshots: snapshots.clone(),
        };
        self.last_looks.insert(listed.scope.clone(), look);
    }

    /// A change is about to be committed.
    pub fn committing(
        &self,
        change: &Change,
        config: &Config,
        journal: &Journal,
        aws: &Aws,
        now: DateTime<Utc>,
    ) {
        match change {
            Change::Pair(..)
            | Change::Clamped(..)
            | Change::Account(..)
            | Change::Renamed(_)
            | Change::Extended(..)
            | Change::Rebuilt(_)
            | Change::Removal(_)
            | Change::Passed(_)
            | Change::Condition(_)
            | Change::Message(_)
            | Change::SnapshotAction(_) => {}
            Change::Missed(range) => self.check_range(range),
            Change::Run(run) | Change::Adopted(run) => {
                let before = journal.ledger.runs.get(&run.slot);
                if before.is_none() {
                    self.check_birth(run, config, journal);
                }
                if before.is_none_or(|before| !before.is_ended()) {
                    self.check_end(run, journal, aws, now);
                }
            }
        }
    }

    /// I10, the window that a run is given; I20, no edit makes a slot that lies before it.
    fn check_birth(&self, run: &Run, config: &Config, journal: &Journal) {
        let name = &run.slot.pair.policy;
        if let Some(policy) = config.policy(name) {
            let longest = policy.start_window.unwrap_or(TimeDelta::hours(8));
            let longest = if policy.catch_up {
                longest
            } else {
                longest.min(SKEW_LIMIT)
            };
            assert!(
                run.request.deadline <= run.slot.scheduled_at + longest,
                "I10: {run} may start until {}",
                run.request.deadline
            );
        }
        // What another host has made under the policy that was there before is only recorded here.
        let is_adopted = run.attempts == 0 && run.accepted_at.is_some();
        // The slots of the schedule that was edited come first, up to the edit.
        let state = journal.ledger.pairs.get(&run.slot.pair);
        let is_of = |schedule: &Schedule| {
            let now = (schedule.expression(), schedule.timezone().name());
            state.is_none_or(|state| (state.schedule.as_str(), state.timezone.as_str()) == now)
        };
        let born = self.born.get(name).filter(|_| !is_adopted);
        if let Some((_, since)) = born.filter(|(schedule, _)| is_of(schedule)) {
            assert!(
                run.slot.scheduled_at > *since - SKEW_LIMIT,
                "I20: {run} lies before its policy, which is of {since}"
            );
        }
    }

    fn check_end(&self, run: &Run, journal: &Journal, aws: &Aws, now: DateTime<Utc>) {
        let id = run.request.snapshot_id.as_str();
        match &run.state {
            RunState::Ended(Outcome::Skipped) => {
                let mut earlier = journal.ledger.runs.range(..&run.slot).rev();
                let is_reason = |(slot, other): (&Slot, &Run)| {
                    slot.pair == run.slot.pair
                        && other.trigger == Trigger::Schedule
                        && other.accepted_at.is_some()
                        && other.ended_at.is_none_or(|at| at >= run.request.starts_at)
                };
                assert!(
                    earlier.any(is_reason),
                    "{run} is skipped, and none of its schedule is being made"
                );
            }
            RunState::Ended(Outcome::Available) => {
                let region = run.slot.pair.scope.region.as_str();
                match aws.account.region_at(region, now).snapshots.get(id) {
                    Some(snapshot) => assert_eq!(snapshot.status(now), "available", "I6: {run}"),
                    None => assert!(
                        aws.accepted.iter().any(|(made, _)| made == id),
                        "I6: AWS never had {id}"
                    ),
                }
            }
            RunState::Ended(Outcome::Failed(Reason::SnapshotFailed | Reason::AccountRemoved)) => {}
            RunState::Ended(Outcome::Missed(_) | Outcome::Expired(_) | Outcome::Failed(_)) => {
                let key = (run.slot.pair.scope.clone(), id.to_owned());
                let asked = self.asked.get(&key);
                let is_after = |at: DateTime<Utc>| asked.is_none_or(|asked| at > *asked);
                let by_name = match self.named.get(&key) {
                    Some((at, Some(is_there))) => is_after(*at) && !is_there,
                    // Where nobody is let look, a slot that was never asked for ends all the same.
                    Some((_, None)) => run.attempts == 0,
                    None => false,
                };
                let look = self.last_looks.get(&run.slot.pair.scope);
                let listed = look.is_some_and(|look| is_after(look.at) && !look.has(run));
                assert!(listed || by_name, "a verdict without a look: {run}");
            }
            _ => {}
        }
    }

    fn check_range(&self, range: &MissedRange) {
        let look = self.last_looks.get(&range.pair.scope);
        let look = look.unwrap_or_else(|| panic!("a verdict without a look: {range:?}"));
        assert!(
            !look.has_slot_in(range),
            "recorded as missed, and yet there is a snapshot in {range:?}"
        );
    }
}

fn call_name(call: &Call) -> &str {
    match call {
        Call::Create { request, .. } => request.snapshot_id.as_str(),
        Call::Describe { id, .. } | Call::Explain { id, .. } | Call::Extend { id, .. } => {
            id.as_str()
        }
        Call::Remove { removal, .. } => removal.id.as_str(),
        Call::SnapshotAction { action, .. } => action.snapshot.as_str(),
        Call::List { .. } => "",
    }
}

fn check_create(run: &Run, slot: &Slot, aws: &Aws, now: DateTime<Utc>, host_time: DateTime<Utc>) {
    assert!(
        matches!(run.state, RunState::Asking { .. }),
        "I7: the intent is not committed: {run}"
    );
    assert!(
        (run.request.starts_at..run.request.deadline).contains(&host_time),
        "I10: {run} is asked for at {host_time}, outside of its start window"
    );
    if let ServerDate::At(date) = aws.date(now) {
        assert!(
            slot.scheduled_at <= date + SKEW_LIMIT,
            "{slot} starts when AWS's clock shows {date}"
        );
    }
}

/// I3: no identifier is accepted twice.
pub fn check_accepted_once(aws: &Aws) {
    let mut seen = BTreeSet::new();
    for (id, at) in &aws.accepted {
        assert!(seen.insert(id), "I3: {id} was made a second time at {at}");
    }
}

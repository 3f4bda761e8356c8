//! The invariants that hold at every step of every simulation, whatever it is about.
//!
//! I3 accepted once, I6 available means that AWS has it, I8 terminal states absorb and I9 the watermark never
//! moves back (both in the ledger), I10 create calls lie inside the start window, I11 the rate is held, intent
//! before call, AWS's clock, no verdict without a look.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use redkeep::history::{Change, MissedRange};
use redkeep::plan::Call;
use redkeep::redshift::ServerDate;
use redkeep::reply::Reply;
use redkeep::run::{Outcome, Run, RunState};
use redkeep::slot::{Scope, Slot, rfc3339};
use redkeep::snapshot::tag;

use super::aws::Aws;
use super::journal::Journal;

/// SEMANTICS: "Each scope has its own rate budget"; so many at once, so many a second.
const BURST: f64 = 10.0;
const PER_SECOND: f64 = 5.0;
const SKEW_LIMIT: TimeDelta = TimeDelta::minutes(5);

/// The last complete listing that the host took in.
struct Look {
    at: DateTime<Utc>,
    snapshots: BTreeSet<String>,
    /// Policy, cluster and instant, out of the tags.
    slots: BTreeSet<(String, String, String)>,
}

/// What one host was seen to do.
#[derive(Default)]
pub struct Witness {
    /// Calls left, and as of when, by the host's clock.
    buckets: BTreeMap<Scope, (f64, DateTime<Utc>)>,
    last_look: Option<Look>,
    /// When each identifier was last asked for.
    asked: BTreeMap<String, DateTime<Utc>>,
}

impl Witness {
    /// A new process begins with a full bucket.
    pub fn process_started(&mut self, _now: DateTime<Utc>) {
        self.buckets.clear();
    }

    /// A call is about to be made.
    pub fn dispatching(
        &mut self,
        call: &Call,
        journal: &Journal,
        aws: &Aws,
        now: DateTime<Utc>,
        host_time: DateTime<Utc>,
    ) {
        let bucket = self
            .buckets
            .entry(call.scope().clone())
            .or_insert((BURST, now));
        let filled = (now - bucket.1).as_seconds_f64() * PER_SECOND;
        *bucket = ((bucket.0 + filled).min(BURST), now);
        assert!(
            bucket.0 > 0.99,
            "the rate is not held at {now}: {call:?} with {} left",
            bucket.0
        );
        bucket.0 -= 1.0;
        if let Call::Create { slot, .. } = call {
            let run = journal.ledger.runs.get(slot);
            let run = run.unwrap_or_else(|| panic!("no intent is committed for {slot}"));
            check_create(run, slot, aws, now, host_time);
            self.asked.insert(run.request.snapshot_id.to_string(), now);
        }
    }

    /// An answer is taken in that shows AWS as of `looked_at`.
    pub fn answered(&mut self, reply: &Reply, looked_at: DateTime<Utc>) {
        let Reply::Listed(listed) = reply else {
            return;
        };
        let Ok(snapshots) = &listed.snapshots.result else {
            return;
        };
        let names = snapshots.iter().map(|one| one.snapshot_identifier.clone());
        let slot = |tags: &redkeep::names::Tags| {
            let tag = |key: &str| tags.get(key).cloned();
            Some((tag(tag::POLICY)?, tag(tag::CLUSTER)?, tag(tag::SLOT)?))
        };
        self.last_look = Some(Look {
            at: looked_at,
            snapshots: names.collect(),
            slots: snapshots.iter().filter_map(|one| slot(&one.tags)).collect(),
        });
    }

    /// A change is about to be committed.
    pub fn committing(&self, change: &Change, journal: &Journal, aws: &Aws, now: DateTime<Utc>) {
        match change {
            Change::Pair(..) | Change::Account(..) => {}
            Change::Missed(range) => self.check_range(range),
            Change::Run(run) => {
                let before = journal.ledger.runs.get(&run.slot);
                if before.is_none_or(|before| !before.is_ended()) {
                    self.check_end(run, aws, now);
                }
            }
        }
    }

    fn check_end(&self, run: &Run, aws: &Aws, now: DateTime<Utc>) {
        let id = run.request.snapshot_id.as_str();
        match &run.state {
            RunState::Ended(Outcome::Available) => {
                let region = aws.account.region(run.slot.pair.scope.region.as_str());
                match region.and_then(|region| region.snapshots.get(id)) {
                    Some(snapshot) => assert_eq!(snapshot.status(now), "available", "{run}"),
                    None => assert!(
                        aws.accepted.iter().any(|(made, _)| made == id),
                        "AWS never had {id}"
                    ),
                }
            }
            RunState::Ended(Outcome::Failed(reason)) if reason == "snapshot failed" => {}
            RunState::Ended(Outcome::Missed(_) | Outcome::Expired(_) | Outcome::Failed(_)) => {
                let look = self.last_look.as_ref();
                let look = look.unwrap_or_else(|| panic!("a verdict without a look: {run}"));
                assert!(!look.snapshots.contains(id), "{run}, and yet {id} is there");
                let asked = self.asked.get(id);
                assert!(
                    asked.is_none_or(|asked| look.at > *asked),
                    "{run} without a look after the last attempt"
                );
            }
            _ => {}
        }
    }

    fn check_range(&self, range: &MissedRange) {
        let look = self.last_look.as_ref();
        let look = look.unwrap_or_else(|| panic!("a verdict without a look: {range:?}"));
        let (first, last) = (rfc3339(range.first_at), rfc3339(range.last_at));
        let there = look.slots.iter().find(|(policy, cluster, slot)| {
            policy == range.pair.policy.as_str()
                && cluster == range.pair.cluster.as_str()
                && (&first..=&last).contains(&slot)
        });
        assert!(
            there.is_none(),
            "recorded as missed, and yet there is a snapshot: {there:?} in {range:?}"
        );
    }
}

fn check_create(run: &Run, slot: &Slot, aws: &Aws, now: DateTime<Utc>, host_time: DateTime<Utc>) {
    assert!(
        matches!(run.state, RunState::Asking { .. }),
        "the intent is not committed: {run}"
    );
    assert!(
        (run.request.starts_at..run.request.deadline).contains(&host_time),
        "{run} is asked for at {host_time}, outside of its start window"
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
        assert!(seen.insert(id), "{id} was made a second time at {at}");
    }
}

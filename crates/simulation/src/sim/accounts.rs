//! The final account: once everything is well again, what was due has its record, and nothing else has.
//!
//! Owns: I1 and I12 over every activation that a pair ever had, I3, I14 and I17. What is due is found by `oracle`
//! where that can read the schedule, and by redkeep's own schedule code elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::history::{History, Totals};
use redkeep_core::names::Trigger;
use redkeep_core::run::{OutcomeKind, Run, RunState};
use redkeep_core::schedule::Schedule;
use redkeep_core::slot::{Pair, Scope, Slot, rfc3339};
use redkeep_core::snapshot::tag;
use redkeep_core::tzdb::bundled;
use redkeep_sandbox::snapshot::Snapshot as ModelSnapshot;

use super::aws::tags;
use super::edits::check_edits;
use super::host::Host;
use super::ledger::{Ledger, Segment};
use super::witness::check_accepted_once;
use super::{Sim, oracle};

/// What lies so near to the present may still be on its way.
const PRESENT: TimeDelta = TimeDelta::minutes(5);

impl Sim {
    /// Checks everything; of runs whose slot is older than `patience` none may be open.
    pub fn check_accounts(&self, patience: TimeDelta) {
        self.accounts().for_each(check_accepted_once);
        for (number, host) in self.hosts.iter().enumerate() {
            let Some(ledger) = self.ledger_of(number) else {
                continue;
            };
            host.journal.check_store();
            check_drained(ledger, self.now - patience);
            check_caught_up(host, ledger, self.now - PRESENT.min(patience));
            check_records(ledger);
            check_edits(ledger, &self.configs_seen(number));
            if let Some(process) = &host.process {
                check_totals(ledger, process.engine.history());
            }
        }
    }
}

/// For how long after its window a run may be looked for, until it is decided.
const DECISION: TimeDelta = TimeDelta::minutes(30);

impl Sim {
    /// I14: where listings have failed since then and single snapshots are told of, what is asked for or looked for ends
    /// all the same.
    pub fn check_decided(&self, account: usize, since: DateTime<Utc>) {
        for host in self.hosts.iter().filter(|host| host.process.is_some()) {
            let runs = host.journal.ledger.runs.values();
            let here =
                runs.filter(|run| self.elsewhere.home(&run.slot.pair.scope.account) == account);
            for run in here.filter(|run| !run.is_ended() && !run.is_creating()) {
                let deadline = run.request.deadline;
                let is_failing = matches!(run.state, RunState::Failing { .. });
                assert!(
                    is_failing || deadline < since || deadline + DECISION > self.now,
                    "I14: {run} is open, and only listings fail: {:?}",
                    run.state
                );
            }
        }
    }

    /// I7 and I26: every snapshot that redkeep made in an account is recorded as that account's, on every host that has
    /// it in its file.
    pub fn check_own(&self) {
        for (number, host) in self.hosts.iter().enumerate() {
            let Some(ledger) = self.ledger_of(number).filter(|_| host.process.is_some()) else {
                continue;
            };
            for scope in host.config.scopes() {
                let aws = self.elsewhere.home_of(&self.aws, &scope);
                let region = aws.account.region(scope.region.as_str());
                let made = region
                    .into_iter()
                    .flat_map(|one| one.snapshots_at(self.now));
                made.for_each(|one| check_recorded(one, &scope, ledger));
            }
        }
    }
}

fn check_recorded(snapshot: &ModelSnapshot, scope: &Scope, ledger: &Ledger) {
    let tags = tags(&snapshot.tags);
    let [policy, cluster, at] = [tag::POLICY, tag::CLUSTER, tag::SLOT].map(|key| tags.get(key));
    let (Some(policy), Some(cluster), Some(at)) = (policy, cluster, at) else {
        return;
    };
    let pair = Pair {
        policy: policy.parse().unwrap(),
        scope: scope.clone(),
        cluster: cluster.parse().unwrap(),
    };
    let scheduled_at = DateTime::parse_from_rfc3339(at).unwrap().to_utc();
    let slot = Slot { pair, scheduled_at };
    let name = &snapshot.snapshot_identifier;
    let run = ledger.runs.get(&slot);
    let known = run.map(|run| run.request.snapshot_id.as_str());
    // The first, failed, has given way to a second.
    let is_known = known
        .is_some_and(|known| known.strip_suffix("-r1").unwrap_or(known) == name || known == name);
    assert!(is_known, "I26: {name} of {scope} has no record: {known:?}");
}

/// I14: what was due before `before` has ended.
fn check_drained(ledger: &Ledger, before: DateTime<Utc>) {
    for run in ledger.runs.values() {
        assert!(
            run.is_ended() || run.slot.scheduled_at > before,
            "I14: {run} is still open: {:?}",
            run.state
        );
    }
    for action in ledger.actions.values() {
        assert!(
            action.end.is_some() || action.asked_at > before,
            "I14: {action:?} is still open"
        );
    }
}

/// I1: every active pair has taken up its slots until shortly before now.
fn check_caught_up(host: &Host, ledger: &Ledger, until: DateTime<Utc>) {
    for (pair, state) in &ledger.pairs {
        let next = host
            .config
            .policy(&pair.policy)
            .and_then(|policy| state.next_slot(policy));
        assert!(
            next.is_none_or(|next| next > until),
            "I1: {pair} has not taken up its slot of {next:?}"
        );
    }
}

/// I1 and I12: every slot that was due has one record, and every record a slot.
fn check_records(ledger: &Ledger) {
    let mut segments: BTreeMap<&Pair, Vec<&Segment>> = BTreeMap::new();
    for segment in &ledger.segments {
        segments.entry(&segment.pair).or_default().push(segment);
    }
    let mut records: BTreeMap<&Pair, BTreeMap<DateTime<Utc>, usize>> = BTreeMap::new();
    // What a lost history was rebuilt from lies before every activation that is known.
    let known = |run: &&Run| {
        let since = segments.get(&run.slot.pair).and_then(|all| all.first());
        let rebuilt = ledger.rebuilt_at.is_some();
        !rebuilt || since.is_some_and(|first| run.slot.scheduled_at > first.state.active_from)
    };
    let runs = ledger.runs.values();
    let scheduled = runs
        .filter(|run| run.trigger == Trigger::Schedule)
        .filter(known);
    for run in scheduled {
        let of_pair = records.entry(&run.slot.pair).or_default();
        *of_pair.entry(run.slot.scheduled_at).or_default() += 1;
    }
    for (pair, segments) in segments {
        let due: BTreeSet<DateTime<Utc>> = {
            let taken_up = |one: &Segment| due(one, one.state.active_from, one.state.watermark);
            segments.into_iter().flat_map(taken_up).collect()
        };
        let mut recorded = records.remove(pair).unwrap_or_default();
        for range in ledger.ranges.iter().filter(|range| range.pair == *pair) {
            let missed: Vec<_> = due.range(range.first_at..=range.last_at).collect();
            assert_eq!(
                missed.len() as u64,
                range.count,
                "I12: the slots of {range:?}"
            );
            missed
                .into_iter()
                .for_each(|slot| *recorded.entry(*slot).or_default() += 1);
        }
        let more = recorded
            .keys()
            .find(|slot| !due.contains(slot) && !is_adopted(ledger, pair, **slot));
        assert_eq!(more, None, "I12: a record of {pair} that has no slot");
        for slot in &due {
            let count = recorded.get(slot).copied().unwrap_or(0);
            assert_eq!(count, 1, "I1: records of {pair} at {}", rfc3339(*slot));
        }
    }
    records.retain(|pair, slots| {
        slots.retain(|slot, _| !is_adopted(ledger, pair, *slot));
        !slots.is_empty()
    });
    assert!(
        records.is_empty(),
        "I1: records of pairs that never were active: {records:?}"
    );
}

/// Whether a record is of a snapshot that was found at AWS: another host has made it under a policy that was there before,
/// or is not there yet.
fn is_adopted(ledger: &Ledger, pair: &Pair, scheduled_at: DateTime<Utc>) -> bool {
    let slot = Slot {
        pair: pair.clone(),
        scheduled_at,
    };
    let run = ledger.runs.get(&slot);
    run.is_some_and(|run| run.attempts == 0 && run.accepted_at.is_some())
}

/// The slots of one activation in (`after`, `until`].
pub(super) fn due(
    segment: &Segment,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
) -> BTreeSet<DateTime<Utc>> {
    let state = &segment.state;
    let plain = |c: char| c.is_ascii_digit() || " */,".contains(c);
    if state.schedule.split(' ').count() == 5 && state.schedule.chars().all(plain) {
        let zone = state.timezone.parse().unwrap();
        return oracle::slots(&state.schedule, zone, after, until);
    }
    let zone = bundled(&state.timezone).unwrap();
    let schedule = Schedule::parse(&state.schedule, zone).unwrap();
    schedule.slots_between(after, until).collect()
}

/// I17: what the metrics count is the fold of what was committed.
pub(super) fn check_totals(ledger: &Ledger, history: &History) {
    let mut totals: BTreeMap<Pair, Totals> = BTreeMap::new();
    for run in ledger.runs.values() {
        if let Some(outcome) = run.outcome() {
            let counted = totals.entry(run.slot.pair.clone()).or_default();
            counted.add(outcome.kind(), 1);
        }
    }
    for range in &ledger.ranges {
        totals
            .entry(range.pair.clone())
            .or_default()
            .add(OutcomeKind::Missed, range.count);
    }
    let counted = history
        .totals
        .iter()
        .filter(|(_, counted)| **counted != Totals::default());
    let counted: BTreeMap<_, _> = counted
        .map(|(pair, counted)| (pair.clone(), *counted))
        .collect();
    assert_eq!(
        counted, totals,
        "I17: the totals are not those of the records"
    );
}

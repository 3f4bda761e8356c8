//! AWS: the sandbox's pure model, called without HTTP, and what can go wrong on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use redkeep::names::Retention;
use redkeep::plan::Call;
use redkeep::redshift::{
    Answer, Cluster, CreateRequest, ErrorClass, RedshiftError, ServerDate, SnapshotEvent,
};
use redkeep::reply::{Listed, Removed, Reply};
use redkeep::retention::guard::is_still_needed;
use redkeep::retention::hold::Step;
use redkeep::retention::prune::Warrant;
use redkeep::sandbox::account::{Account, AccountLimits, Region};
use redkeep::sandbox::cluster::{Cluster as ModelCluster, ClusterState};
use redkeep::sandbox::error::ApiError;
use redkeep::sandbox::event::EventKind;
use redkeep::sandbox::faults::{self, Fault, FaultPlan, FaultRule, Suffering};
use redkeep::sandbox::operations::{self, Effect, Request, Twist};
use redkeep::sandbox::query::Params;
use redkeep::sandbox::snapshot::{Snapshot as ModelSnapshot, SnapshotFate};
use redkeep::sandbox::tag::Tag;
use redkeep::snapshot::{Snapshot, SnapshotId, tag};
use redkeep::upkeep::{Errand, Removal};

pub const REGION: &str = "eu-central-1";
pub const CREATE: &str = "CreateClusterSnapshot";
pub const SNAPSHOTS: &str = "DescribeClusterSnapshots";
pub const DELETE: &str = "DeleteClusterSnapshot";
pub const CLUSTERS: &str = "DescribeClusters";

/// What the operations of a call suffer, in their order.
pub struct Suffered(Vec<Suffering>);

impl Suffered {
    pub fn latency(&self) -> TimeDelta {
        let all = self.0.iter().map(|one| one.latency_milliseconds);
        TimeDelta::milliseconds(i64::try_from(all.sum::<u64>()).unwrap())
    }

    pub fn hangs(&self) -> bool {
        self.0
            .iter()
            .any(|one| matches!(one.fault, Some(Fault::Hang)))
    }
}

/// The account, and what happened to it.
pub struct Aws {
    pub account: Account,
    pub faults: FaultPlan,
    /// How far the `Date` of the answers is ahead of true time; `None` sends none.
    pub date_ahead: Option<TimeDelta>,
    /// Every create call that was accepted.
    pub accepted: Vec<(String, DateTime<Utc>)>,
    /// Every call that changed a snapshot's retention.
    pub modified: Vec<(String, DateTime<Utc>)>,
    /// Every snapshot that a call of ours removed.
    pub removed: Vec<(String, DateTime<Utc>)>,
    /// What AWS tells of single snapshots otherwise than the model does.
    pub disguises: BTreeMap<String, fn(&mut Snapshot)>,
    /// The most snapshots that there were at once.
    pub most_held: usize,
    /// How often each operation was asked for.
    pub asked: BTreeMap<&'static str, u64>,
    /// What somebody else deleted.
    pub deleted: BTreeSet<String>,
    /// When somebody last changed something in the region.
    touched_at: Option<DateTime<Utc>>,
    /// What was last told of each snapshot: a description is made anew only when there is something new in it.
    told: Vec<Arc<Snapshot>>,
}

impl Aws {
    pub fn new() -> Self {
        let limits = AccountLimits {
            manual_snapshots: 100_000,
            ..AccountLimits::default()
        };
        Self {
            account: Account::new("123456789012".to_owned(), limits),
            faults: FaultPlan::default(),
            date_ahead: Some(TimeDelta::zero()),
            accepted: Vec::new(),
            modified: Vec::new(),
            removed: Vec::new(),
            disguises: BTreeMap::new(),
            most_held: 0,
            asked: BTreeMap::new(),
            deleted: BTreeSet::new(),
            touched_at: None,
            told: Vec::new(),
        }
    }

    pub fn add_cluster(&mut self, name: &str, created_at: DateTime<Utc>) {
        let cluster = ModelCluster::with_defaults(name, REGION, created_at);
        self.region(created_at)
            .clusters
            .insert(name.to_owned(), cluster);
    }

    pub fn remove_cluster(&mut self, name: &str, now: DateTime<Utc>) {
        self.region(now).clusters.remove(name);
    }

    /// Snapshots that somebody else made.
    pub fn add_foreign_snapshots(&mut self, cluster: &str, count: u32, now: DateTime<Utc>) {
        let properties = self.region(now).clusters[cluster].properties.clone();
        for number in 0..count {
            let id = format!("foreign-{number}");
            let snapshot = ModelSnapshot {
                snapshot_identifier: id.clone(),
                cluster_identifier: cluster.to_owned(),
                properties: properties.clone(),
                created_at: now,
                retention_days: -1,
                retention_started_at: now,
                tags: Vec::new(),
                fate: SnapshotFate::Completes { at: now },
                visible_from: now,
            };
            self.region(now).snapshots.insert(id, snapshot);
        }
    }

    pub fn set_status(&mut self, cluster: &str, status: &str, now: DateTime<Utc>) {
        let state = ClusterState::Settled {
            status: status.to_owned(),
        };
        self.region(now).cluster_mut(cluster).unwrap().state = state;
    }

    /// The region, for somebody to change whatever he likes in it.
    pub fn region(&mut self, now: DateTime<Utc>) -> &mut Region {
        self.told.clear();
        self.touched_at = Some(now);
        self.account.region_mut(REGION, now)
    }

    pub fn snapshot_mut(&mut self, id: &str, now: DateTime<Utc>) -> &mut ModelSnapshot {
        self.region(now).snapshot_mut(id).unwrap()
    }

    /// Tells of a snapshot otherwise from now on.
    pub fn disguise(&mut self, id: &str, disguise: fn(&mut Snapshot), now: DateTime<Utc>) {
        self.region(now);
        self.disguises.insert(id.to_owned(), disguise);
    }

    /// Strikes every call of an operation, or so many, from now on.
    pub fn strike(&mut self, operation: &str, times: Option<u32>, fault: Fault) {
        self.faults.rules.push(FaultRule {
            operation: operation.to_owned(),
            account: None,
            region: None,
            cluster: None,
            times,
            after: 0,
            fault,
        });
    }

    pub fn refuse(&mut self, operation: &str, times: Option<u32>, code: &str, status: u16) {
        let fault = Fault::Error {
            code: code.to_owned(),
            status,
            message: "Injected.".to_owned(),
        };
        self.strike(operation, times, fault);
    }

    /// Whether no fault is waiting for a call.
    pub fn is_sound(&self) -> bool {
        self.faults.rules.iter().all(|rule| rule.times == Some(0))
    }

    /// When there is next something new to see, after an instant: something that happens by itself, or what somebody
    /// did at once.
    pub fn next_change(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let region = self.account.region(REGION)?;
        let snapshots = region.snapshots.values().flat_map(|snapshot| {
            let ends_at = match snapshot.fate {
                SnapshotFate::Completes { at } | SnapshotFate::Fails { at } => Some(at),
                SnapshotFate::Stuck | SnapshotFate::Held { .. } => None,
            };
            [Some(snapshot.visible_from), ends_at, snapshot.expires_at()]
        });
        let clusters = region.clusters.values().map(|cluster| match cluster.state {
            ClusterState::Creating { until }
            | ClusterState::Pausing { until }
            | ClusterState::Resuming { until }
            | ClusterState::Renaming { until, .. }
            | ClusterState::Deleting { until } => Some(until),
            ClusterState::Settled { .. } => None,
        });
        let touched = std::iter::once(self.touched_at);
        let all = snapshots.chain(clusters).chain(touched).flatten();
        all.filter(|at| *at >= after).min()
    }

    pub fn heal(&mut self) {
        self.faults.rules.clear();
    }

    /// What the date of an answer would be.
    pub fn date(&self, now: DateTime<Utc>) -> ServerDate {
        match self.date_ahead {
            Some(ahead) => ServerDate::At((now + ahead).trunc_subsecs(0)),
            None => ServerDate::Undated,
        }
    }

    /// Asks the fault plan, operation by operation.
    pub fn suffer(&mut self, call: &Call) -> Suffered {
        let names = match call {
            Call::List {
                asks_account: true, ..
            } => vec![CLUSTERS, SNAPSHOTS, "GetCallerIdentity"],
            Call::List { .. } => vec![CLUSTERS, SNAPSHOTS],
            Call::Create { .. } => vec![CREATE],
            Call::Describe { .. } => vec![SNAPSHOTS],
            Call::Explain { .. } => vec!["DescribeEvents"],
            Call::Extend { .. } => vec![SNAPSHOTS, "ModifyClusterSnapshot"],
            Call::Remove { removal, .. } if removal.look_at.is_some() => vec![SNAPSHOTS],
            Call::Remove { .. } => vec![SNAPSHOTS, DELETE],
            Call::Errand { .. } => vec![SNAPSHOTS, "CreateTags"],
        };
        let cluster = match call {
            Call::Create { request, .. } => Some(request.cluster.as_str()),
            _ => None,
        };
        let strike = |operation: &'static str| {
            *self.asked.entry(operation).or_default() += 1;
            self.faults.next(faults::Call {
                operation,
                account: None,
                region: REGION,
                cluster,
            })
        };
        Suffered(names.into_iter().map(strike).collect())
    }

    /// Carries a call out, in so far as its suffering lets it.
    pub fn carry_out(
        &mut self,
        call: &Call,
        began_at: DateTime<Utc>,
        suffered: &Suffered,
        now: DateTime<Utc>,
    ) -> Reply {
        let region = call.scope().region.to_string();
        let first = &suffered.0[0];
        match call {
            Call::List { scope, .. } => Reply::Listed(Box::new(Listed {
                scope: scope.clone(),
                began_at,
                clusters: in_pages(self.answer(first, now, |aws| Ok(aws.clusters(&region, now)))),
                snapshots: in_pages(
                    self.answer(&suffered.0[1], now, |aws| Ok(aws.listed(&region, now))),
                ),
                account_number: suffered.0.get(2).map(|suffering| {
                    self.answer(suffering, now, |aws| Ok(aws.account.account_id.clone()))
                }),
            })),
            Call::Create { slot, request } => {
                let twist = first.twist();
                let create = |aws: &mut Self| aws.create(&region, request, twist, now);
                Reply::Created(slot.clone(), self.answer(first, now, create))
            }
            Call::Describe { slot, id } => {
                let find = |aws: &mut Self| {
                    let mut all = aws.listed(&region, now);
                    all.retain(|one| one.snapshot_identifier == id.as_str());
                    Ok(all)
                };
                Reply::Described(slot.clone(), self.answer(first, now, find))
            }
            Call::Explain { slot, id } => {
                let events = |aws: &mut Self| Ok(aws.events(&region, id.as_str(), now));
                Reply::Explained(slot.clone(), self.answer(first, now, events))
            }
            Call::Remove { removal, warrant } => {
                let answer = self.remove(&region, (removal, warrant), (began_at, now), suffered);
                Reply::Removed(removal.clone(), answer)
            }
            Call::Errand { errand, warrant } => {
                let answer = self.run_errand(&region, errand, warrant, suffered, now);
                Reply::Done(errand.clone(), answer)
            }
            Call::Extend { id, extension } => {
                let answer = self.extend(&region, id, extension.to, suffered, now);
                Reply::Extended(Box::new(extension.clone()), answer)
            }
        }
    }

    fn answer<T>(
        &mut self,
        suffering: &Suffering,
        now: DateTime<Utc>,
        operation: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Answer<T> {
        let unclear = |message: &str| RedshiftError {
            class: ErrorClass::Unknown,
            code: None,
            message: message.to_owned(),
        };
        let (result, answered) = match &suffering.fault {
            Some(Fault::Error {
                code,
                status,
                message,
            }) => (Err(refusal(code, *status, message)), true),
            Some(Fault::LostReply | Fault::Truncate | Fault::Empty) => {
                // Whether it was done or refused, nobody hears of it.
                let _ = operation(self);
                (Err(unclear("connection closed")), false)
            }
            Some(Fault::Reset) => (Err(unclear("connection reset")), false),
            Some(Fault::Hang) => (Err(unclear("timeout")), false),
            Some(Fault::Html { status }) => (Err(unclear(&format!("HTTP status {status}"))), true),
            Some(Fault::LoopMarker) => (Err(unclear("the marker does not advance")), true),
            _ => {
                let result = operation(self);
                let refused = |error: ApiError| refusal(&error.code, error.status, &error.message);
                (result.map_err(refused), true)
            }
        };
        let server_date = match answered {
            true => self.date(now),
            false => ServerDate::NoAnswer,
        };
        Answer {
            result,
            server_date,
            requests: 1,
        }
    }

    /// Makes a snapshot as somebody else would, with these tags.
    pub fn plant(&mut self, id: &str, tags: &[(&str, &str)], now: DateTime<Utc>) {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let request = CreateRequest {
            snapshot_id: SnapshotId::recorded(id.to_owned()),
            cluster: "dw".parse().unwrap(),
            retention: "35d".parse().unwrap(),
            tags: tags.iter().map(own).collect(),
        };
        self.create(REGION, &request, Twist::None, now).unwrap();
    }

    fn create(
        &mut self,
        region: &str,
        wanted: &CreateRequest,
        twist: Twist,
        now: DateTime<Utc>,
    ) -> Result<Arc<Snapshot>, ApiError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Version", "2012-12-01")
            .append_pair("Action", CREATE)
            .append_pair("SnapshotIdentifier", wanted.snapshot_id.as_str())
            .append_pair("ClusterIdentifier", wanted.cluster.as_str());
        let days = wanted.retention.days_or_minus_one().to_string();
        form.append_pair("ManualSnapshotRetentionPeriod", &days);
        for (number, (key, value)) in wanted.tags.iter().enumerate() {
            let place = format!("Tags.Tag.{}", number + 1);
            form.append_pair(&format!("{place}.Key"), key)
                .append_pair(&format!("{place}.Value"), value);
        }
        self.perform(region, &form.finish(), twist, now)?;
        let id = wanted.snapshot_id.to_string();
        self.check_one_a_slot(region, wanted, now);
        self.accepted.push((id.clone(), now));
        let held = self.account.regions[region].snapshots_at(now).count();
        self.most_held = self.most_held.max(held);
        let made = &self.account.regions[region].snapshots[&id];
        Ok(Arc::new(described(&self.account, region, made, now)))
    }

    /// As the daemon's `calls` does it.
    fn extend(
        &mut self,
        region: &str,
        id: &SnapshotId,
        to: Retention,
        suffered: &Suffered,
        now: DateTime<Utc>,
    ) -> Answer<Arc<Snapshot>> {
        let described = self.described_one(region, id, &suffered.0[0], now);
        let found = match &described.result {
            Ok(found) => found.first().cloned(),
            Err(error) => {
                let error = error.clone();
                return described.map_to(Err(error));
            }
        };
        let Some(found) = found else {
            let error = refusal("ClusterSnapshotNotFound", 404, "it is gone since");
            return described.map_to(Err(error));
        };
        let ours = found.tags.contains_key(tag::NAMESPACE);
        assert!(ours, "I2: {id} is not ours, and is to be modified");
        if !is_still_needed(&found, to) {
            return described.map_to(Ok(found));
        }
        let modify = |aws: &mut Self| aws.modify(region, id, to, now);
        self.answer(&suffered.0[1], now, modify)
    }

    fn modify(
        &mut self,
        region: &str,
        id: &SnapshotId,
        retention: Retention,
        now: DateTime<Utc>,
    ) -> Result<Arc<Snapshot>, ApiError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let days = retention.days_or_minus_one().to_string();
        form.append_pair("Version", "2012-12-01")
            .append_pair("Action", "ModifyClusterSnapshot")
            .append_pair("SnapshotIdentifier", id.as_str())
            .append_pair("ManualSnapshotRetentionPeriod", &days);
        self.perform(region, &form.finish(), Twist::None, now)?;
        let touched = &self.account.regions[region].snapshots[id.as_str()];
        let ours = tags(&touched.tags).contains_key(tag::NAMESPACE);
        assert!(ours, "I2: {id} is not ours, and is modified");
        self.modified.push((id.to_string(), now));
        let made = &self.account.regions[region].snapshots[id.as_str()];
        Ok(Arc::new(described(&self.account, region, made, now)))
    }

    /// As the daemon's `calls` does it.
    fn remove(
        &mut self,
        region: &str,
        (removal, warrant): (&Removal, &Warrant),
        (began_at, now): (DateTime<Utc>, DateTime<Utc>),
        suffered: &Suffered,
    ) -> Answer<Removed> {
        let described = self.described_one(region, &removal.id, &suffered.0[0], now);
        let found = match &described.result {
            Ok(found) => found.clone(),
            Err(error) => {
                let error = RedshiftError {
                    class: ErrorClass::Unsent,
                    ..error.clone()
                };
                return described.map_to(Err(error));
            }
        };
        if removal.look_at.is_some() {
            let is_there = found.iter().any(|one| warrant.is_ours(one));
            return described.map_to(Ok(if is_there {
                Removed::Present
            } else {
                Removed::Absent
            }));
        }
        let seen = (found.as_slice(), described.server_date);
        match warrant.removable(&removal.id, removal.why, seen, began_at) {
            Err(why) => described.map_to(Ok(Removed::Refused(why))),
            Ok(None) => described.map_to(Ok(Removed::Absent)),
            Ok(Some(cluster)) => {
                let delete =
                    |aws: &mut Self| aws.remove_snapshot(region, &removal.id, &cluster, now);
                let answer = self.answer(&suffered.0[1], now, delete);
                let result = answer.result.clone().map(|()| Removed::Done);
                answer.map_to(result)
            }
        }
    }

    fn described_one(
        &mut self,
        region: &str,
        id: &SnapshotId,
        suffering: &Suffering,
        now: DateTime<Utc>,
    ) -> Answer<Vec<Arc<Snapshot>>> {
        let find = |aws: &mut Self| {
            let mut all = aws.listed(region, now);
            all.retain(|one| one.snapshot_identifier == id.as_str());
            Ok(all)
        };
        self.answer(suffering, now, find)
    }

    fn remove_snapshot(
        &mut self,
        region: &str,
        id: &SnapshotId,
        cluster: &str,
        now: DateTime<Utc>,
    ) -> Result<(), ApiError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Version", "2012-12-01")
            .append_pair("Action", DELETE)
            .append_pair("SnapshotIdentifier", id.as_str())
            .append_pair("SnapshotClusterIdentifier", cluster);
        self.perform(region, &form.finish(), Twist::None, now)?;
        self.removed.push((id.to_string(), now));
        Ok(())
    }

    fn run_errand(
        &mut self,
        region: &str,
        errand: &Errand,
        warrant: &Warrant,
        suffered: &Suffered,
        now: DateTime<Utc>,
    ) -> Answer<(Arc<Snapshot>, String)> {
        let described = self.described_one(region, &errand.snapshot, &suffered.0[0], now);
        let found = match &described.result {
            Ok(found) => found.clone(),
            Err(error) => {
                let error = error.clone();
                return described.map_to(Err(error));
            }
        };
        let steps = match warrant.steps(errand, &found, now) {
            Ok((_, steps)) => steps,
            Err(message) => {
                let error = RedshiftError {
                    class: ErrorClass::Invalid,
                    code: None,
                    message,
                };
                return described.map_to(Err(error));
            }
        };
        let take = |aws: &mut Self| {
            for step in &steps {
                match step {
                    Step::KeepFor(retention) => {
                        aws.modify(region, &errand.snapshot, *retention, now)?;
                    }
                    Step::Tag(key, value) => {
                        let tags = &mut aws.snapshot_mut(errand.snapshot.as_str(), now).tags;
                        tags.retain(|tag| tag.key != *key);
                        let (key, value) = ((*key).to_owned(), value.clone());
                        tags.push(Tag { key, value });
                    }
                    Step::Untag(key) => {
                        let tags = &mut aws.snapshot_mut(errand.snapshot.as_str(), now).tags;
                        tags.retain(|tag| tag.key != *key);
                    }
                }
            }
            let all = aws.listed(region, now);
            let named = |one: &Arc<Snapshot>| one.snapshot_identifier == errand.snapshot.as_str();
            Ok((all.into_iter().find(named).unwrap(), "done".to_owned()))
        };
        self.answer(&suffered.0[1], now, take)
    }

    fn perform(
        &mut self,
        region: &str,
        form: &str,
        twist: Twist,
        now: DateTime<Utc>,
    ) -> Result<(), ApiError> {
        let request = Request {
            region: region.to_owned(),
            params: Params::parse(form.as_bytes()),
            now,
            twist,
        };
        match operations::find(&request.params)?.effect {
            Effect::Reads(run) => run(&self.account, &request)?,
            Effect::Writes(run) => run(&mut self.account, &request)?,
            Effect::Identifies(_) | Effect::Grants(_) => {
                unreachable!("this asks for snapshots only")
            }
        };
        Ok(())
    }

    /// I3: one snapshot for each slot and generation, and the second only where the first has failed.
    fn check_one_a_slot(&self, region: &str, wanted: &CreateRequest, now: DateTime<Utc>) {
        let id = wanted.snapshot_id.as_str();
        let keys = [tag::SLOT, tag::POLICY, tag::CLUSTER];
        // Somebody who gives no tags names no slot.
        let names_slot = keys.iter().all(|key| wanted.tags.contains_key(*key));
        let is_same = |tag: &Tag| wanted.tags.get(&tag.key) == Some(&tag.value);
        let held = self.account.regions[region].snapshots.values();
        let same_slot = held.filter(|held| {
            let has = |key: &str| held.tags.iter().any(|tag| tag.key == key && is_same(tag));
            names_slot && held.snapshot_identifier != id && keys.iter().all(|key| has(key))
        });
        for other in same_slot {
            let (name, status) = (&other.snapshot_identifier, other.status(now));
            let second = wanted.snapshot_id.as_str() == format!("{name}-r1");
            assert!(
                second && status == "failed",
                "I3: {id} is made for a slot that has {name}, which is {status}"
            );
        }
    }

    /// Somebody else deletes a snapshot.
    pub fn delete(&mut self, id: &str, now: DateTime<Utc>) {
        self.region(now).snapshots.remove(id);
        self.deleted.insert(id.to_owned());
    }

    fn clusters(&self, region: &str, now: DateTime<Utc>) -> Vec<Cluster> {
        self.account
            .region_at(region, now)
            .clusters_at(now)
            .map(|cluster| Cluster {
                id: cluster.cluster_identifier.parse().unwrap(),
                status: cluster.status(now).to_owned(),
                created_at: Some(cluster.properties.created_at),
                tags: tags(&cluster.tags),
            })
            .collect()
    }

    /// The snapshots that a Describe sees.
    pub fn listed(&mut self, region: &str, now: DateTime<Utc>) -> Vec<Arc<Snapshot>> {
        let (account, disguises) = (&self.account, &self.disguises);
        let mut before = self.told.iter().peekable();
        let seen = account.region_at(region, now);
        let all: Vec<Arc<Snapshot>> = seen
            .snapshots_at(now)
            .map(|snapshot| {
                // Both are in the order of the names.
                while before
                    .next_if(|one| one.snapshot_identifier < snapshot.snapshot_identifier)
                    .is_some()
                {}
                match before.peek() {
                    Some(told) if is_up_to_date(told, snapshot, now) => Arc::clone(told),
                    _ => {
                        let mut fresh = described(account, region, snapshot, now);
                        if let Some(disguise) = disguises.get(&snapshot.snapshot_identifier) {
                            disguise(&mut fresh);
                        }
                        Arc::new(fresh)
                    }
                }
            })
            .collect();
        self.told.clone_from(&all);
        all
    }

    fn events(&self, region: &str, id: &str, now: DateTime<Utc>) -> Vec<SnapshotEvent> {
        let all = self.account.region(region).into_iter();
        all.flat_map(|region| &region.events)
            .filter(|event| event.source_identifier == id && event.date <= now)
            .map(|event| SnapshotEvent {
                id: event_id(event.kind).to_owned(),
                message: event.message.clone(),
            })
            .collect()
    }
}

/// "Amazon Redshift event notifications".
fn event_id(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Started => "REDSHIFT-EVENT-2009",
        EventKind::Completed => "REDSHIFT-EVENT-3004",
        EventKind::Failed => "REDSHIFT-EVENT-3503",
        EventKind::Deleted => "REDSHIFT-EVENT-2011",
    }
}

/// A listing took a request for each hundred; one whose marker does not advance, a second one.
fn in_pages<T>(answer: Answer<Vec<T>>) -> Answer<Vec<T>> {
    let requests = match &answer.result {
        Ok(all) => u32::try_from(all.len().div_ceil(100).max(1)).unwrap(),
        Err(error) if error.message.contains("marker") => 2,
        Err(_) => 1,
    };
    Answer { requests, ..answer }
}

/// What changes by itself, or by a later snapshot of the same name; all else goes through [`Aws::region`].
fn is_up_to_date(told: &Snapshot, snapshot: &ModelSnapshot, now: DateTime<Utc>) -> bool {
    told.snapshot_identifier == snapshot.snapshot_identifier
        && told.status.as_deref() == Some(snapshot.status(now))
        && told.snapshot_create_time == Some(snapshot.created_at)
        && told.manual_snapshot_retention_period == Some(snapshot.retention_days)
        && told.cluster_identifier.as_deref() == Some(&snapshot.cluster_identifier)
}

fn described(
    account: &Account,
    region: &str,
    snapshot: &ModelSnapshot,
    now: DateTime<Utc>,
) -> Snapshot {
    Snapshot {
        snapshot_identifier: snapshot.snapshot_identifier.clone(),
        cluster_identifier: Some(snapshot.cluster_identifier.clone()),
        snapshot_create_time: Some(snapshot.created_at),
        status: Some(snapshot.status(now).to_owned()),
        cluster_create_time: Some(snapshot.properties.created_at),
        snapshot_type: Some("manual".to_owned()),
        owner_account: Some(account.account_id.clone()),
        total_backup_size_in_mega_bytes: Some(snapshot.total_megabytes() as f64),
        tags: tags(&snapshot.tags),
        manual_snapshot_retention_period: Some(snapshot.retention_days),
        snapshot_retention_start_time: Some(snapshot.retention_started_at),
        snapshot_arn: Some(snapshot.arn(account, region)),
        ..Snapshot::default()
    }
}

fn tags(tags: &[Tag]) -> redkeep::names::Tags {
    tags.iter()
        .map(|tag| (tag.key.clone(), tag.value.clone()))
        .collect()
}

fn refusal(code: &str, status: u16, message: &str) -> RedshiftError {
    let class = match code {
        "Throttling" | "ServiceUnavailable" => ErrorClass::Throttled,
        "InvalidClusterState" => ErrorClass::ClusterState,
        "ClusterSnapshotAlreadyExists" => ErrorClass::AlreadyExists,
        "ClusterSnapshotQuotaExceeded" => ErrorClass::Quota,
        "ClusterNotFound" => ErrorClass::ClusterNotFound,
        "ClusterSnapshotNotFound" => ErrorClass::SnapshotNotFound,
        "AccessDenied" => ErrorClass::AccessDenied,
        "ExpiredToken" => ErrorClass::Credentials,
        "RequestExpired" => ErrorClass::ClockSkew,
        "InvalidTagFault" | "InvalidRetentionPeriodFault" | "InvalidParameterValue" => {
            ErrorClass::Invalid
        }
        _ if status >= 500 => ErrorClass::Unknown,
        _ => ErrorClass::Other,
    };
    RedshiftError {
        class,
        code: Some(code.to_owned()),
        message: message.to_owned(),
    }
}

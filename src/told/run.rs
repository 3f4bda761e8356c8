//! What is told of one run: the row of `history`, and everything that `show` has.
//!
//! Owns: the fields and their order, the restoring command. Every text may hold what AWS or a stranger wrote.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::command;
use super::{Row, names_of, row};
use crate::history::MissedRange;
use crate::logging::one_line;
use crate::names::Trigger;
use crate::run::{Outcome, OutcomeKind, Run, RunState};
use crate::slot::rfc3339;
use crate::snapshot::{Hold, Snapshot};

row! {
    /// What became of a slot, or of a range of missed ones.
    HistoryRow {
        policy: String,
        account: String,
        region: String,
        cluster: String,
        scheduled_at: String,
        trigger: &'static str,
        snapshot_id: Option<String>,
        state: &'static str,
        reason: Option<String>,
        attempts: u32,
        starts_at: Option<String>,
        deadline_at: Option<String>,
        requested_at: Option<String>,
        accepted_at: Option<String>,
        available_at: Option<String>,
        ended_at: Option<String>,
        expires_at: Option<String>,
        gone_at: Option<String>,
        gone_reason: Option<&'static str>,
        on_hold: Option<bool>,
        size_bytes: Option<u64>,
        tier: Option<&'static str>,
        tier_reason: Option<String>,
        retention_days: Option<i32>,
        slots: u64,
        last_scheduled_at: Option<String>,
        #[serde(serialize_with = "as_described")]
        snapshot: Option<Arc<Snapshot>>,
    }
    beside {
        at: String,
        short_id: String,
        what_came: String,
    }
}

/// AWS's description of a snapshot, its members in alphabetical order.
fn as_described<S: Serializer>(
    snapshot: &Option<Arc<Snapshot>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    described(snapshot.as_deref()).serialize(serializer)
}

fn described(snapshot: Option<&Snapshot>) -> Value {
    serde_json::to_value(snapshot).unwrap_or_default()
}

/// What became of a run's slot.
pub(crate) fn row(run: &Run) -> HistoryRow {
    let available = run.state == RunState::Ended(Outcome::Available);
    let (request, gone) = (&run.request, run.gone.as_ref());
    let [policy, account, region, cluster] = names_of(&run.slot.pair);
    HistoryRow {
        policy,
        account,
        region,
        cluster,
        scheduled_at: rfc3339(run.slot.scheduled_at),
        trigger: run.trigger.as_str(),
        snapshot_id: Some(request.snapshot_id.to_string()),
        state: run.word(),
        reason: run.reason(),
        attempts: run.attempts,
        starts_at: Some(rfc3339(request.starts_at)),
        deadline_at: Some(rfc3339(request.deadline)),
        requested_at: run.requested_at.map(rfc3339),
        accepted_at: run.accepted_at.map(rfc3339),
        available_at: run.ended_at.filter(|_| available).map(rfc3339),
        ended_at: run.ended_at.map(rfc3339),
        expires_at: expires_at(run).map(rfc3339),
        gone_at: gone.map(|gone| rfc3339(gone.at)),
        gone_reason: gone.map(|gone| gone.reason.as_str()),
        on_hold: on_hold(run),
        size_bytes: run.snapshot.as_ref().and_then(|one| one.size_bytes()),
        tier: Some(request.tier.as_str()),
        tier_reason: request.tier_reason.as_deref().map(str::to_owned),
        retention_days: Some(request.retention.days_or_minus_one()),
        slots: 1,
        last_scheduled_at: None,
        snapshot: run.description().cloned(),
        ..HistoryRow::default()
    }
}

/// When AWS lets the snapshot go, of one that is there.
pub(crate) fn expires_at(run: &Run) -> Option<DateTime<Utc>> {
    run.expires_at().filter(|_| run.has_snapshot())
}

/// Whether somebody holds the snapshot, by what AWS told last; absent where there is none.
pub(crate) fn on_hold(run: &Run) -> Option<bool> {
    let there = run.description().filter(|_| run.gone.is_none());
    there.map(|snapshot| snapshot.hold() == Hold::Held)
}

/// What became of many slots in a row.
pub(crate) fn range_row(range: &MissedRange) -> HistoryRow {
    let [policy, account, region, cluster] = names_of(&range.pair);
    HistoryRow {
        policy,
        account,
        region,
        cluster,
        scheduled_at: rfc3339(range.first_at),
        trigger: Trigger::Schedule.as_str(),
        state: OutcomeKind::Missed.as_str(),
        reason: Some(range.reason.as_str().to_owned()),
        slots: range.count,
        last_scheduled_at: Some(rfc3339(range.last_at)),
        ..HistoryRow::default()
    }
}

/// A run as people read it: names of fields and their values, each on one line, without those that are absent.
pub(crate) struct Shown {
    /// redkeep's own.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// The members of AWS's description as last seen.
    pub(crate) described: Vec<(String, String)>,
}

/// Everything that is known of a run.
pub(crate) fn shown(run: &Run) -> Shown {
    let row = HistoryRow {
        snapshot: None,
        ..row(run)
    };
    let values = serde_json::to_value(&row).unwrap_or_default();
    let fields = HistoryRow::FIELDS.iter();
    let members = match described(run.description().map(AsRef::as_ref)) {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    Shown {
        fields: fields
            .filter_map(|field| Some((*field, values.get(field).and_then(plain)?)))
            .collect(),
        described: members
            .into_iter()
            .filter_map(|(member, value)| Some((member, plain(&value)?)))
            .collect(),
    }
}

/// A value on one line; `None` for what is absent or empty.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(one_line(text)),
        Value::Array(items) if items.is_empty() => None,
        Value::Object(members) if members.is_empty() => None,
        Value::Object(members) => {
            let pairs = members
                .iter()
                .filter_map(|(key, value)| Some(format!("{key}={}", plain(value)?)));
            Some(one_line(&pairs.collect::<Vec<_>>().join(" ")))
        }
        other => Some(one_line(&other.to_string())),
    }
}

/// The AWS CLI line that restores the snapshot ("restore-from-cluster-snapshot"); `None` where there is none to restore.
pub(crate) fn restore_command(run: &Run) -> Option<String> {
    let (pair, id) = (&run.slot.pair, &run.request.snapshot_id);
    let name = pair.cluster.as_str().chars().take(54);
    let name = name.collect::<String>();
    run.is_good().then(|| {
        let command = format!(
            "aws redshift restore-from-cluster-snapshot --region {} --snapshot-identifier {id} \
             --snapshot-cluster-identifier {} --cluster-identifier {}-restored",
            pair.scope.region,
            pair.cluster,
            name.trim_end_matches('-'),
        );
        command::whole(&command).into_owned()
    })
}

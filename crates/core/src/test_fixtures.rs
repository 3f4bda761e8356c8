//! What the unit tests of forecast, coverage and report are written with.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::history::PairState;
use crate::names::Retention;
use crate::names::{Tier, Trigger};
use crate::policy::{Account, ClusterGlob, CredentialSource, Policy, Retentions, Selector};
use crate::run::{Outcome, Run, RunState, SnapshotSpec};
use crate::schedule::Schedule;
use crate::seen::Seen;
use crate::settings::{Config, Endpoint, Log, LogFormat, LogLevel, MetricsLabels, PageAccess};
use crate::slot::{Pair, Scope, Slot};
use crate::snapshot::{Generation, Snapshot, SnapshotId};

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn scope(region: &str) -> Scope {
    Scope {
        account: "prod".parse().unwrap(),
        region: region.parse().unwrap(),
    }
}

pub(crate) fn retentions(base: &str, longer: &[(Tier, &str)]) -> Retentions {
    let base = Retentions::from(base.parse::<Retention>().unwrap());
    let with = |retentions: Retentions, (tier, period): &(Tier, &str)| {
        retentions.with(*tier, period.parse().unwrap())
    };
    longer.iter().fold(base, with)
}

pub(crate) fn policy(
    name: &str,
    schedule: &str,
    clusters: &[&str],
    retention: Retentions,
) -> Policy {
    let (globs, literals): (Vec<&str>, Vec<&str>) =
        clusters.iter().partition(|name| name.contains('*'));
    let zone = crate::tzdb::bundled("Europe/Berlin").unwrap();
    let schedule = Schedule::parse(schedule, zone).unwrap();
    Policy {
        selector: Selector {
            literals: literals.iter().map(|name| name.parse().unwrap()).collect(),
            globs: globs
                .iter()
                .map(|glob| ClusterGlob::parse(glob).unwrap())
                .collect(),
            ..Selector::default()
        },
        scopes: vec![scope("eu-central-1")],
        ..Policy::new(name.parse().unwrap(), schedule, retention)
    }
}

pub(crate) fn config(policies: Vec<Policy>) -> Config {
    let scopes: BTreeSet<Scope> = policies
        .iter()
        .flat_map(|policy| policy.scopes.clone())
        .collect();
    Config {
        namespace: "redkeep".parse().unwrap(),
        state_dir: "state".into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        history_retention: Retention::Forever,
        database: None,
        page: PageAccess::default(),
        metrics_labels: MetricsLabels::Full,
        endpoint: Endpoint::Sandbox,
        writer: None,
        log: Log {
            format: LogFormat::Auto,
            level: LogLevel::Info,
        },
        accounts: vec![Account {
            name: "prod".parse().unwrap(),
            regions: scopes.into_iter().map(|scope| scope.region).collect(),
            max_requests_per_second: 20,
            snapshot_quota: 20,
            identity: CredentialSource::default(),
        }],
        policies,
        receivers: Vec::new(),
        zone_data: crate::tzdb::ZoneData::default(),
        warnings: Vec::new(),
    }
}

/// A good snapshot of an increment of 10 MB that is kept for so long.
pub(crate) fn good(
    policy: &Policy,
    cluster: &str,
    scheduled_at: &str,
    tier: Tier,
    days: i32,
) -> Run {
    let scheduled_at = at(scheduled_at);
    let slot = Slot {
        pair: Pair {
            policy: policy.name.clone(),
            scope: policy.scopes[0].clone(),
            cluster: cluster.parse().unwrap(),
        },
        scheduled_at,
    };
    let request = SnapshotSpec {
        snapshot_id: SnapshotId::derive(&"rk".parse().unwrap(), &slot, Generation::First),
        retention: "1d".parse().unwrap(),
        tier,
        tier_reason: None,
        tags: Default::default(),
        starts_at: scheduled_at,
        deadline: scheduled_at,
        completion_window: TimeDelta::hours(1),
        interval: TimeDelta::hours(1),
    };
    let mut run = Run::due(slot, Trigger::Schedule, request);
    run.state = RunState::Ended(Outcome::Available);
    run.snapshot = Some(Seen::from(Snapshot {
        snapshot_create_time: Some(scheduled_at),
        snapshot_retention_start_time: Some(scheduled_at),
        manual_snapshot_retention_period: Some(days),
        actual_incremental_backup_size_in_mega_bytes: Some(10.0),
        ..Snapshot::default()
    }));
    run
}

/// Active since, with every slot up to `watermark` recorded.
pub(crate) fn active(policy: &Policy, since: &str, watermark: &str) -> PairState {
    PairState {
        active_from: at(since),
        watermark: at(watermark),
        schedule: policy.schedule.expression().to_owned(),
        timezone: policy.schedule.timezone().name().to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: None,
        cluster_gone_at: None,
    }
}

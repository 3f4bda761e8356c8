//! A history of one policy and cluster with each outcome on a day of its own, and texts that are hostile.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "the tests of the real binary live in real time, and a fixture that cannot be made fails its test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use redkeep::history::{Change, PairState};
use redkeep::names::{Retention, Tags, Tier, Trigger};
use redkeep::run::{Missed, Outcome, Run, RunState, SnapshotSpec};
use redkeep::slot::{Pair, Scope, Slot};
use redkeep::snapshot::{Generation, Snapshot, SnapshotId};
use redkeep::store::{EndpointKind, Store};

use crate::support::{Dir, free_port};

const HOSTILE: &str = "AccessDenied: <script>alert(1)</script> \u{202e}\u{7}\"'&";

/// One outcome a day, the newest first.
pub fn outcomes() -> Vec<Outcome> {
    vec![
        Outcome::Failed("access denied".into()),
        Outcome::Available,
        Outcome::Missed(Missed::Late),
        Outcome::Missed(Missed::Paused),
        Outcome::Missed(Missed::Blackout),
        Outcome::Missed(Missed::Disabled),
        Outcome::Missed(Missed::Coalesced),
        Outcome::Skipped,
        Outcome::Expired("quota".into()),
        Outcome::Conflict("its tags are another's".to_owned()),
    ]
}

fn pair() -> Pair {
    Pair {
        policy: "often".parse().unwrap(),
        scope: Scope {
            account: "prod".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        },
        cluster: "dw".parse().unwrap(),
    }
}

/// Noon of the day before, at which the newest slot is.
fn newest() -> DateTime<Utc> {
    let today = Utc::now().duration_trunc(TimeDelta::days(1)).unwrap();
    today - TimeDelta::hours(12)
}

fn slot(days_before: i64) -> Slot {
    Slot {
        pair: pair(),
        scheduled_at: newest() - TimeDelta::days(days_before),
    }
}

fn id(days_before: i64) -> SnapshotId {
    let namespace = "redkeep".parse().unwrap();
    SnapshotId::derive(&namespace, &slot(days_before), Generation::First)
}

/// The snapshot whose tags are hostile.
pub fn hostile_id() -> SnapshotId {
    id(1)
}

fn run(days_before: i64, outcome: Outcome) -> Run {
    let slot = slot(days_before);
    let at = slot.scheduled_at;
    let is_good = outcome == Outcome::Available;
    let snapshot = Snapshot {
        snapshot_identifier: id(days_before).to_string(),
        status: Some("available".to_owned()),
        snapshot_create_time: Some(at),
        tags: Tags::from([(
            "team".to_owned(),
            "<img src=x onerror=alert(1)>\u{202e}".to_owned(),
        )]),
        ..Snapshot::default()
    };
    let request = SnapshotSpec {
        snapshot_id: id(days_before),
        retention: Retention::Forever,
        tier: Tier::Base,
        tier_reason: None,
        tags: Default::default(),
        starts_at: at,
        deadline: at + TimeDelta::minutes(1),
        completion_window: TimeDelta::hours(24),
        interval: TimeDelta::days(1),
    };
    let asked = outcome.word() == "failed";
    Run {
        state: RunState::Ended(outcome),
        ended_at: Some(at + TimeDelta::minutes(2)),
        accepted_at: is_good.then_some(at),
        message: asked.then(|| HOSTILE.to_owned()),
        snapshot: is_good.then(|| snapshot.into()),
        ..Run::due(slot, Trigger::Schedule, request)
    }
}

/// Makes the history and the policy file of a daemon that cannot reach AWS, and returns where that is.
pub async fn make(dir: &Dir) -> PathBuf {
    let state = PairState {
        active_from: newest() - TimeDelta::days(20),
        watermark: Utc::now(),
        schedule: "0 12 * * *".to_owned(),
        timezone: "UTC".to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: None,
        cluster_gone_at: None,
    };
    let runs = outcomes().into_iter().zip(0..);
    let runs = runs.map(|(outcome, day)| Change::Run(Box::new(run(day, outcome))));
    let changes = std::iter::once(Change::Pair(pair(), state)).chain(runs);
    let database = dir.0.join("state/history.db");
    let opened = Store::open(&database, EndpointKind::Other, newest()).unwrap();
    opened.store.commit(changes.collect()).await.unwrap();
    opened.store.close().await.unwrap();
    let account = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"often\"\n\
                   schedule = \"0 12 * * *\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";
    dir.daemons_file(free_port(), "http://127.0.0.1:9", account)
}

/// The port that a policy file names.
pub fn port(config: &Path) -> u16 {
    let text = fs::read_to_string(config).unwrap();
    let listen = text
        .lines()
        .find(|line| line.starts_with("listen"))
        .unwrap();
    let port = listen.rsplit(':').next().unwrap().trim_matches('"');
    port.parse().unwrap()
}

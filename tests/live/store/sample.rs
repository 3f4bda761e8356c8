//! Runs, pairs and places to store them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use redkeep::history::{MissedRange, PairState};
use redkeep::names::{Retention, Tags};
use redkeep::names::{Tier, Trigger};
use redkeep::run::{
    Gone, GoneReason, Missed, Outcome, Reason, Refusal, Run, RunState, SnapshotSpec,
};
use redkeep::schedule::ClockNote;
use redkeep::slot::{Pair, Scope, Slot};
use redkeep::snapshot::{Generation, Snapshot, SnapshotId};
use redkeep::store::{EndpointKind, Opened, Store};

/// A directory of its own for each test, removed at its end.
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("redkeep-tests-store-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("history.db")
    }

    pub fn directory(&self) -> &Path {
        &self.0
    }

    pub fn open(&self) -> Opened {
        Store::open(&self.file(), EndpointKind::Sandbox, at(0)).unwrap()
    }

    /// A connection such as the sqlite3 shell has.
    pub fn shell(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Seconds after 2026-11-24T00:00:00Z.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_478_400 + seconds, 0).unwrap()
}

pub fn pair(cluster: &str) -> Pair {
    Pair {
        policy: "nightly".parse().unwrap(),
        scope: Scope {
            account: "prod".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        },
        cluster: cluster.parse().unwrap(),
    }
}

pub fn pair_state() -> PairState {
    PairState {
        active_from: at(0),
        watermark: at(100),
        schedule: "30 2 * * *".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        clocks: Some(ClockNote {
            rules: "3fa9c17b52d0".to_owned(),
            local: (at(100) + TimeDelta::hours(2)).naive_utc(),
        }),
        cluster_created_at: Some(at(-1000) + TimeDelta::milliseconds(617)),
        closed_at: None,
        cluster_gone_at: None,
    }
}

pub fn missed_range(cluster: &str, first: i64, count: u64) -> MissedRange {
    MissedRange {
        pair: pair(cluster),
        first_at: at(first),
        last_at: at(first + 60 * i64::try_from(count).unwrap()),
        count,
        reason: Missed::Coalesced,
    }
}

/// A run of which every member is set, so that none can be lost unnoticed.
pub fn run(cluster: &str, seconds: i64, state: RunState) -> Run {
    let slot = Slot {
        pair: pair(cluster),
        scheduled_at: at(seconds),
    };
    let first = SnapshotId::derive(&"redkeep".parse().unwrap(), &slot, Generation::First);
    let is_ended = matches!(state, RunState::Ended(_));
    let mut run = Run {
        request: SnapshotSpec {
            snapshot_id: first.clone(),
            retention: Retention::from_days(35).unwrap(),
            tier: Tier::Base,
            tier_reason: Some("a reason".into()),
            tags: Tags::from([("team".to_owned(), "data".to_owned())]).into(),
            starts_at: at(seconds + 1),
            deadline: at(seconds + 3600),
            completion_window: TimeDelta::hours(24),
            interval: TimeDelta::days(1),
        },
        slot,
        trigger: Trigger::Schedule,
        state,
        attempts: 3,
        requested_at: Some(at(seconds + 2)),
        asked_at: Some(at(seconds + 3)),
        accepted_at: Some(at(seconds + 4)),
        ended_at: is_ended.then(|| at(seconds + 5)),
        message: Some("InvalidClusterState: paused".to_owned()),
        snapshot: None,
        gone: None,
    };
    let snapshot = Snapshot {
        snapshot_identifier: first.as_str().to_owned(),
        status: Some("available".to_owned()),
        snapshot_create_time: Some(at(seconds + 4) + TimeDelta::milliseconds(5)),
        total_backup_size_in_mega_bytes: Some(1536.25),
        ..Snapshot::default()
    };
    run.snapshot = Some(snapshot.into());
    run
}

/// A run in its second generation.
pub fn second_run(cluster: &str, seconds: i64) -> Run {
    let state = RunState::Failing {
        since: at(6),
        ask_at: at(7),
    };
    let mut run = run(cluster, seconds, state);
    run.request.snapshot_id = run.request.snapshot_id.second();
    run
}

pub fn gone(seconds: i64, reason: GoneReason) -> Option<Gone> {
    Some(Gone {
        at: at(seconds),
        reason,
    })
}

/// One of each outcome. A new one does not compile until it is here.
pub fn outcomes() -> Vec<Outcome> {
    let text = || "a reason".to_owned();
    let reason = || Reason::from(text());
    let all = vec![
        Outcome::Available,
        Outcome::Failed(reason()),
        Outcome::Missed(Missed::Late),
        Outcome::Missed(Missed::Blackout),
        Outcome::Missed(Missed::Coalesced),
        Outcome::Missed(Missed::Disabled),
        Outcome::Missed(Missed::Paused),
        Outcome::Skipped,
        Outcome::Expired(reason()),
        Outcome::Conflict(text()),
    ];
    for outcome in &all {
        match outcome {
            Outcome::Available | Outcome::Failed(_) | Outcome::Skipped => {}
            Outcome::Expired(_) | Outcome::Conflict(_) => {}
            Outcome::Missed(
                Missed::Late
                | Missed::Blackout
                | Missed::Coalesced
                | Missed::Disabled
                | Missed::Paused,
            ) => {}
        }
    }
    all
}

/// One of each state. A new one does not compile until it is here.
pub fn states() -> Vec<RunState> {
    let fine = at(7) + TimeDelta::nanoseconds(123_456_789);
    let refusal = Refusal {
        why: "cluster paused".into(),
        times: 3,
        at: None,
    };
    let mut all = vec![
        RunState::Due,
        RunState::Waiting {
            until: fine,
            refusal: refusal.clone(),
        },
        RunState::Asking { refusal: None },
        RunState::Asking {
            refusal: Some(refusal),
        },
        RunState::InDoubt {
            since: at(6),
            look_at: fine,
        },
        RunState::Creating { look_at: fine },
        RunState::Failing {
            since: at(6),
            ask_at: fine,
        },
    ];
    let judged = |verdict| RunState::Concluding {
        since: fine,
        verdict,
    };
    all.extend(outcomes().into_iter().map(judged));
    all.extend(outcomes().into_iter().map(RunState::Ended));
    for state in &all {
        match state {
            RunState::Due
            | RunState::Waiting { .. }
            | RunState::Asking { .. }
            | RunState::InDoubt { .. }
            | RunState::Concluding { .. }
            | RunState::Creating { .. }
            | RunState::Failing { .. }
            | RunState::Ended(_) => {}
        }
    }
    all
}

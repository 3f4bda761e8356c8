//! `explain` and `doctor`: their words and judgements as functions, and the real binary against the sandbox.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

mod doctor;
mod explain;
mod judgement;
mod relation;
mod words;
mod zones;

use std::path::Path;

use crate::support::{Dir, redkeep};
use chrono::{DateTime, NaiveDateTime, Utc};
use redkeep::config::{Config, Sources, load};
use redkeep::names::{Tier, Trigger};
use redkeep::run::{Run, SnapshotSpec};
use redkeep::slot::{Pair, Scope, Slot};
use redkeep::snapshot::{Generation, SnapshotId};
use serde_json::Value;

/// `2026-11-24 02:30`, in UTC.
fn at(text: &str) -> DateTime<Utc> {
    let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    naive.and_utc()
}

fn scope(text: &str) -> Scope {
    let (account, region) = text.split_once('/').unwrap();
    Scope {
        account: account.parse().unwrap(),
        region: region.parse().unwrap(),
    }
}

fn pair(policy: &str, cluster: &str) -> Pair {
    Pair {
        policy: policy.parse().unwrap(),
        scope: scope("prod/us-east-1"),
        cluster: cluster.parse().unwrap(),
    }
}

/// A configuration of one account in one region with these tables.
fn config(tables: &str) -> Config {
    let account = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\n";
    config_of(&format!("state_dir = \"state\"\n{account}{tables}"))
}

fn config_of(text: &str) -> Config {
    let dir = Dir::new();
    let sources = Sources {
        file: dir.write("redkeep.toml", text),
        environment: Vec::new(),
        profiles: Default::default(),
    };
    load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The run of a slot of `config`, as it is when it becomes due.
fn due(config: &Config, pair: Pair, scheduled_at: DateTime<Utc>) -> Run {
    let policy = config.policy(&pair.policy).unwrap();
    let slot = Slot { pair, scheduled_at };
    let timing = slot.timing(policy);
    let request = SnapshotSpec {
        snapshot_id: SnapshotId::derive(&config.namespace, &slot, Generation::First),
        retention: policy.retention.of(Tier::Base),
        tier: Tier::Base,
        tier_reason: None,
        tags: policy.tags.clone().into(),
        starts_at: timing.starts_at.unwrap_or(timing.deadline),
        deadline: timing.deadline,
        completion_window: policy.completion_window,
        interval: timing.interval,
    };
    Run::due(slot, Trigger::Schedule, request)
}

/// What a command prints as JSON, and its exit code.
fn asked(words: &[&str], config: &Path) -> (Vec<Value>, Option<i32>) {
    let form = ["--output", "json", "--config", config.to_str().unwrap()];
    let output = redkeep(&[words, &form].concat());
    let rows = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (rows, output.status.code())
}

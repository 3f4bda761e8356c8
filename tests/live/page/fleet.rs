//! A history of thousands of clusters, made in the database itself.

use std::path::Path;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use redkeep::store::{EndpointKind, Store};
use rusqlite::{Connection, params};

use crate::support::Dir;

/// How many clusters there are.
pub const CLUSTERS: i64 = 2_000;

/// How many slots each of them had, one a day.
const SLOTS: i64 = 40;

/// Makes `state/history.db` in the directory: a nightly slot of each cluster on each of the last days, most of which brought
/// a snapshot. Returns the policy file's text.
pub async fn make(dir: &Dir) -> String {
    let now = Utc::now().duration_trunc(TimeDelta::days(1)).unwrap();
    let path = dir.0.join("state/history.db");
    let opened = Store::open(&path, EndpointKind::Other, now).unwrap();
    opened.store.close().await.unwrap();
    fill(&path, now);
    "endpoint = \"http://127.0.0.1:9\"\n\n[[account]]\nname = \"prod\"\nregions = [\"eu-central-1\"]\n\n[[policy]]\n\
     name = \"nightly\"\nschedule = \"0 0 * * *\"\nclusters = [\"dw-*\"]\nretention = \"35d\"\nrpo = \"50h\"\n"
        .to_owned()
}

fn fill(path: &Path, now: DateTime<Utc>) {
    let connection = Connection::open(path).unwrap();
    let begun = "PRAGMA synchronous = OFF; BEGIN";
    connection.execute_batch(begun).unwrap();
    let since = now.timestamp() - 86_400 * (SLOTS + 1);
    let pairs = connection.execute(PAIRS, params![since, now.timestamp(), CLUSTERS]);
    assert_eq!(i64::try_from(pairs.unwrap()).unwrap(), CLUSTERS);
    let runs = connection.execute(RUNS, params![now.timestamp(), SLOTS]);
    assert_eq!(i64::try_from(runs.unwrap()).unwrap(), CLUSTERS * SLOTS);
    let done = "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)";
    connection.execute_batch(done).unwrap();
}

const PAIRS: &str = "
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?3)
    INSERT INTO pairs (policy, account, region, cluster, active_from, watermark, schedule, timezone)
    SELECT 'nightly', 'prod', 'eu-central-1', printf('dw-%04d', i), strftime('%Y-%m-%dT%H:%M:%SZ', ?1, 'unixepoch'),
        strftime('%Y-%m-%dT%H:%M:%SZ', ?2, 'unixepoch'), '0 0 * * *', 'UTC'
    FROM n";

/// One slot in 97 was missed, and one failed.
const RUNS: &str = r#"
    WITH RECURSIVE slots (k) AS (SELECT ?2 - 1 UNION ALL SELECT k - 1 FROM slots WHERE k > 0),
    texts AS (
        SELECT k, strftime('%Y-%m-%dT%H:%M:%SZ', ?1 - 86400 * k, 'unixepoch') AS at,
            strftime('%Y-%m-%dT%H:%M:%SZ', ?1 - 86400 * k + 90, 'unixepoch') AS made_at,
            strftime('%Y-%m-%dT%H:%M:%SZ', ?1 - 86400 * k + 600, 'unixepoch') AS ended_at
        FROM slots
    ),
    named AS (
        SELECT texts.*, cluster, 'redkeep-nightly-' || cluster || '-' || k || '-' || printf('%08x', pairs.rowid) AS id,
            CASE (k * 31 + pairs.rowid) % 97 WHEN 0 THEN 'missed' WHEN 1 THEN 'failed' ELSE 'available' END AS state
        FROM texts, pairs
    )
    INSERT INTO runs (policy, account, region, cluster, scheduled_at, "trigger", state, reason, message, attempts,
        snapshot_id, tier, retention_days, tags, starts_at, deadline_at, completion_window_seconds, interval_seconds,
        requested_at, asked_at, accepted_at, ended_at, size_bytes, snapshot)
    SELECT 'nightly', 'prod', 'eu-central-1', cluster, at, 'schedule', state,
        CASE state WHEN 'missed' THEN 'late' WHEN 'failed' THEN 'not_found' END,
        iif(state = 'failed', 'ClusterNotFound: <b>Cluster</b> not found.', NULL), 1, id, 'base', 35, '{}', at, ended_at,
        86400, 86400, made_at, made_at, iif(state = 'available', made_at, NULL), ended_at,
        iif(state = 'available', 157286400000, NULL),
        iif(state = 'available', json_object('snapshot_identifier', id, 'status', 'available',
            'snapshot_create_time', made_at, 'total_backup_size_in_mega_bytes', 150000.0, 'accounts_with_restore_access',
            json_array(), 'restorable_node_types', json_array(), 'tags', json_object()), NULL)
    FROM named"#;

//! A large history, made by SQL of one row, and the policies that it is of.

use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use redkeep::snapshot::Snapshot;
use redkeep::store::{EndpointKind, Store};
use rusqlite::Connection;

const POLICIES: u32 = 5;
const ACCOUNTS: u32 = 5;
const REGIONS: [&str; 5] = [
    "eu-central-1",
    "eu-west-1",
    "us-east-1",
    "us-west-2",
    "ap-south-1",
];

/// Each policy on so many clusters of each of the 25 scopes.
const CLUSTERS: u32 = 40;

/// So many slots of a pair, from its newest on, have their snapshot still.
const THERE: u32 = 34;

pub fn policies(endpoint: &str) -> String {
    let regions = REGIONS.map(|region| format!("\"{region}\"")).join(", ");
    let mut text = format!(
        "state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\nendpoint = \"{endpoint}\"\n[log]\nlevel = \"error\"\n"
    );
    for account in 0..ACCOUNTS {
        write!(
            text,
            "\n[[account]]\nname = \"a{account}\"\nrole_arn = \"arn:aws:iam::11112222333{account}:role/x\"\nregions = [{regions}]\nsnapshot_quota = 10000\n"
        )
        .unwrap();
    }
    let accounts: Vec<String> = (0..ACCOUNTS)
        .map(|account| format!("\"a{account}\""))
        .collect();
    let accounts = accounts.join(", ");
    for policy in 0..POLICIES {
        write!(
            text,
            "\n[[policy]]\nname = \"p{policy}\"\nschedule = \"{policy} 3 1 1 *\"\nclusters = [\"*\"]\nretention = \"17d\"\nrpo = \"60d\"\naccounts = [{accounts}]\n"
        )
        .unwrap();
    }
    text
}

/// What AWS answers where nothing is.
pub fn nothing(action: &str) -> String {
    let (name, inner) = match action {
        "getcalleridentity" => (
            "GetCallerIdentity",
            "<Account>111122223333</Account><Arn>arn:aws:iam::111122223333:user/x</Arn><UserId>x</UserId>",
        ),
        "assumerole" => (
            "AssumeRole",
            "<Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>",
        ),
        "describeclustersnapshots" => ("DescribeClusterSnapshots", "<Snapshots></Snapshots>"),
        _ => ("DescribeClusters", "<Clusters></Clusters>"),
    };
    format!(
        "<{name}Response><{name}Result>{inner}</{name}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{name}Response>"
    )
}

/// Of each policy in each scope.
fn clusters(rows: u32) -> u32 {
    if rows >= 500_000 {
        CLUSTERS
    } else {
        CLUSTERS / 10
    }
}

fn pairs(rows: u32) -> u32 {
    POLICIES * ACCOUNTS * u32::try_from(REGIONS.len()).unwrap() * clusters(rows)
}

/// About how many snapshots are there of a history of so many rows.
pub fn there(rows: u32) -> u32 {
    pairs(rows) * THERE
}

/// Makes a history of about so many rows.
pub fn history(path: &Path, rows: u32) {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let now = i64::try_from(now.as_secs()).unwrap() / 3600 * 3600;
    let begun = chrono::DateTime::from_timestamp(now, 0).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let opened = Store::open(path, EndpointKind::Other, begun).unwrap();
    runtime.block_on(opened.store.close()).unwrap();
    let (clusters, pairs) = (clusters(rows), pairs(rows));
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA synchronous = OFF; BEGIN")
        .unwrap();
    let regions = REGIONS.map(|region| format!("('{region}')")).join(", ");
    connection
        .execute_batch(&format!(
            "CREATE TEMP TABLE fleet AS
             WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999),
                 regions (region) AS (VALUES {regions})
             SELECT 'p' || p.i AS policy, 'a' || a.i AS account, region, printf('dw-%04d', c.i) AS cluster
             FROM n AS p, n AS a, regions, n AS c WHERE p.i < {POLICIES} AND a.i < {ACCOUNTS} AND c.i < {clusters};"
        ))
        .unwrap();
    let slots = i64::from(rows / pairs);
    let insert = connection.execute(PAIRS, [now - slots * 60 * 3600, now]);
    assert_eq!(insert.unwrap(), pairs as usize);
    connection
        .execute(
            RUNS,
            rusqlite::params![now, slots, THERE, tags(), description()],
        )
        .unwrap();
    connection
        .execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
}

const PAIRS: &str = "
    INSERT INTO pairs (policy, account, region, cluster, active_from, watermark, schedule, timezone)
    SELECT policy, account, region, cluster, strftime('%Y-%m-%dT%H:%M:%SZ', ?1, 'unixepoch'),
        strftime('%Y-%m-%dT%H:%M:%SZ', ?2, 'unixepoch'), substr(policy, 2) || ' 3 1 1 *', 'UTC'
    FROM fleet";

/// The newest 60 slots of a pair lie 12 hours apart, the others 60: a year and more are left of what is thinned.
const RUNS: &str = r#"
    WITH RECURSIVE slots (k) AS (SELECT ?2 - 1 UNION ALL SELECT k - 1 FROM slots WHERE k > 0),
    instants AS (
        SELECT k, ?1 - 3600 * CASE WHEN k < 60 THEN 12 * k + 1 ELSE 720 + 60 * (k - 60) END AS at FROM slots
    ),
    texts AS (
        SELECT k, at, strftime('%Y-%m-%dT%H:%M:%SZ', at, 'unixepoch') AS scheduled_at,
            strftime('%Y%m%dt%H%M%Sz', at, 'unixepoch') AS stamp,
            strftime('%Y-%m-%dT%H:%M:%SZ', at + 90, 'unixepoch') AS made_at,
            strftime('%Y-%m-%dT%H:%M:%SZ', at + 600, 'unixepoch') AS ended_at,
            strftime('%Y-%m-%dT%H:%M:%SZ', at + 86400 * 17, 'unixepoch') AS gone_at
        FROM instants
    ),
    named AS (
        SELECT *, 'redkeep-' || policy || '-' || cluster || '-' || stamp || '-'
                || printf('%08x', abs(k * 7919 + fleet.rowid * 104729) % 4294967296) AS id,
            CASE (k * 31 + fleet.rowid) % 97 WHEN 0 THEN 'missed' WHEN 1 THEN 'failed' ELSE 'available' END AS state,
            k >= ?3 AS is_gone
        FROM texts, fleet
    )
    INSERT INTO runs (policy, account, region, cluster, scheduled_at, "trigger", state, reason, message, attempts,
        snapshot_id, tier, tier_reason, retention_days, tags, starts_at, deadline_at, completion_window_seconds,
        interval_seconds, requested_at, asked_at, accepted_at, ended_at, gone_at, gone_reason, size_bytes, snapshot)
    SELECT policy, account, region, cluster, scheduled_at, 'schedule', state,
        CASE state WHEN 'missed' THEN 'late' WHEN 'failed' THEN 'not_found' END,
        iif(state = 'failed', 'ClusterNotFound: Cluster not found.', NULL), iif(state = 'missed', 0, 1),
        id, 'base', NULL, 17, replace(replace(replace(?4, '@policy@', policy), '@cluster@', cluster), '@at@', scheduled_at),
        scheduled_at, ended_at, 86400, 43200, iif(state = 'missed', NULL, made_at), iif(state = 'missed', NULL, made_at),
        iif(state = 'available', made_at, NULL), ended_at,
        iif(state = 'available' AND is_gone, gone_at, NULL), iif(state = 'available' AND is_gone, 'expired', NULL),
        iif(state = 'available', 1048576 * 150000, NULL),
        iif(state = 'available', replace(replace(replace(replace(replace(replace(?5, '@policy@', policy),
            '@cluster@', cluster), '@at@', scheduled_at), '@id@', id), '@region@', region),
            '2001-01-01T00:00:00Z', made_at), NULL)
    FROM named
    ORDER BY k DESC"#;

fn tags() -> String {
    let tags = [
        ("managed-by", "redkeep"),
        ("redkeep:cluster", "@cluster@"),
        ("redkeep:namespace", "redkeep"),
        ("redkeep:policy", "@policy@"),
        ("redkeep:slot", "@at@"),
        ("redkeep:tier", "base"),
        ("redkeep:trigger", "schedule"),
        ("redkeep:writer", "0123456789abcdef"),
    ];
    serde_json::to_string(&std::collections::BTreeMap::from(tags)).unwrap()
}

/// AWS's description of a snapshot.
fn description() -> String {
    let at = chrono::DateTime::parse_from_rfc3339("2001-01-01T00:00:00Z")
        .unwrap()
        .to_utc();
    let text = |text: &str| Some(text.to_owned());
    let snapshot = Snapshot {
        snapshot_identifier: "@id@".to_owned(),
        cluster_identifier: text("@cluster@"),
        snapshot_create_time: Some(at),
        status: text("available"),
        port: Some(5439),
        availability_zone: text("@region@a"),
        cluster_create_time: Some(at),
        master_username: text("admin"),
        cluster_version: text("1.0"),
        engine_full_version: text("1.0.68205"),
        snapshot_type: text("manual"),
        node_type: text("ra3.4xlarge"),
        number_of_nodes: Some(4),
        db_name: text("warehouse"),
        vpc_id: text("vpc-0123456789abcdef0"),
        encrypted: Some(true),
        kms_key_id: text(
            "arn:aws:kms:@region@:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
        ),
        encrypted_with_hsm: Some(false),
        owner_account: text("111122223333"),
        total_backup_size_in_mega_bytes: Some(150_000.0),
        actual_incremental_backup_size_in_mega_bytes: Some(1_234.0),
        backup_progress_in_mega_bytes: Some(1_234.0),
        current_backup_rate_in_mega_bytes_per_second: Some(42.5),
        estimated_seconds_to_completion: Some(0),
        elapsed_time_in_seconds: Some(480),
        tags: serde_json::from_str(&tags()).unwrap(),
        restorable_node_types: ["ra3.large", "ra3.xlplus", "ra3.4xlarge", "ra3.16xlarge"]
            .map(str::to_owned)
            .to_vec(),
        enhanced_vpc_routing: Some(false),
        maintenance_track_name: text("current"),
        manual_snapshot_retention_period: Some(17),
        manual_snapshot_remaining_days: Some(9),
        snapshot_retention_start_time: Some(at),
        snapshot_arn: text("arn:aws:redshift:@region@:111122223333:snapshot:@cluster@/@id@"),
        ..Snapshot::default()
    };
    serde_json::to_string(&snapshot).unwrap()
}

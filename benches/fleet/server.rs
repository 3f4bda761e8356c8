//! A stand-in for Redshift that is fast enough to be left out of account.
//!
//! It answers what a fleet asks, in AWS's Query protocol, after a latency. The sandbox checks everything and copies all
//! that it has at each change, which takes more time than what is measured here.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::Arguments;

/// The cluster of a region of its own, of which a slot is due while those of all others are.
pub const OTHER: &str = "other";
const ACCOUNT: &str = "123456789012";
const REGIONS: [&str; 30] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "af-south-1",
    "ap-east-1",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "sa-east-1",
    "mx-central-1",
];

struct Snapshot {
    cluster: String,
    created_at: DateTime<Utc>,
    retention: String,
    tags: String,
}

#[derive(Default)]
struct Region {
    clusters: Vec<String>,
    snapshots: BTreeMap<String, Snapshot>,
}

#[derive(Default)]
struct Held {
    regions: BTreeMap<String, Region>,
    requests: BTreeMap<String, usize>,
    accepted: usize,
    last_accepted: Option<DateTime<Utc>>,
    other_accepted: Option<DateTime<Utc>>,
}

struct Shared {
    held: Mutex<Held>,
    changed: Condvar,
    latency: Duration,
    /// How long a snapshot is being made.
    creating: TimeDelta,
    began: DateTime<Utc>,
}

pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// A server with the clusters of the arguments spread over their regions.
    pub fn start(arguments: &Arguments, creating: Duration) -> Self {
        let most = REGIONS.len() - usize::from(arguments.meanwhile);
        assert!((1..=most).contains(&arguments.scopes), "1 to {most} scopes");
        let mut held = Held::default();
        for number in 0..arguments.clusters {
            let region = REGIONS[number % arguments.scopes].to_owned();
            let region = held.regions.entry(region).or_default();
            region.clusters.push(format!("dw-{number:05}"));
        }
        if arguments.meanwhile {
            let region = REGIONS[arguments.scopes].to_owned();
            let region = held.regions.entry(region).or_default();
            region.clusters.push(OTHER.to_owned());
        }
        let shared = Arc::new(Shared {
            held: Mutex::new(held),
            changed: Condvar::new(),
            latency: Duration::from_millis(arguments.latency),
            creating: TimeDelta::from_std(creating).unwrap(),
            began: Utc::now(),
        });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            shared,
            _runtime: runtime,
        }
    }

    pub fn regions(&self) -> Vec<String> {
        self.shared
            .held
            .lock()
            .unwrap()
            .regions
            .keys()
            .cloned()
            .collect()
    }

    /// Every cluster, with its region before it.
    pub fn clusters(&self) -> Vec<String> {
        let held = self.shared.held.lock().unwrap();
        let regions = held.regions.iter();
        let clusters = regions.flat_map(|(name, region)| {
            region
                .clusters
                .iter()
                .map(move |cluster| format!("{name}/{cluster}"))
        });
        clusters.collect()
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.shared.held.lock().unwrap().requests.values().sum()
    }

    /// How many of each kind, since the start.
    pub fn told(&self) -> String {
        format!(
            "since the start: {:?}",
            self.shared.held.lock().unwrap().requests
        )
    }

    pub fn accepted(&self) -> usize {
        self.shared.held.lock().unwrap().accepted
    }

    /// Waits until the snapshot of the cluster of another region is accepted; when it was.
    pub fn wait_for_other(&self, patience: Duration) -> DateTime<Utc> {
        let held = self.shared.held.lock().unwrap();
        let is_to_come = |held: &mut Held| held.other_accepted.is_none();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(held, patience, is_to_come);
        waited.unwrap().0.other_accepted.unwrap()
    }

    /// Waits until so many snapshots are accepted; when the last one was.
    pub fn wait_for(&self, wanted: usize, patience: Duration) -> DateTime<Utc> {
        let deadline = Instant::now() + patience;
        let mut held = self.shared.held.lock().unwrap();
        while held.accepted < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} of {wanted} accepted: {:?}",
                held.accepted,
                held.requests
            );
            (held, _) = self.shared.changed.wait_timeout(held, left).unwrap();
        }
        held.last_accepted.unwrap()
    }
}

type Params = HashMap<String, String>;

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let params: Params = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let action = params.get("Action").cloned().unwrap_or_default();
    let region = region(&headers);
    tokio::time::sleep(shared.latency).await;
    let mut held = shared.held.lock().unwrap();
    *held.requests.entry(action.clone()).or_default() += 1;
    let place = held.regions.entry(region.clone()).or_default();
    let result = match action.as_str() {
        "CreateClusterSnapshot" => create(&shared, place, &region, &params),
        "DescribeClusterSnapshots" => snapshots(&shared, place, &region, &params),
        "DescribeClusters" => Ok(clusters(&shared, place, &region, &params)),
        "GetCallerIdentity" => Ok(identity()),
        _ => Err(("InvalidAction", StatusCode::BAD_REQUEST)),
    };
    if action == "CreateClusterSnapshot" && result.is_ok() {
        held.accepted += 1;
        if params
            .get("ClusterIdentifier")
            .is_some_and(|id| id == OTHER)
        {
            held.other_accepted = Some(Utc::now());
        }
        held.last_accepted = Some(Utc::now());
        shared.changed.notify_all();
    }
    document(&action, result)
}

type Outcome = Result<String, (&'static str, StatusCode)>;

/// hyper adds the Date.
fn document(action: &str, result: Outcome) -> Response {
    let (status, text) = match result {
        Ok(result) => (
            StatusCode::OK,
            format!(
                "<{action}Response xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata><RequestId>fleet</RequestId></ResponseMetadata></{action}Response>"
            ),
        ),
        Err((code, status)) => (
            status,
            format!(
                "<ErrorResponse xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>{code}</Message></Error><RequestId>fleet</RequestId></ErrorResponse>"
            ),
        ),
    };
    (status, [(header::CONTENT_TYPE, "text/xml")], text).into_response()
}

/// That of the signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn region(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let credential = value.and_then(|value| value.split_once("Credential="));
    let region = credential.and_then(|(_, rest)| rest.split('/').nth(2));
    region.unwrap_or_default().to_owned()
}

fn create(shared: &Shared, place: &mut Region, region: &str, params: &Params) -> Outcome {
    let name = params["SnapshotIdentifier"].to_ascii_lowercase();
    let cluster = params["ClusterIdentifier"].clone();
    if place.snapshots.contains_key(&name) {
        return Err(("ClusterSnapshotAlreadyExists", StatusCode::BAD_REQUEST));
    }
    if !place.clusters.contains(&cluster) {
        return Err(("ClusterNotFound", StatusCode::NOT_FOUND));
    }
    let retention = params.get("ManualSnapshotRetentionPeriod");
    let snapshot = Snapshot {
        cluster,
        created_at: Utc::now(),
        retention: retention.cloned().unwrap_or_else(|| "-1".to_owned()),
        tags: tags(params),
    };
    let described = described(shared, region, &name, &snapshot);
    place.snapshots.insert(name, snapshot);
    Ok(described)
}

/// The tags of a request, as an answer has them.
fn tags(params: &Params) -> String {
    let mut text = String::new();
    for number in 1.. {
        let part = |part: &str| params.get(&format!("Tags.Tag.{number}.{part}"));
        let Some(key) = part("Key") else { break };
        let value = part("Value").map_or("", String::as_str);
        write!(text, "<Tag><Key>{key}</Key><Value>{value}</Value></Tag>").unwrap();
    }
    text
}

fn described(shared: &Shared, region: &str, name: &str, snapshot: &Snapshot) -> String {
    let Snapshot {
        cluster,
        created_at,
        retention,
        tags,
    } = snapshot;
    let is_made = Utc::now() >= *created_at + shared.creating;
    let status = if is_made { "available" } else { "creating" };
    let (created, founded) = (instant(*created_at), instant(shared.began));
    format!(
        "<Snapshot><SnapshotIdentifier>{name}</SnapshotIdentifier><ClusterIdentifier>{cluster}</ClusterIdentifier>\
         <SnapshotCreateTime>{created}</SnapshotCreateTime><Status>{status}</Status><Port>5439</Port>\
         <AvailabilityZone>{region}a</AvailabilityZone><ClusterCreateTime>{founded}</ClusterCreateTime>\
         <MasterUsername>awsuser</MasterUsername><ClusterVersion>1.0</ClusterVersion><SnapshotType>manual</SnapshotType>\
         <NodeType>ra3.large</NodeType><NumberOfNodes>2</NumberOfNodes><DBName>dev</DBName><Encrypted>true</Encrypted>\
         <TotalBackupSizeInMegaBytes>20480</TotalBackupSizeInMegaBytes>\
         <BackupProgressInMegaBytes>512</BackupProgressInMegaBytes><OwnerAccount>{ACCOUNT}</OwnerAccount>\
         <Tags>{tags}</Tags><ManualSnapshotRetentionPeriod>{retention}</ManualSnapshotRetentionPeriod>\
         <SnapshotRetentionStartTime>{created}</SnapshotRetentionStartTime>\
         <SnapshotArn>arn:aws:redshift:{region}:{ACCOUNT}:snapshot:{cluster}/{name}</SnapshotArn></Snapshot>"
    )
}

/// The names of a page that comes after the marker, and the marker of the next.
fn page<'a>(
    names: impl Iterator<Item = &'a String>,
    params: &Params,
) -> (Vec<&'a String>, Option<&'a String>) {
    let most = params
        .get("MaxRecords")
        .and_then(|most| most.parse().ok())
        .unwrap_or(100);
    let marker = params.get("Marker");
    let mut after = names
        .skip_while(|name| marker.is_some_and(|marker| *name <= marker))
        .peekable();
    let page: Vec<&String> = after.by_ref().take(most).collect();
    let next = after.peek().and(page.last().copied());
    (page, next)
}

fn marker(next: Option<&String>) -> String {
    next.map(|name| format!("<Marker>{name}</Marker>"))
        .unwrap_or_default()
}

fn snapshots(shared: &Shared, place: &Region, region: &str, params: &Params) -> Outcome {
    let show = |name: &String| described(shared, region, name, &place.snapshots[name]);
    if let Some(name) = params.get("SnapshotIdentifier") {
        let name = name.to_ascii_lowercase();
        return match place.snapshots.contains_key(&name) {
            true => Ok(format!("<Snapshots>{}</Snapshots>", show(&name))),
            false => Err(("ClusterSnapshotNotFound", StatusCode::NOT_FOUND)),
        };
    }
    let cluster = params.get("ClusterIdentifier");
    let wanted = place
        .snapshots
        .iter()
        .filter(|(_, snapshot)| cluster.is_none_or(|cluster| *cluster == snapshot.cluster));
    let (names, next) = page(wanted.map(|(name, _)| name), params);
    let shown: String = names.into_iter().map(show).collect();
    Ok(format!("{}<Snapshots>{shown}</Snapshots>", marker(next)))
}

fn clusters(shared: &Shared, place: &Region, region: &str, params: &Params) -> String {
    let (names, next) = page(place.clusters.iter(), params);
    let founded = instant(shared.began);
    let shown = names.into_iter().map(|name| {
        format!(
            "<Cluster><ClusterIdentifier>{name}</ClusterIdentifier><NodeType>ra3.large</NodeType>\
             <ClusterStatus>available</ClusterStatus><ClusterAvailabilityStatus>Available</ClusterAvailabilityStatus>\
             <ClusterCreateTime>{founded}</ClusterCreateTime><NumberOfNodes>2</NumberOfNodes><Tags/>\
             <ClusterNamespaceArn>arn:aws:redshift:{region}:{ACCOUNT}:namespace:{name}</ClusterNamespaceArn></Cluster>"
        )
    });
    let shown: String = shown.collect();
    format!("{}<Clusters>{shown}</Clusters>", marker(next))
}

fn identity() -> String {
    format!(
        "<Arn>arn:aws:iam::{ACCOUNT}:root</Arn><UserId>{ACCOUNT}</UserId><Account>{ACCOUNT}</Account>"
    )
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

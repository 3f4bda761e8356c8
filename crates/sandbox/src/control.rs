//! The control endpoint under `/_sandbox/`: what an experimenter may change and look at.
//!
//! Owns: its paths and JSON shapes (docs/sandbox.md lists them), and the `Date` header of every answer,
//! which shows the sandbox's clock so that skew can be tried. Never part of what a client of AWS would see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::account::{Account, LimitsChange, Region, is_account_number};
use super::answer;
use super::cloud::Cloud;
use super::cluster::ClusterState;
use super::error::ApiError;
use super::faults::{FaultPlan, FaultPlanError, FaultRule};
use super::query::{Params, invalid_value};
use super::receive;
use super::role::{RoleRules, RoleSession};
use super::server::{Sandbox, blocking};
use super::snapshot::SnapshotFate;

/// The farthest the clock can be moved, either way: a century.
const OFFSET_SECONDS_MAX: i64 = 100 * 366 * 86_400;

/// A refusal of the control endpoint, in plain text.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer::text(self.status, self.message)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self {
            status: StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            message: error.to_string(),
        }
    }
}

impl From<FaultPlanError> for Refusal {
    fn from(error: FaultPlanError) -> Self {
        bad_request(error.to_string())
    }
}

type Answer = Result<Response, Refusal>;

/// Adds the control endpoint and the `Date` header to the operations.
pub fn routes(operations: Router<Arc<Sandbox>>) -> Router<Arc<Sandbox>> {
    operations
        .route(
            "/_sandbox/faults",
            get(list_faults)
                .post(add_fault)
                .put(replace_faults)
                .delete(clear_faults),
        )
        .route("/_sandbox/clusters/{name}/state", post(set_cluster_state))
        .route("/_sandbox/snapshots/{name}/state", post(set_snapshot_state))
        .route("/_sandbox/limits", put(change_limits))
        .route("/_sandbox/roles", get(show_roles).put(change_roles))
        .route("/_sandbox/clock", put(set_clock))
        .route("/_sandbox/state", get(show_state))
        .route("/_sandbox/requests", get(show_requests))
}

/// The `Date` header of every answer, also of those to unknown paths.
pub fn with_date(router: Router, sandbox: Arc<Sandbox>) -> Router {
    router.layer(map_response_with_state(sandbox, date))
}

async fn date(State(sandbox): State<Arc<Sandbox>>, mut response: Response) -> Response {
    let text = sandbox
        .now()
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::DATE, value);
    }
    response
}

async fn list_faults(State(sandbox): State<Arc<Sandbox>>) -> Response {
    answer::json(StatusCode::OK, &sandbox.harness().faults)
}

async fn add_fault(State(sandbox): State<Arc<Sandbox>>, request: Request) -> Answer {
    let rule: FaultRule = read(request).await?;
    rule.check()?;
    let mut harness = sandbox.harness();
    harness.faults.rules.push(rule);
    Ok(answer::json(StatusCode::CREATED, &harness.faults))
}

async fn replace_faults(State(sandbox): State<Arc<Sandbox>>, request: Request) -> Answer {
    let plan = FaultPlan::from_json(&receive::body(request).await?)?;
    let mut harness = sandbox.harness();
    harness.faults = plan;
    Ok(answer::json(StatusCode::OK, &harness.faults))
}

async fn clear_faults(State(sandbox): State<Arc<Sandbox>>) -> Response {
    let mut harness = sandbox.harness();
    harness.faults = FaultPlan::default();
    answer::json(StatusCode::OK, &harness.faults)
}

/// Puts a cluster or snapshot into any status, documented or not: a client must cope with words it does not know.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateWish {
    account: Option<String>,
    region: String,
    status: String,
}

async fn set_cluster_state(
    State(sandbox): State<Arc<Sandbox>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer {
    set_state(sandbox, request, move |region, status| {
        let cluster = region.cluster_mut(&name)?;
        cluster.state = ClusterState::Settled { status };
        Ok(cluster.clone())
    })
    .await
}

async fn set_snapshot_state(
    State(sandbox): State<Arc<Sandbox>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer {
    set_state(sandbox, request, move |region, status| {
        let snapshot = region.snapshot_mut(&name)?;
        snapshot.fate = SnapshotFate::Held { status };
        Ok(snapshot.clone())
    })
    .await
}

/// Puts something of the region that the wish names into the status that it names, and answers with it.
async fn set_state<T: Serialize + Send + 'static>(
    sandbox: Arc<Sandbox>,
    request: Request,
    set: impl FnOnce(&mut Region, String) -> Result<T, ApiError> + Send + 'static,
) -> Answer {
    let wish: StateWish = read(request).await?;
    let now = sandbox.now();
    let change = move || {
        sandbox.change(|cloud| {
            let account = account_mut(cloud, wish.account.as_deref())?;
            set(account.region_mut(&wish.region, now), wish.status)
        })
    };
    let changed = blocking(change).await?;
    Ok(answer::json(StatusCode::OK, &changed))
}

/// The account that a body names, or the default one.
fn account_mut<'a>(
    cloud: &'a mut Cloud,
    wanted: Option<&str>,
) -> Result<&'a mut Account, ApiError> {
    let default = cloud.default_account().account_id.clone();
    let account_id = wanted.unwrap_or(&default);
    require_account_number(account_id)?;
    Ok(cloud.account_mut(account_id))
}

fn require_account_number(text: &str) -> Result<(), ApiError> {
    match is_account_number(text) {
        true => Ok(()),
        false => Err(invalid_value("account", text, "it must be twelve digits")),
    }
}

/// Limits to change; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsWish {
    account: Option<String>,
    manual_snapshots: Option<u32>,
    clusters: Option<u32>,
    snapshot_seconds: Option<u32>,
    cluster_seconds: Option<u32>,
}

impl LimitsWish {
    fn change(&self) -> LimitsChange {
        LimitsChange {
            manual_snapshots: self.manual_snapshots,
            clusters: self.clusters,
            snapshot_seconds: self.snapshot_seconds,
            cluster_seconds: self.cluster_seconds,
        }
    }
}

async fn change_limits(State(sandbox): State<Arc<Sandbox>>, request: Request) -> Answer {
    let wish: LimitsWish = read(request).await?;
    let change = move || {
        sandbox.change(|cloud| {
            let account = account_mut(cloud, wish.account.as_deref())?;
            wish.change().apply(&mut account.limits);
            Ok(account.limits.clone())
        })
    };
    let limits = blocking(change).await?;
    Ok(answer::json(StatusCode::OK, &limits))
}

/// Rules for roles to change; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesWish {
    denied: Option<BTreeSet<String>>,
    external_ids: Option<BTreeMap<String, String>>,
    session_seconds: Option<u32>,
}

impl RolesWish {
    fn apply(self, rules: &mut RoleRules) {
        if let Some(denied) = self.denied {
            rules.denied = denied;
        }
        if let Some(external_ids) = self.external_ids {
            rules.external_ids = external_ids;
        }
        if let Some(seconds) = self.session_seconds {
            rules.session_seconds = seconds;
        }
    }
}

async fn change_roles(State(sandbox): State<Arc<Sandbox>>, request: Request) -> Answer {
    let wish: RolesWish = read(request).await?;
    let change = move || {
        sandbox.change(|cloud| {
            wish.apply(&mut cloud.roles);
            Ok(cloud.roles.clone())
        })
    };
    let rules = blocking(change).await?;
    Ok(answer::json(StatusCode::OK, &rules))
}

async fn show_roles(State(sandbox): State<Arc<Sandbox>>) -> Answer {
    let rules = blocking(move || Ok(sandbox.cloud().roles.clone())).await?;
    Ok(answer::json(StatusCode::OK, &rules))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockWish {
    offset_seconds: i64,
    #[serde(default)]
    tolerate_skew: bool,
}

async fn set_clock(State(sandbox): State<Arc<Sandbox>>, request: Request) -> Answer {
    let ClockWish {
        offset_seconds,
        tolerate_skew,
    } = read(request).await?;
    if !(-OFFSET_SECONDS_MAX..=OFFSET_SECONDS_MAX).contains(&offset_seconds) {
        let message = format!("offset_seconds must be within {OFFSET_SECONDS_MAX} either way");
        return Err(bad_request(message));
    }
    {
        let mut harness = sandbox.harness();
        harness.clock_offset_seconds = offset_seconds;
        harness.tolerates_skew = tolerate_skew;
    }
    let shown = serde_json::json!({
        "offset_seconds": offset_seconds,
        "tolerate_skew": tolerate_skew,
        "now": sandbox.now(),
    });
    Ok(answer::json(StatusCode::OK, &shown))
}

/// The default account, and beside its members the other accounts, the roles and their sessions; or the one
/// account that the query string names.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    account: &'a Account,
    accounts: &'a BTreeMap<String, Account>,
    roles: &'a RoleRules,
    sessions: Vec<&'a RoleSession>,
}

async fn show_state(State(sandbox): State<Arc<Sandbox>>, request: Request) -> Answer {
    let query = Params::parse(request.uri().query().unwrap_or_default().as_bytes());
    let cloud = blocking(move || Ok(sandbox.cloud().clone())).await?;
    if let Some(account_id) = query.optional("account") {
        require_account_number(account_id)?;
        return Ok(answer::json(StatusCode::OK, &*cloud.account(account_id)));
    }
    let shown = Shown {
        account: cloud.default_account(),
        accounts: cloud.other_accounts(),
        roles: &cloud.roles,
        sessions: cloud.sessions().collect(),
    };
    Ok(answer::json(StatusCode::OK, &shown))
}

async fn show_requests(State(sandbox): State<Arc<Sandbox>>) -> Response {
    let entries: Vec<_> = sandbox.harness().log.entries().cloned().collect();
    answer::json(StatusCode::OK, &entries)
}

/// Reads a JSON body; a wrong one is answered 400 with the place and the reason.
async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let body = receive::body(request).await?;
    serde_json::from_slice(&body).map_err(|error| bad_request(error.to_string()))
}

fn bad_request(message: String) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        message,
    }
}

//! The way of one request: read it, write it down, suffer, carry it out, answer.
//!
//! Owns: the HTTP face of the operations and the carrying out of faults. Never changes the account
//! itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;

use super::answer;
use super::auth::Credential;
use super::error::{ApiError, Code};
use super::faults::{Fault, FaultEffect};
use super::operations::{self, Operation, Outcome, Service};
use super::query::Params;
use super::role::Caller;
use super::server::{Admitted, Received, Sandbox, blocking};
use redkeep_serve::clock;

/// The longest body.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The longest wait for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The operations at `/`, by POST and by GET.
pub fn routes() -> Router<Arc<Sandbox>> {
    Router::new().route("/", get(handle).post(handle))
}

/// Reads a body within its bounds; `RequestEntityTooLarge` or `RequestTimeout` otherwise.
pub async fn body(request: Request) -> Result<Bytes, ApiError> {
    tokio::select! {
        read = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX) => read.map_err(|_| {
            let message = format!("The body must have at most {BODY_BYTES_MAX} bytes.");
            ApiError::new(Code::RequestEntityTooLarge, message)
        }),
        () = clock::sleep(BODY_TIMEOUT) => {
            Err(ApiError::new(Code::RequestTimeout, "The body did not arrive in time."))
        }
    }
}

async fn handle(State(sandbox): State<Arc<Sandbox>>, request: Request) -> Response {
    let request_id = sandbox.request_id();
    let received = match receive(request).await {
        Ok(received) => received,
        Err(error) => return answer::refusal(&error, Service::Redshift, &request_id),
    };
    let service = Service::from_signing_name(&received.credential.service);
    let admitted = sandbox.admit(&received);
    clock::sleep(Duration::from_millis(
        admitted.fault_effect.latency_milliseconds,
    ))
    .await;
    if let Some(response) = suffer_before(&admitted.fault_effect, service, &request_id).await {
        return response;
    }
    let fault = admitted.fault_effect.fault.clone();
    let response = match prepare(&received, &admitted) {
        Ok((operation, caller)) => {
            let outcome = execute(sandbox, operation, caller, received, admitted).await;
            answer::aws(operation.name, operation.service, outcome, &request_id)
        }
        Err(error) => {
            sandbox
                .harness()
                .log
                .finish(admitted.log_number, &error.code);
            answer::refusal(&error, service, &request_id)
        }
    };
    suffer_after(fault, response).await
}

/// Who asks for what.
async fn receive(request: Request) -> Result<Received, ApiError> {
    let query = Params::parse(request.uri().query().unwrap_or_default().as_bytes());
    let header = |name| request.headers().get(name)?.to_str().ok();
    let credential = Credential::read(header, &query)?;
    let params = if request.method() == Method::POST {
        Params::parse(&body(request).await?)
    } else {
        query
    };
    Ok(Received { credential, params })
}

/// What is to be done in whose name.
fn prepare(
    received: &Received,
    admitted: &Admitted,
) -> Result<(&'static Operation, Caller), ApiError> {
    let caller = admitted.caller.clone()?;
    let operation = operations::find(&received.params)?;
    received.credential.require_service(operation.service)?;
    Ok((operation, caller))
}

async fn execute(
    sandbox: Arc<Sandbox>,
    operation: &'static Operation,
    caller: Caller,
    received: Received,
    admitted: Admitted,
) -> Outcome {
    blocking(move || sandbox.execute(operation, &caller, received, &admitted)).await
}

/// The faults that strike before anything is done; with them nothing is.
async fn suffer_before(
    fault_effect: &FaultEffect,
    service: Service,
    request_id: &str,
) -> Option<Response> {
    match fault_effect.fault.as_ref()? {
        Fault::Error {
            code,
            status,
            message,
        } => {
            let error = ApiError {
                code: code.clone(),
                status: *status,
                message: message.clone(),
            };
            Some(answer::refusal(&error, service, request_id))
        }
        Fault::Reset => Some(answer::cut()),
        Fault::Hang => std::future::pending().await,
        Fault::Html { status } => Some(answer::html(*status)),
        Fault::LostReply
        | Fault::Truncate
        | Fault::Empty
        | Fault::Latency { .. }
        | Fault::FailSnapshot { .. }
        | Fault::StuckSnapshot
        | Fault::LateSnapshot { .. }
        | Fault::LoopMarker => None,
    }
}

/// The faults that strike the answer of what has been done.
async fn suffer_after(fault: Option<Fault>, response: Response) -> Response {
    match fault {
        Some(Fault::LostReply) => answer::cut(),
        Some(Fault::Truncate) => answer::halved(response).await,
        Some(Fault::Empty) => answer::empty(),
        _ => response,
    }
}

#[cfg(test)]
mod tests;

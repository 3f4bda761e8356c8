//! From an outcome, or a fault, to an HTTP response.
//!
//! Owns: headers, envelopes and the ways a response can be broken. Never decides which fault strikes.
//!
//! A connection is cut by a body that ends in an error: hyper then drops the connection, so the client
//! sees it close (an orderly end of the stream, not a TCP reset) before or within the answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::body::Frame;

use super::error::ApiError;
use super::operations::{Outcome, Service};
use super::xml;

/// The answer to an operation.
pub fn aws(operation: &str, service: Service, outcome: Outcome, request_id: &str) -> Response {
    match outcome {
        Ok(members) => {
            let text = xml::response(operation, service.namespace(), members, request_id);
            document(StatusCode::OK, text, request_id)
        }
        Err(error) => refusal(&error, service, request_id),
    }
}

/// An error in the form of the Query protocol.
pub fn refusal(error: &ApiError, service: Service, request_id: &str) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = xml::error_response(error, service.namespace(), request_id);
    document(status, text, request_id)
}

/// What a proxy shows when the service behind it is away.
pub fn html(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!(
        "<html><body><h1>{} {reason}</h1></body></html>\n",
        status.as_u16()
    );
    with_type(status, "text/html", page)
}

/// A success without a body.
pub fn empty() -> Response {
    with_type(StatusCode::OK, "text/xml", String::new())
}

/// No answer: the connection closes.
pub fn cut() -> Response {
    Response::new(Body::new(BrokenBody::Broken))
}

/// The first half of an answer that announces its whole length; then the connection closes.
pub async fn halved(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(whole) = axum::body::to_bytes(body, usize::MAX).await else {
        return cut();
    };
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let body = BrokenBody::Part(whole.slice(..whole.len() / 2));
    Response::from_parts(parts, Body::new(body))
}

/// A JSON answer of the control endpoint.
pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => with_type(status, "application/json", text + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// A refusal of the control endpoint.
pub fn text(status: StatusCode, message: impl Into<String>) -> Response {
    with_type(status, "text/plain", message.into() + "\n")
}

fn document(status: StatusCode, text: String, request_id: &str) -> Response {
    let mut response = with_type(status, "text/xml", text);
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}

fn with_type(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A body that gives what it has and then fails.
#[derive(Debug)]
enum BrokenBody {
    /// It has something to give.
    Part(Bytes),
    /// It gives way once: without that hyper fails before it has sent what it buffered.
    Flushing,
    /// It fails. One that starts here fails before even the head is sent.
    Broken,
}

#[derive(Debug, thiserror::Error)]
#[error("the fault plan cuts the connection here")]
struct Cut;

impl HttpBody for BrokenBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match std::mem::replace(&mut *self, Self::Broken) {
            Self::Part(part) => {
                *self = Self::Flushing;
                Poll::Ready(Some(Ok(Frame::data(part))))
            }
            Self::Flushing => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Broken => Poll::Ready(Some(Err(Cut))),
        }
    }
}

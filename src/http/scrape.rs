//! The answer to a scrape.
//!
//! Owns: where the exposition is made. That takes a core for tens of milliseconds where there are thousands of pairs, so it
//! is made on a thread of its own, and one at a time: however many scrape at once, the daemon's loop has the other cores.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;

use super::{PLAIN, gzip};
use crate::metrics::{CONTENT_TYPE, Metrics, MetricsError};

/// The place of the one scrape that is being answered.
#[derive(Default)]
pub(super) struct Turn(Arc<Mutex<()>>);

/// Why a scrape has no answer.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("cannot compress the metrics")]
    Gzip(#[from] io::Error),
    #[error("the metrics were not written to their end")]
    Thread(#[from] tokio::task::JoinError),
}

/// The metrics as they are now, in gzip where the headers of the request allow it.
pub(super) async fn answer(turn: &Turn, metrics: Arc<Metrics>, request: &HeaderMap) -> Response {
    let in_gzip = gzip::is_accepted(request);
    // Whoever goes away while he waits is out of the queue; work that has begun keeps its turn to its end.
    let held = Arc::clone(&turn.0).lock_owned().await;
    let made = tokio::task::spawn_blocking(move || {
        let made = exposition(&metrics, in_gzip);
        drop(held);
        made
    });
    match made.await.map_err(ScrapeError::from).flatten() {
        Ok(body) => found(body, in_gzip),
        Err(error) => refused(&error),
    }
}

fn exposition(metrics: &Metrics, in_gzip: bool) -> Result<Bytes, ScrapeError> {
    let write = |sink: &mut dyn Write| -> Result<(), ScrapeError> { Ok(metrics.write(sink)?) };
    let mut text = Vec::new();
    match in_gzip {
        true => text = gzip::compressed(write)?,
        false => write(&mut text)?,
    }
    Ok(text.into())
}

fn found(body: Bytes, in_gzip: bool) -> Response {
    const KIND: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::VARY, "accept-encoding"),
    ];
    match in_gzip {
        true => (KIND, [(header::CONTENT_ENCODING, "gzip")], body).into_response(),
        false => (KIND, body).into_response(),
    }
}

fn refused(error: &ScrapeError) -> Response {
    tracing::error!(error = error as &dyn Error, "cannot answer a scrape");
    let told = format!("{error}\n");
    (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, told).into_response()
}

//! The loop that serves HTTP/1.1 on a listener.
//!
//! Owns: connections: how many, how long each may idle, dawdle or live, and how they end. Knows nothing of
//! what is served, and never blocks accepting: a connection too many is closed at once, so that a flood
//! shows as refusals and not as a queue that nobody sees. Everything here has a bound, because a slow
//! client must never cost more than its own connection.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;

/// The least that hyper allows a read buffer to have.
const HEADER_BYTES_MIN: usize = 8_192;

/// How long accepting rests after an error that will not go away by itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; the next is closed at once.
    pub connections: usize,
    /// The longest wait for the whole head of a request, idle time between two requests included.
    pub header_timeout: Duration,
    /// The longest head of a request; a longer one is answered 431. At least 8,192.
    pub header_bytes: usize,
    /// The longest life of a connection; then it may finish its request, within `drain`.
    pub connection_lifetime: Duration,
    /// How long requests in flight may take to finish after `shutdown`.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            header_timeout: Duration::from_secs(10),
            header_bytes: 16_384,
            connection_lifetime: Duration::from_secs(600),
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves `app` until `shutdown` is ready, then lets requests in flight finish within `limits.drain`.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            // Ended connections are reaped before the next is accepted, so that they do not count.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < limits.connections => {
                    connections.spawn(connection(stream, app.clone(), limits, stopped.clone()));
                }
                Ok((_, peer)) => tracing::debug!(%peer, "closed a connection over the limit"),
                Err(error) => rest_after(&error).await,
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    tokio::select! {
        () = all(&mut connections) => {}
        () = clock::sleep(limits.drain) => connections.shutdown().await,
    }
}

async fn all(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// A client that left before it was accepted is nothing; anything else would make the loop spin.
async fn rest_after(error: &io::Error) {
    let momentary = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::Interrupted,
    ];
    if !momentary.contains(&error.kind()) {
        tracing::warn!(%error, "cannot accept a connection");
        clock::sleep(ACCEPT_PAUSE).await;
    }
}

async fn connection(
    stream: TcpStream,
    app: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are written whole; waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(HEADER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return note(ended),
        // The sender is dropped only after it has said so; either way it is time to end.
        _ = stopped.wait_for(|stopped| *stopped) => {}
        () = clock::sleep(limits.connection_lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => note(ended),
        () = clock::sleep(limits.drain) => {}
    }
}

/// How a client leaves is its own affair; it is worth a word only to somebody who is looking.
fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;

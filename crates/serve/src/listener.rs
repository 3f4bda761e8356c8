//! The loop that serves HTTP/1.1 on a listener.
//!
//! Owns: connections: how many, how long each may idle, dawdle or live, and how they end. Knows nothing of
//! what is served, and never blocks accepting: for a connection too many the one that has been idle longest
//! is closed, so that a thousand idle ones do not shut out a scrape. Everything here has a bound, because a slow
//! client must never cost more than its own connection.

mod lent;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use self::lent::Lent;
use crate::clock;

/// The least that hyper allows a read buffer to have.
const HEADER_BYTES_MIN: usize = 8_192;

/// How long accepting rests after an error that will not go away by itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection that has had its last answer stays for what its client still sends, and how much of that is
/// read: closed with unread bytes, the kernel would take answers back that are still on their way.
const LINGER: (Duration, usize) = (Duration::from_secs(10), 16 << 20);

/// How long it stays when the listener ends.
const LINGER_AT_THE_END: Duration = Duration::from_millis(500);

/// Bounds of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; for the next, the oldest without a request under way is closed.
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
            // Enough that a burst of a thousand does not turn over all of them while one reads its request, and
            // half of the files that a process may usually open.
            connections: 512,
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
    let mut guests = Guests::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            // Ended connections are reaped before the next is accepted, so that they do not count.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if guests.make_room(limits.connections) => {
                    tracing::trace!(%peer, "connected");
                    let busy = Busy::default();
                    let ends = stream.local_addr().ok().map(|local| Ends { local, peer });
                    let app = TowerToHyperService::new(app.clone());
                    let service = Attentive { app, ends, busy: busy.clone() };
                    let task = connections.spawn(connection(stream, service, limits, stopped.clone()));
                    guests.0.push_back((task, busy));
                    // It reads its request, if that has come already, before the next may need its place.
                    tokio::task::yield_now().await;
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

/// The two ends of the connection that a request came by: an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The address that the request came to.
    pub local: SocketAddr,
    /// Where the request came from.
    pub peer: SocketAddr,
}

/// Whether a request of a connection is under way.
type Busy = Arc<AtomicBool>;

/// The open connections, oldest first.
#[derive(Default)]
struct Guests(VecDeque<(AbortHandle, Busy)>);

impl Guests {
    /// Makes room for one more among `most`, by closing the oldest idle one if need be; false when all are
    /// busy.
    fn make_room(&mut self, most: usize) -> bool {
        self.0.retain(|(task, _)| !task.is_finished());
        if self.0.len() < most {
            return true;
        }
        let idle = self
            .0
            .iter()
            .position(|(_, busy)| !busy.load(Ordering::Relaxed));
        let Some((task, _)) = idle.and_then(|idle| self.0.remove(idle)) else {
            return false;
        };
        task.abort();
        true
    }
}

/// The application, told of the connection's ends, noting when a request of it is under way.
struct Attentive {
    app: TowerToHyperService<Router>,
    ends: Option<Ends>,
    busy: Busy,
}

impl Service<Request<Incoming>> for Attentive {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(ends) = self.ends {
            request.extensions_mut().insert(ends);
        }
        let (answer, busy) = (self.app.call(request), Arc::clone(&self.busy));
        busy.store(true, Ordering::Relaxed);
        Box::pin(async move {
            let answer = answer.await;
            busy.store(false, Ordering::Relaxed);
            answer
        })
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
    service: Attentive,
    limits: Limits,
    stopped: watch::Receiver<bool>,
) {
    // Answers are written whole; waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let (lent, returned) = Lent::new(stream);
    answer_all(lent, service, limits, stopped.clone()).await;
    if let Ok(stream) = returned.await {
        linger(stream, stopped).await;
    }
}

/// Serves the requests of one connection until its end, or until it is time to end it.
async fn answer_all(
    stream: Lent,
    service: Attentive,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(HEADER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return note(ended),
        // The sender is dropped only after it has told of the end; either way it is time to end.
        _ = stopped.wait_for(|stopped| *stopped) => {}
        () = clock::sleep(limits.connection_lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => note(ended),
        () = clock::sleep(limits.drain) => {}
    }
}

/// Says that there is nothing more to come, and reads on until the client has said the same.
async fn linger(mut stream: TcpStream, mut stopped: watch::Receiver<bool>) {
    let reading = async {
        stream.shutdown().await?;
        let (mut read, mut buffer) = (0, [0; 8192]);
        while read < LINGER.1 {
            match stream.read(&mut buffer).await? {
                0 => break,
                more => read += more,
            }
        }
        io::Result::Ok(())
    };
    let at_the_end = async {
        let _ = stopped.wait_for(|stopped| *stopped).await;
        clock::sleep(LINGER_AT_THE_END).await;
    };
    tokio::select! {
        // A client that is gone already needs nothing.
        _ = reading => {}
        () = clock::sleep(LINGER.0) => {}
        () = at_the_end => {}
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

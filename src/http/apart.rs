//! The listener on a thread of its own.
//!
//! Owns: that thread, and the runtime on it. Hundreds of calls may begin at one instant, and tokio's workers take tasks in
//! the order in which they come: a probe would wait for all of them. The system shares the cores between threads, whatever
//! waits for the others.

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::thread;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::{Site, listen};

/// A listener that serves by itself.
#[derive(Debug)]
pub struct Serving {
    ended: oneshot::Receiver<()>,
}

impl Serving {
    /// Waits until it has ended, by its shutdown.
    pub async fn end(self) {
        // Nobody says so: its thread lets go of the other end.
        let _ = self.ended.await;
    }
}

/// Serves as [`listen`] does, on a thread of its own.
///
/// # Errors
/// Where the system gives no thread, or what a runtime on it needs.
pub async fn listen_apart(
    listener: TcpListener,
    site: Arc<Site>,
    page: Option<Router>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<Serving> {
    let listener = listener.into_std()?;
    let (begin, begun) = oneshot::channel();
    let (end, ended) = oneshot::channel::<()>();
    let serve = move || {
        let (runtime, listener) = match make(listener) {
            Ok(made) => made,
            // Whoever waits for the beginning hears why there is none.
            Err(error) => return drop(begin.send(Err(error))),
        };
        drop(begin.send(Ok(())));
        runtime.block_on(listen(listener, site, page, shutdown));
        // A page that is still being made is not waited for.
        runtime.shutdown_background();
        drop(end);
    };
    thread::Builder::new()
        .name("redkeep-http".to_owned())
        .spawn(serve)?;
    begun.await.map_err(io::Error::other)??;
    Ok(Serving { ended })
}

fn make(listener: StdListener) -> io::Result<(Runtime, TcpListener)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    drop(entered);
    Ok((runtime, listener))
}

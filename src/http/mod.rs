//! The daemon's listener: metrics and health, to be read by machines, and the page beside them.
//!
//! Owns: the paths for machines and what each answers; those of the page are handed in. Read-only, without a body to parse or a parameter to believe:
//! nothing that arrives here changes what the daemon does. Every answer comes from memory, so a slow disk
//! or a slow AWS never makes a scrape late, and a scrape of thousands of series never makes a slot late. The bounds on connections are [`serve()`]'s.

mod apart;
mod gzip;
pub(crate) mod health;
mod scrape;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

pub use self::apart::{Serving, listen_apart};
pub(crate) use self::gzip::{compress, is_accepted as accepts_gzip};
pub use self::health::{Condition, Health, ProbeAnswer, STALLED_AFTER, alive, ready};
use self::scrape::Turn;
use crate::clock::Clock;
use crate::metrics::Metrics;
use redkeep_serve::listener::{Limits, serve};

const INDEX: &str = concat!(
    "redkeep ",
    env!("CARGO_PKG_VERSION"),
    "\n\n\
     /metrics  metrics in the Prometheus text format\n\
     /healthz  200 while the daemon is at work\n\
     /readyz   200 while it can take snapshots, else the reasons why not\n",
);

const PLAIN: [(HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What the answers are made from.
pub struct Site {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// How the daemon is.
    pub health: Arc<Health>,
    /// Tells how long ago the daemon was last at work.
    pub clock: Arc<dyn Clock>,
}

/// The site, and the scrape that has its turn.
struct Served {
    site: Arc<Site>,
    turn: Turn,
}

/// Serves the site and the `page` on `listener` until `shutdown` is ready.
pub async fn listen(
    listener: TcpListener,
    site: Arc<Site>,
    page: Option<Router>,
    shutdown: impl Future<Output = ()>,
) {
    let router = router(site, page);
    serve(listener, router, Limits::default(), shutdown).await;
}

/// The paths. axum answers HEAD as GET without the body, 405 to other methods and 404 to other paths.
fn router(site: Arc<Site>, page: Option<Router>) -> Router {
    let page = page.unwrap_or_else(|| Router::new().route("/", get(|| async { index() })));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(|| async { not_found() })
        .with_state(Arc::new(Served {
            site,
            turn: Turn::default(),
        }))
        .merge(page)
}

/// What stands at the root for whoever is not shown the page.
pub(crate) fn index() -> Response {
    (PLAIN, INDEX).into_response()
}

/// What stands nowhere.
pub(crate) fn not_found() -> Response {
    (StatusCode::NOT_FOUND, PLAIN, "not found\n").into_response()
}

async fn metrics(State(served): State<Arc<Served>>, request: HeaderMap) -> Response {
    scrape::answer(&served.turn, Arc::clone(&served.site.metrics), &request).await
}

async fn healthz(State(served): State<Arc<Served>>) -> Response {
    let site = &served.site;
    answer(alive(&site.health.condition(), site.clock.monotonic()))
}

async fn readyz(State(served): State<Arc<Served>>) -> Response {
    answer(ready(&served.site.health.condition()))
}

fn answer(verdict: ProbeAnswer) -> Response {
    let status = match &verdict {
        ProbeAnswer::Good => StatusCode::OK,
        ProbeAnswer::Bad(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, PLAIN, verdict.to_string()).into_response()
}

#[cfg(test)]
mod tests;

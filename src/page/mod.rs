//! The page: how every policy and cluster stands, for a person with a browser.
//!
//! Owns: its addresses, who is shown it, how many are made at once, and the headers that go with it. Read-only, without
//! script, log-in or cookie: nothing that arrives here changes what the daemon does. It reads the history through a
//! connection of its own on a thread that may block, and so no reader holds the daemon's loop or a scrape up; the figures of
//! pairs and scopes are those of the metrics, and the alarms are told by the daemon (`board`).

mod access;
mod board;
mod filter;
mod fleet;
mod forecasts;
mod html;
mod make;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod wrong;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use tokio::sync::Semaphore;

pub use board::{Board, StandingAlarm};
pub use forecasts::Forecasts;

use self::access::{Door, Verdict};
use self::make::Made;
use crate::clock::Clock;
use crate::config::PageAccess;
use crate::digest;
use crate::http::{self, Health, accepts_gzip, compress};
use crate::metrics::Metrics;
use redkeep_serve::listener::Ends;

/// How many pages are made at once: each may take a core and a part of the disk.
const AT_ONCE: usize = 2;

/// How many of them may be of a forecast, which takes longer than all others.
const FORECASTS_AT_ONCE: usize = 1;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// What whoever is sent away is asked to wait, in seconds.
const RETRY_AFTER: &str = "2";

const STYLE: &str = include_str!("style.css");

/// The address of the style; another style has another.
static STYLE_ADDRESS: LazyLock<String> =
    LazyLock::new(|| format!("/style.css?{}", digest::hex(STYLE.as_bytes(), 8)));

/// What a browser may do with a page: show it, with the style and the pictures of this server, and ask this server for
/// another. No script, no frame, no other server.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The headers of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::VARY, "accept-encoding"),
];

/// What the page is made from.
pub struct Source {
    /// What the daemon tells.
    pub board: Arc<Board>,
    /// The figures of pairs and scopes.
    pub metrics: Arc<Metrics>,
    /// How the daemon is.
    pub health: Arc<Health>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The forecasts that were made last.
    pub forecasts: Forecasts,
    /// What follows `redkeep <command>` so that it reads the same policy file; empty where it does anyway.
    pub options: String,
}

/// The page, with its places.
struct Page {
    source: Arc<Source>,
    door: Door,
    turns: Arc<Semaphore>,
    forecasts: Arc<Semaphore>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fleet,
    Cluster,
    Snapshot,
    Scope,
    Picture,
    Style,
}

/// The paths of the page, for a listener that is bound to `bound`.
pub fn router(source: Source, access: PageAccess, bound: SocketAddr) -> Router {
    with_turns(source, access, bound, AT_ONCE)
}

fn with_turns(source: Source, access: PageAccess, bound: SocketAddr, turns: usize) -> Router {
    let page = Page {
        source: Arc::new(source),
        door: Door { access, bound },
        turns: Arc::new(Semaphore::new(turns)),
        forecasts: Arc::new(Semaphore::new(turns.min(FORECASTS_AT_ONCE))),
    };
    let paths = [
        ("/", Kind::Fleet),
        ("/cluster", Kind::Cluster),
        ("/snapshot", Kind::Snapshot),
        ("/scope", Kind::Scope),
        ("/forecast.svg", Kind::Picture),
        ("/style.css", Kind::Style),
    ];
    let router = paths
        .into_iter()
        .fold(Router::new(), |router, (path, kind)| {
            let answer = move |State(page): State<Arc<Page>>, request: Request| async move {
                answer(&page, kind, &request.map(drop)).await
            };
            router.route(path, get(answer))
        });
    router.with_state(Arc::new(page))
}

async fn answer(page: &Page, kind: Kind, request: &Request<()>) -> Response<Body> {
    let ends = request.extensions().get::<Ends>();
    match page.door.judge(ends, request.uri(), request.headers()) {
        Verdict::Shown => {}
        Verdict::NotHere if kind == Kind::Fleet => return http::index(),
        Verdict::NotHere => return http::not_found(),
        Verdict::ForeignHost => {
            let said =
                "redkeep shows this page only under the name localhost or a loopback address\n";
            return plain(StatusCode::MISDIRECTED_REQUEST, said);
        }
    }
    let in_gzip = accepts_gzip(request.headers());
    if kind == Kind::Style {
        let style = Made {
            kind: make::CSS,
            ..Made::found(STYLE.to_owned())
        };
        return whole(Packed::of(style, in_gzip), true);
    }
    let turns = match kind {
        Kind::Scope | Kind::Picture => &page.forecasts,
        _ => &page.turns,
    };
    let turn = tokio::time::timeout(PATIENCE, Arc::clone(turns).acquire_owned());
    let Ok(Ok(turn)) = turn.await else {
        return busy();
    };
    let (source, query) = (
        Arc::clone(&page.source),
        request.uri().query().map(str::to_owned),
    );
    // Work that has begun keeps its turn to its end, whoever goes away meanwhile.
    let made = tokio::task::spawn_blocking(move || {
        let packed = Packed::of(make::make(&source, kind, query.as_deref()), in_gzip);
        drop(turn);
        packed
    });
    match made.await {
        Ok(packed) => whole(packed, false),
        Err(error) => {
            tracing::error!(error = &error as &dyn Error, "cannot make a page");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page was not made to its end\n",
            )
        }
    }
}

/// A body as it is sent.
struct Packed {
    status: StatusCode,
    kind: &'static str,
    bytes: Bytes,
    in_gzip: bool,
}

impl Packed {
    /// Where it cannot be compressed it goes as it is.
    fn of(made: Made, in_gzip: bool) -> Self {
        let compressed = in_gzip.then(|| compress(&made.body).ok()).flatten();
        Self {
            status: made.status,
            kind: made.kind,
            in_gzip: compressed.is_some(),
            bytes: compressed.map_or_else(|| made.body.into(), Bytes::from),
        }
    }
}

/// An answer with its headers. Only the style may be kept: its address changes with it.
fn whole(packed: Packed, may_be_kept: bool) -> Response<Body> {
    let kept = match may_be_kept {
        true => "private, max-age=86400, immutable",
        false => "no-store",
    };
    let mut response = Response::new(Body::from(packed.bytes));
    *response.status_mut() = packed.status;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(packed.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    if packed.in_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if packed.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    }
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let made = Made {
        status,
        kind: make::TEXT,
        body: text.to_owned(),
    };
    whole(Packed::of(made, false), false)
}

fn busy() -> Response<Body> {
    let said = "redkeep is answering others; try again in a moment\n";
    plain(StatusCode::SERVICE_UNAVAILABLE, said)
}

//! Making a page: what is read for it, and in which order.
//!
//! Owns: the questions to the history, and what is answered where there is no such page. Blocks: it is for a thread that may.
//! What cannot be read is told on the page, and what the daemon tells is shown all the same.

mod fleet;
mod single;

use std::sync::Arc;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use maud::Markup;

use super::board::Told;
use super::filter::Parameters;
use super::html::{self, Frame};
use super::{Kind, STYLE_ADDRESS, Source, wrong};
use crate::config::Config;
use crate::error_chain::with_causes;
use crate::http::alive;
use crate::metrics::View;
use crate::store::{Reader, StoreError};
use crate::told::command::whole_with;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// How many days a strip has.
const DAYS: usize = 35;

/// An answer before it is packed.
pub(super) struct Made {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Made {
    pub(super) fn found(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            kind: HTML,
            body,
        }
    }
}

/// Why there is no such page.
#[derive(Debug, thiserror::Error)]
enum Lack {
    #[error("There is no {0}.")]
    Unknown(String),
    #[error("The history cannot be read: {}", with_causes(.0))]
    Unreadable(#[from] StoreError),
    #[error("{0}")]
    Undrawn(String),
    #[error("The daemon has not started its work yet.")]
    NotBegun,
}

impl Lack {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Unreadable(_) | Self::NotBegun => StatusCode::SERVICE_UNAVAILABLE,
            Self::Undrawn(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The page that says so.
    fn sheet(&self) -> Sheet {
        let heading = match self {
            Self::Unknown(_) => "Not found",
            Self::Unreadable(_) | Self::NotBegun | Self::Undrawn(_) => "Not now",
        };
        Sheet {
            status: self.status(),
            title: heading.to_owned(),
            command: "redkeep status".to_owned(),
            body: html::words(heading, &self.to_string()),
        }
    }
}

/// What a page shows, its title, and the command that prints the same.
struct Sheet {
    status: StatusCode,
    title: String,
    command: String,
    body: Markup,
}

impl Sheet {
    fn found(title: String, command: String, body: Markup) -> Self {
        Self {
            status: StatusCode::OK,
            title,
            command,
            body,
        }
    }
}

/// What is known without asking the history.
struct Desk<'a> {
    source: &'a Source,
    told: &'a Told,
    config: &'a Arc<Config>,
    view: &'a View,
    now: DateTime<Utc>,
}

impl Desk<'_> {
    fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open_in_daemon(&self.config.database())
    }
}

/// The answer to a request for a page of that kind.
pub(super) fn make(source: &Source, kind: Kind, query: Option<&str>) -> Made {
    let (told, view, now) = (
        source.board.told(),
        source.metrics.view(),
        source.clock.now(),
    );
    let parameters = Parameters::read(query);
    let known = told.config.as_ref().zip(view.as_deref());
    let desk = known.map(|(config, view)| Desk {
        source,
        told: &told,
        config,
        view,
        now,
    });
    let desk = desk.ok_or(Lack::NotBegun);
    let sheet = match kind {
        Kind::Picture => {
            let picture = desk.and_then(|desk| desk.picture(&parameters));
            return picture.unwrap_or_else(|lack| plain(&lack));
        }
        Kind::Cluster => desk.and_then(|desk| desk.cluster(&parameters)),
        Kind::Snapshot => desk.and_then(|desk| desk.snapshot(&parameters)),
        Kind::Scope => desk.and_then(|desk| desk.scope(&parameters)),
        Kind::Fleet | Kind::Style => desk.and_then(|desk| desk.fleet(&parameters)),
    };
    let sheet = sheet.unwrap_or_else(|lack| lack.sheet());
    let dead = wrong::dead(&alive(&source.health.condition(), source.clock.monotonic()));
    let frame = Frame {
        title: &format!("{} · redkeep", sheet.title),
        style: &STYLE_ADDRESS,
        sandbox: view.is_some_and(|view| view.sandbox),
        dead: dead.as_deref(),
        command: &whole_with(&sheet.command, &source.options),
        now,
    };
    Made {
        status: sheet.status,
        ..Made::found(html::page(&frame, sheet.body).into_string())
    }
}

fn plain(lack: &Lack) -> Made {
    Made {
        status: lack.status(),
        kind: TEXT,
        body: format!("{lack}\n"),
    }
}

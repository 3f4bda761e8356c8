//! Making a page: what is read for it, and in which order.
//!
//! Owns: the questions to the history. Blocks: it is for a thread that may. What cannot be read is told on the page, and what
//! the daemon tells is shown all the same.

use std::collections::HashMap;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use maud::Markup;

use super::filter::{Filter, Parameters};
use super::fleet::{self, PAGE, Row};
use super::html::{self, Frame};
use super::{Kind, STYLE_ADDRESS, Source, wrong};
use crate::config::Config;
use crate::days::{self, Day, DayTally};
use crate::error_chain::with_causes;
use crate::forecast::forecast;
use crate::history::History;
use crate::http::alive;
use crate::metrics::View;
use crate::names::ClusterId;
use crate::run::Run;
use crate::schedule::Schedule;
use crate::slot::{Pair, Scope};
use crate::store::{DaysOf, OpenSlot, Reader, RunFilter, StoreError};
use crate::told::explained::{Known, Recorded};
use crate::told::picture;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// How many days a strip has.
const DAYS: usize = 35;

/// How many slots of each policy the page of a cluster has.
const SLOTS: u32 = 10;

/// How many snapshots of each policy it lists.
const SNAPSHOTS: u32 = 200;

/// How far a forecast looks, in days.
const YEAR: u16 = 365;

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
    #[error("The daemon has not begun its work yet.")]
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

    fn heading(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "Not found",
            _ => "Not now",
        }
    }
}

/// What is known without asking the history.
struct Desk<'a> {
    source: &'a Source,
    told: super::board::Told,
    config: &'a Config,
    view: &'a View,
    now: DateTime<Utc>,
}

/// What a page shows, its title, and the command that prints the same.
struct Sheet {
    title: String,
    command: String,
    body: Markup,
}

/// The answer to a request for a page of that kind.
pub(super) fn make(source: &Source, kind: Kind, query: Option<&str>) -> Made {
    let (told, view, now) = (
        source.board.told(),
        source.metrics.view(),
        source.clock.now(),
    );
    let parameters = Parameters::read(query);
    let dead = wrong::dead(&alive(&source.health.condition(), source.clock.monotonic()));
    let sheet = match (&told.config.clone(), &view) {
        (Some(config), Some(view)) => {
            let desk = Desk {
                source,
                told,
                config,
                view,
                now,
            };
            match kind {
                Kind::Picture => {
                    return desk
                        .picture(&parameters)
                        .unwrap_or_else(|lack| plain(&lack));
                }
                Kind::Cluster => desk.cluster(&parameters),
                Kind::Snapshot => desk.snapshot(&parameters),
                Kind::Scope => desk.scope(&parameters),
                Kind::Fleet | Kind::Style => desk.fleet(&parameters),
            }
        }
        _ => Err(Lack::NotBegun),
    };
    let frame = |title: &str, command: &str| {
        let (title, command) = (
            format!("{title} · redkeep"),
            format!("{command}{}", source.options),
        );
        let sandbox = view.as_ref().is_some_and(|view| view.sandbox);
        (title, command, sandbox)
    };
    let (status, title, command, body) = match sheet {
        Ok(Sheet {
            title,
            command,
            body,
        }) => (StatusCode::OK, title, command, Ok(body)),
        Err(lack) => (
            lack.status(),
            lack.heading().to_owned(),
            "redkeep status".to_owned(),
            Err(lack),
        ),
    };
    let (title, command, sandbox) = frame(&title, &command);
    let frame = Frame {
        title: &title,
        style: &STYLE_ADDRESS,
        sandbox,
        dead: dead.as_deref(),
        command: &command,
        now,
    };
    let whole = match body {
        Ok(body) => html::page(&frame, body),
        Err(lack) => html::words(&frame, lack.heading(), &lack.to_string()),
    };
    Made {
        status,
        kind: HTML,
        body: whole.into_string(),
    }
}

fn plain(lack: &Lack) -> Made {
    Made {
        status: lack.status(),
        kind: TEXT,
        body: format!("{lack}\n"),
    }
}

/// The history of one page, as far as it can be read.
struct Records {
    reader: Option<Reader>,
    open: Vec<OpenSlot>,
    trouble: Option<String>,
}

impl Desk<'_> {
    fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.config.database())
    }

    fn records(&self) -> Records {
        let read = self
            .reader()
            .and_then(|reader| Ok((reader.open_slots()?, reader)));
        match read {
            Ok((open, reader)) => Records {
                reader: Some(reader),
                open,
                trouble: None,
            },
            Err(error) => Records {
                reader: None,
                open: Vec::new(),
                trouble: Some(with_causes(&error)),
            },
        }
    }

    fn fleet(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
        let filter = self.filter(parameters)?;
        let Records {
            reader,
            open,
            mut trouble,
        } = self.records();
        let pairs = fleet::pairs(self.view, &open);
        let ended = match &reader {
            Some(reader) => reader.last_ended(pairs.iter().map(|(pair, _)| pair)),
            None => Ok(Vec::new()),
        };
        let ended = ended.unwrap_or_else(|error| {
            trouble = Some(with_causes(&error));
            Vec::new()
        });
        let rows = fleet::rows(pairs, ended, &open, self.now);
        let matching: Vec<&Row<'_>> = rows.iter().filter(|row| filter.holds(row)).collect();
        let pages = matching.len().div_ceil(PAGE).max(1);
        if filter.page > pages {
            return Err(Lack::Unknown(format!("page {} of {pages}", filter.page)));
        }
        let shown = matching.iter().skip((filter.page - 1) * PAGE).take(PAGE);
        let shown = self.shown(shown.copied(), reader.as_ref(), &mut trouble);
        let condition = self.source.health.condition();
        let writable = self.view.history_writable;
        let mut wrong =
            wrong::of_daemon(&condition, self.view.reload, writable, trouble.as_deref());
        wrong.extend(wrong::of_alarms(&self.told.alarms, &rows));
        wrong.extend(wrong::of_rows(&rows));
        let body = html::fleet::fleet(&html::fleet::Fleet {
            config: self.config,
            view: self.view,
            filter: &filter,
            wrong: &wrong::grouped(wrong),
            notices: &wrong::grouped(wrong::notices(self.view)),
            counts: &fleet::counts(&rows),
            matching: matching.len(),
            pages,
            shown: &shown,
            now: self.now,
        });
        Ok(Sheet {
            title: "Policies and clusters".to_owned(),
            command: "redkeep status".to_owned(),
            body,
        })
    }

    /// The filter, if all that it names is there.
    fn filter(&self, parameters: &Parameters) -> Result<Filter, Lack> {
        let number = || parameters.get("page").unwrap_or_default().to_owned();
        let filter = Filter::read(parameters)
            .ok_or_else(|| Lack::Unknown(format!("page {:?}", number())))?;
        let config = self.config;
        let has_policy = |name: &str| {
            let mut pairs = self.view.pairs.iter();
            config
                .policies
                .iter()
                .any(|policy| policy.name.as_str() == name)
                || pairs.any(|view| view.pair.policy.as_str() == name)
        };
        let has_account = |name: &str| config.accounts.iter().any(|one| one.name.as_str() == name);
        let has_region = |name: &str| {
            let mut regions = config.accounts.iter().flat_map(|account| &account.regions);
            regions.any(|region| region.as_str() == name)
        };
        let has_state = |name: &str| {
            let mut standings = fleet::Standing::ALL.into_iter();
            standings.any(|one| one.word() == name) || fleet::OPEN_WORDS.contains(&name)
        };
        let known: [(&str, &Option<String>, &dyn Fn(&str) -> bool); 4] = [
            ("policy", &filter.policy, &has_policy),
            ("account", &filter.account, &has_account),
            ("region", &filter.region, &has_region),
            ("state", &filter.state, &has_state),
        ];
        for (what, value, is_known) in known {
            if let Some(value) = value.as_deref().filter(|value| !is_known(value)) {
                return Err(Lack::Unknown(format!("{what} {value:?}")));
            }
        }
        Ok(filter)
    }

    /// The rows of a page with their days and what is under way.
    fn shown<'a>(
        &self,
        rows: impl Iterator<Item = &'a Row<'a>>,
        reader: Option<&Reader>,
        trouble: &mut Option<String>,
    ) -> Vec<html::fleet::Shown<'a>> {
        let mut calendars: HashMap<&str, Vec<Day>> = HashMap::new();
        let mut shown = Vec::new();
        for row in rows {
            let read = match (reader, self.config.policy(&row.pair.policy)) {
                (Some(reader), policy) => {
                    let schedule = policy.map(|policy| &policy.schedule);
                    let days = schedule.map_or(&[][..], |schedule| {
                        let zone = schedule.timezone();
                        calendars
                            .entry(zone.name())
                            .or_insert_with(|| days::days(zone, self.now, DAYS))
                    });
                    self.of_row(reader, row, schedule, days)
                }
                (None, _) => Ok((Vec::new(), Vec::new())),
            };
            let (open, days) = read.unwrap_or_else(|error| {
                *trouble = Some(with_causes(&error));
                Default::default()
            });
            shown.push(html::fleet::Shown { row, open, days });
        }
        shown
    }

    fn of_row(
        &self,
        reader: &Reader,
        row: &Row<'_>,
        schedule: Option<&Schedule>,
        days: &[Day],
    ) -> Result<(Vec<Run>, Vec<(Day, DayTally)>), StoreError> {
        let mut open = Vec::new();
        for slot in &row.open {
            open.extend(reader.run(&slot.slot)?);
        }
        let Some(schedule) = schedule else {
            return Ok((open, Vec::new()));
        };
        let state = reader.pair(&row.pair)?;
        let tallies = reader.days(DaysOf {
            pair: &row.pair,
            state: state.as_ref(),
            schedule,
            open: &open,
            days,
            now: self.now,
        })?;
        Ok((open, days.iter().copied().zip(tallies).collect()))
    }

    fn cluster(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
        let text = parameters.get("name").unwrap_or_default();
        let unknown = || {
            Lack::Unknown(format!(
                "cluster {text:?} that a policy touches, nor nearly"
            ))
        };
        let name: ClusterId = text.parse().map_err(|_| unknown())?;
        let known = Known {
            past: Some(Recorded::of(&name, self.reader()?, self.config)?),
            config: self.config,
            now: self.now,
        };
        let mut parts = Vec::new();
        for part in known.parts(&name) {
            let is = |key, value: Option<&str>| {
                parameters
                    .get(key)
                    .is_none_or(|wanted| value == Some(wanted))
            };
            let scope = part.scope.as_ref();
            if is("account", scope.map(|scope| scope.account.as_str()))
                && is("region", scope.map(|scope| scope.region.as_str()))
            {
                parts.push(self.part(&known, &part, &name)?);
            }
        }
        if parts.is_empty() {
            return Err(unknown());
        }
        Ok(Sheet {
            title: format!("Cluster {name}"),
            command: format!("redkeep explain {name} --slots {SLOTS}"),
            body: html::cluster::cluster(&name, &parts, self.now),
        })
    }

    fn part(
        &self,
        known: &Known<'_>,
        part: &crate::explain::Part,
        name: &ClusterId,
    ) -> Result<html::cluster::Part, StoreError> {
        let policy = self.config.policy(&part.policy);
        let mut told = html::cluster::Part {
            policy: part.policy.to_string(),
            scope: part.scope.clone(),
            zone: policy.map(|policy| policy.schedule.timezone().clone()),
            rows: known.part(part, name, SLOTS)?,
            days: Vec::new(),
            snapshots: Vec::new(),
            is_cut: false,
        };
        let Some((reader, pair)) = known
            .past
            .as_ref()
            .map(Recorded::reader)
            .zip(part.pair(name))
        else {
            return Ok(told);
        };
        told.snapshots = reader.snapshots_of(&pair, SNAPSHOTS)?;
        told.is_cut = told.snapshots.len() == SNAPSHOTS as usize;
        if let Some(policy) = policy {
            told.days = self.days(known, reader, &pair, &policy.schedule)?;
        }
        Ok(told)
    }

    fn days(
        &self,
        known: &Known<'_>,
        reader: &Reader,
        pair: &Pair,
        schedule: &Schedule,
    ) -> Result<Vec<(Day, DayTally)>, StoreError> {
        let history = known.past.as_ref().map(|past| &past.history);
        let open = history.into_iter().flat_map(History::open);
        let open: Vec<Run> = open.filter(|run| run.slot.pair == *pair).cloned().collect();
        let days = days::days(schedule.timezone(), self.now, DAYS);
        let tallies = reader.days(DaysOf {
            pair,
            state: history.and_then(|history| history.pairs.get(pair)),
            schedule,
            open: &open,
            days: &days,
            now: self.now,
        })?;
        Ok(days.into_iter().zip(tallies).collect())
    }

    fn snapshot(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
        let id = parameters.get("id").unwrap_or_default();
        let unknown = || Lack::Unknown(format!("snapshot {id:?} in the history"));
        let name = |key| parameters.get(key);
        let filter = RunFilter {
            snapshot_id: Some(id.to_owned()),
            account: name("account")
                .map(str::parse)
                .transpose()
                .map_err(|_| unknown())?,
            region: name("region")
                .map(str::parse)
                .transpose()
                .map_err(|_| unknown())?,
            limit: Some(1),
            ..RunFilter::default()
        };
        let run = self.reader()?.runs(&filter)?.pop().ok_or_else(unknown)?;
        let Scope { account, region } = &run.slot.pair.scope;
        Ok(Sheet {
            title: format!("Snapshot {id}"),
            command: format!("redkeep show {id} --account {account} --region {region}"),
            body: html::snapshot::snapshot(&run),
        })
    }

    fn scope(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
        let scope = self.known_scope(parameters)?;
        let forecast = self.forecast(&scope)?;
        let notes: Vec<String> = forecast.notes.iter().map(ToString::to_string).collect();
        let mut gauges = self.view.scopes.iter();
        let listed = gauges.find(|gauges| gauges.scope == scope);
        let listed = listed.and_then(|gauges| gauges.manual_snapshots);
        let told = forecast.scopes.first();
        let told = told.ok_or_else(|| Lack::Unknown(format!("scope {scope}")))?;
        Ok(Sheet {
            title: scope.to_string(),
            command: "redkeep forecast".to_owned(),
            body: html::scope::scope(told, &notes, listed),
        })
    }

    fn picture(&self, parameters: &Parameters) -> Result<Made, Lack> {
        let scope = self.known_scope(parameters)?;
        let body = picture::svg(&self.forecast(&scope)?).map_err(Lack::Undrawn)?;
        Ok(Made {
            kind: SVG,
            ..Made::found(body)
        })
    }

    fn known_scope(&self, parameters: &Parameters) -> Result<Scope, Lack> {
        let [account, region] =
            ["account", "region"].map(|key| parameters.get(key).unwrap_or_default());
        let mut scopes = self.config.scopes().into_iter();
        let is =
            |scope: &Scope| scope.account.as_str() == account && scope.region.as_str() == region;
        let found = scopes.find(is);
        found.ok_or_else(|| Lack::Unknown(format!("account {account:?} with a region {region:?}")))
    }

    /// The forecast of one scope: only what is there of it is read.
    fn forecast(&self, scope: &Scope) -> Result<crate::forecast::Forecast, StoreError> {
        let history = self.reader()?.history_of_scope(scope)?;
        Ok(forecast(&self.config.only(scope), &history, self.now, YEAR))
    }
}

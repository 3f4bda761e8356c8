//! The first page: every policy and cluster.

use std::collections::{BTreeSet, HashMap};

use super::{DAYS, Desk, Lack, Sheet};
use crate::days::{self, Day, DayTally};
use crate::error_chain::with_causes;
use crate::page::filter::{Filter, Parameters};
use crate::page::fleet::{self, PAGE, Row};
use crate::page::{html, wrong};
use crate::run::Run;
use crate::schedule::Schedule;
use crate::store::{DaysOf, OpenSlot, Reader, StoreError};

/// The history, as far as it can be read for the whole page.
struct Opened {
    reader: Option<Reader>,
    open: Vec<OpenSlot>,
    trouble: Option<String>,
}

/// What the history has of a row: the runs that are under way, and the days.
type Records = (Vec<Run>, Vec<(Day, DayTally)>);

impl Desk<'_> {
    fn opened(&self) -> Opened {
        let read = self
            .reader()
            .and_then(|reader| Ok((reader.open_slots()?, reader)));
        match read {
            Ok((open, reader)) => Opened {
                reader: Some(reader),
                open,
                trouble: None,
            },
            Err(error) => Opened {
                reader: None,
                open: Vec::new(),
                trouble: Some(with_causes(&error)),
            },
        }
    }

    pub(super) fn fleet(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
        let filter = self.filter(parameters)?;
        let Opened {
            reader,
            open,
            mut trouble,
        } = self.opened();
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
        let wrong = wrong::all(&wrong::Facts {
            condition: &self.source.health.condition(),
            alarms: &self.told.alarms,
            refused: &self.told.refused,
            view: self.view,
            rows: &rows,
            unreadable: trouble.as_deref(),
        });
        let body = html::fleet::fleet(&html::fleet::Fleet {
            config: self.config,
            view: self.view,
            filter: &filter,
            options: &self.source.options,
            wrong: &wrong,
            well: wrong::well(self.view, &rows),
            notices: &wrong::notices(self.view, &rows),
            counts: &fleet::counts(&rows),
            matching: matching.len(),
            pages,
            shown: &shown,
            now: self.now,
        });
        Ok(Sheet::found(
            "Policies and clusters".to_owned(),
            "redkeep status".to_owned(),
            body,
        ))
    }

    /// The filter, if all that it names is there.
    fn filter(&self, parameters: &Parameters) -> Result<Filter, Lack> {
        let number = || parameters.get("page").unwrap_or_default().to_owned();
        let filter = Filter::read(parameters)
            .ok_or_else(|| Lack::Unknown(format!("page {:?}", number())))?;
        let values = [
            &filter.policy,
            &filter.account,
            &filter.region,
            &filter.state,
        ];
        for ((what, names), value) in self.names().into_iter().zip(values) {
            let unknown = value.as_deref().filter(|value| !names.contains(value));
            if let Some(unknown) = unknown {
                return Err(Lack::Unknown(format!("{what} {unknown:?}")));
            }
        }
        Ok(filter)
    }

    /// What may be asked for. A policy that left the file may still have pairs.
    fn names(&self) -> [(&'static str, BTreeSet<&str>); 4] {
        let config = self.config;
        let configured = config.policies.iter().map(|policy| policy.name.as_str());
        let active = self.view.pairs.iter().map(|view| view.pair.policy.as_str());
        let accounts = config.accounts.iter();
        let regions = accounts.clone().flat_map(|account| &account.regions);
        let states = fleet::Standing::ALL.map(fleet::Standing::word).into_iter();
        [
            ("policy", configured.chain(active).collect()),
            (
                "account",
                accounts.map(|account| account.name.as_str()).collect(),
            ),
            ("region", regions.map(|region| region.as_str()).collect()),
            ("state", states.chain(fleet::OPEN_WORDS).collect()),
        ]
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
    ) -> Result<Records, StoreError> {
        let mut open = Vec::new();
        for slot in &row.open {
            // It may have ended since the open ones were read.
            open.extend(reader.run(&slot.slot)?.filter(|run| !run.is_ended()));
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
}

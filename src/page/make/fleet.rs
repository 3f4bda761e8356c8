//! The first page: every policy and cluster.

use std::collections::HashMap;

use super::{DAYS, Desk, Lack, Sheet};
use crate::days::{self, Day, DayTally};
use crate::error_chain::with_causes;
use crate::page::filter::{Filter, Parameters};
use crate::page::fleet::{self, PAGE, Row};
use crate::page::{html, wrong};
use crate::run::Run;
use crate::schedule::Schedule;
use crate::store::{DaysOf, OpenSlot, Reader, StoreError};

/// The history of one page, as far as it can be read.
struct Records {
    reader: Option<Reader>,
    open: Vec<OpenSlot>,
    trouble: Option<String>,
}

impl Desk<'_> {
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

    pub(super) fn fleet(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
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
        let wrong = wrong::all(&wrong::Facts {
            condition: &self.source.health.condition(),
            alarms: &self.told.alarms,
            view: self.view,
            rows: &rows,
            unreadable: trouble.as_deref(),
        });
        let body = html::fleet::fleet(&html::fleet::Fleet {
            config: self.config,
            view: self.view,
            filter: &filter,
            wrong: &wrong,
            notices: &wrong::notices(self.view),
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
}

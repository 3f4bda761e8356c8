//! The pages of one cluster, one snapshot, and one account in a region.

use std::sync::Arc;

use super::{DAYS, Desk, Lack, Made, SVG, Sheet};
use crate::days::{self, Day, DayTally};
use crate::explain;
use crate::forecast::{Forecast, YEAR, forecast};
use crate::history::History;
use crate::names::ClusterId;
use crate::outline::Outline;
use crate::page::filter::Parameters;
use crate::page::html;
use crate::run::Run;
use crate::schedule::Schedule;
use crate::slot::{Pair, Scope};
use crate::store::{DaysOf, Reader, RunFilter, StoreError};
use crate::told::explained::{Known, Recorded};
use crate::told::picture::{self, Frame};

/// How many slots of each policy the page of a cluster has.
const SLOTS: u32 = 10;

/// How many snapshots of each policy it lists.
const SNAPSHOTS: u32 = 200;

impl Desk<'_> {
    pub(super) fn cluster(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
        let text = parameters.get("name").unwrap_or_default();
        let unknown = || {
            Lack::Unknown(format!(
                "cluster {text:?} that a policy selects or nearly selects"
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
        Ok(Sheet::found(
            format!("Cluster {name}"),
            format!("redkeep explain {name} --slots {SLOTS}"),
            html::cluster::cluster(&name, &parts, self.now),
        ))
    }

    fn part(
        &self,
        known: &Known<'_>,
        part: &explain::Part,
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

    pub(super) fn snapshot(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
        let id = parameters.get("id").unwrap_or_default();
        let unknown = || Lack::Unknown(format!("snapshot {id:?} in the history"));
        let [account, region] = ["account", "region"].map(|key| parameters.get(key));
        let filter = RunFilter {
            snapshot_id: Some(id.to_owned()),
            account: account.map(str::parse).transpose().map_err(|_| unknown())?,
            region: region.map(str::parse).transpose().map_err(|_| unknown())?,
            ..RunFilter::default()
        };
        let runs = self.reader()?.runs(&filter)?;
        let (id, body) = match &*runs {
            [] => return Err(unknown()),
            [run] => (&run.request.snapshot_id, html::snapshot::snapshot(run)),
            [first, ..] => (&first.request.snapshot_id, html::snapshot::several(&runs)),
        };
        let place = match &*runs {
            [run] => {
                let Scope { account, region } = &run.slot.pair.scope;
                format!(" --account {account} --region {region}")
            }
            _ => String::new(),
        };
        Ok(Sheet::found(
            format!("Snapshot {id}"),
            format!("redkeep show {id}{place}"),
            body,
        ))
    }

    pub(super) fn scope(&self, parameters: &Parameters) -> Result<Sheet, Lack> {
        let scope = self.known_scope(parameters)?;
        let forecast = self.forecast(&scope)?;
        let notes: Vec<String> = forecast.notes.iter().map(ToString::to_string).collect();
        let mut gauges = self.view.scopes.iter();
        let listed = gauges.find(|gauges| gauges.scope == scope);
        let listed = listed.and_then(|gauges| gauges.manual_snapshots);
        let told = forecast.scopes.first();
        let told = told.ok_or_else(|| Lack::Unknown(format!("scope {scope}")))?;
        Ok(Sheet::found(
            scope.to_string(),
            "redkeep forecast".to_owned(),
            html::scope::scope(told, &notes, listed),
        ))
    }

    pub(super) fn picture(&self, parameters: &Parameters) -> Result<Made, Lack> {
        let scope = self.known_scope(parameters)?;
        let forecast = self.forecast(&scope)?;
        let frame = match parameters.get("narrow") {
            Some(_) => Frame::Narrow,
            None => Frame::Wide,
        };
        let body = picture::svg(&forecast, frame).map_err(Lack::Undrawn)?;
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
    fn forecast(&self, scope: &Scope) -> Result<Arc<Forecast>, StoreError> {
        let made = || {
            let history = self.reader()?.history_of_scope(scope)?;
            let past = Outline::from(&history);
            Ok(forecast(&self.config.only(scope), &past, self.now, YEAR))
        };
        self.source.forecasts.of(scope, self.config, self.now, made)
    }
}

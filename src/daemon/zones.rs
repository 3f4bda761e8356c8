//! Time zone data that is renewed while the daemon runs, as when the system's package is.
//!
//! Owns: the look at the files, some seconds apart, and the swap of the zones. Never reads the policy file again: the
//! schedules stay, on other clocks. What has become due by the old clocks keeps its slot; from then on the plan sees
//! that the rules are others, and goes on by them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{info, warn};

use super::Daemon;
use crate::config::Config;
use crate::config::zones::{Database, Found, Place, Stamp};
use crate::metrics::Intervals;
use crate::redshift::Redshift;
use crate::schedule::{Schedule, Zone};
use crate::tzdb::ZoneData;

/// How often the files are looked at. They are read when two looks agree, since a package is not put in place at once.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// The watch on the files of the system's time zone data.
#[derive(Debug)]
pub(super) struct Watch {
    looking: Option<JoinHandle<Look>>,
    looked_at: Duration,
    last: Look,
}

/// What one look at the files has found.
#[derive(Debug, Default)]
struct Look {
    /// How the files looked.
    seen: Stamp,
    /// How they looked when they were read last. At first they count as not read: they may have changed since the
    /// policy file was.
    read: Stamp,
    /// What was read in this look.
    news: Option<News>,
}

#[derive(Debug)]
struct News {
    data: ZoneData,
    zones: BTreeMap<String, Found>,
}

impl Watch {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            looking: None,
            looked_at: now,
            last: Look::default(),
        }
    }

    /// What the look under way has found, if it has ended.
    async fn found(&mut self) -> Option<News> {
        let ended = self.looking.take_if(|looking| looking.is_finished())?;
        self.last = ended.await.ok()?;
        self.last.news.take()
    }

    /// Begins a look, if one is due and none is under way.
    fn begin(&mut self, place: &Place, config: &Config, now: Duration) {
        if self.looking.is_some() || now.saturating_sub(self.looked_at) < POLL_INTERVAL {
            return;
        }
        self.looked_at = now;
        let (seen, read) = (self.last.seen.clone(), self.last.read.clone());
        let (place, names) = (place.clone(), zone_names(config));
        // Where the files are on a disk that does not answer, the loop goes on.
        self.looking = Some(spawn_blocking(move || look(&place, &names, seen, read)));
    }
}

fn look(place: &Place, names: &BTreeSet<String>, before: Stamp, read: Stamp) -> Look {
    let stamp = || place.stamp(names.iter().map(String::as_str));
    let seen = stamp();
    if seen != before || seen == read {
        let news = None;
        return Look { seen, read, news };
    }
    let database = Database::open(place);
    let found = |name: &String| Some((name.clone(), database.zone(name)?));
    let news = News {
        zones: names.iter().filter_map(found).collect(),
        data: database.data().clone(),
    };
    match stamp() == seen {
        true => Look {
            read: seen.clone(),
            seen,
            news: Some(news),
        },
        false => Look {
            seen,
            read,
            news: None,
        },
    }
}

fn zone_names(config: &Config) -> BTreeSet<String> {
    let names = config
        .schedules()
        .map(|schedule| schedule.timezone().name());
    names.map(str::to_owned).collect()
}

impl<R: Redshift> Daemon<R> {
    /// Looks at the zone files now and then, beside the loop; `true` where the clocks are others from now on.
    pub(super) async fn watch_zones(&mut self) -> bool {
        let now = self.parts.clock.monotonic();
        if let Some(news) = self.zones.found().await {
            return self.renew_zones(news).await;
        }
        self.zones
            .begin(&self.parts.zones, self.parts.engine.config(), now);
        false
    }

    async fn renew_zones(&mut self, news: News) -> bool {
        let zone = |name: &str| Some(news.zones.get(name)?.zone.clone());
        let config = self.parts.engine.config().in_zones(news.data, zone);
        if !tell_renewed(self.parts.engine.config(), &config) {
            return false;
        }
        for trouble in news
            .zones
            .values()
            .filter_map(|found| found.trouble.as_ref())
        {
            warn!("{trouble}");
        }
        // What has become due by the old clocks keeps its slot.
        self.turn().await;
        self.parts.engine.renew_zones(config);
        self.tell_configuration();
        let now = self.parts.clock.now();
        self.intervals = Intervals::compute(self.parts.engine.config(), now);
        true
    }
}

/// Tells that the time zone data is another, and which of the zones in use have other clocks by it; `true` where there is
/// something to tell.
pub(super) fn tell_renewed(before: &Config, after: &Config) -> bool {
    let zones = |config: &Config| -> BTreeMap<String, Zone> {
        let zones = config.schedules().map(Schedule::timezone);
        zones
            .map(|zone| (zone.name().to_owned(), zone.clone()))
            .collect()
    };
    let old = zones(before);
    let is_other = |(name, zone): &(&String, &Zone)| old.get(*name).is_some_and(|old| old != *zone);
    let new = zones(after);
    let changed: Vec<&str> = new
        .iter()
        .filter(is_other)
        .map(|(name, _)| name.as_str())
        .collect();
    let (was, is) = (&before.zone_data, &after.zone_data);
    let is_same = (&was.version, was.source) == (&is.version, is.source);
    if is_same && changed.is_empty() {
        return false;
    }
    let changed = if changed.is_empty() {
        "none".to_owned()
    } else {
        changed.join(", ")
    };
    info!(tzdb = %is.version, tzdb_source = is.source.as_str(), before = %was.version, changed,
        "time zone data renewed; `changed` lists the zones in use whose rules have changed");
    true
}

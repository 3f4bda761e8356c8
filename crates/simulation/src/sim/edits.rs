//! What an edit leaves behind: of a pair that it changes, every slot up to it has its record, also where nobody was there
//! when the file was edited.
//!
//! Owns: which configurations a host has seen, and when. A cluster that goes is no edit.

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::slot::{Pair, rfc3339};
use redkeep_policy_file::Config;

use super::Sim;
use super::accounts::due;
use super::host::Host;
use super::ledger::{Ledger, Segment};

/// Configurations, and when each was seen, in true time.
type Configs = [(DateTime<Utc>, Config)];

/// A host's clock and AWS's may be so far apart, and nobody is wrong.
const APART: TimeDelta = TimeDelta::minutes(10);

impl Host {
    /// Its process sees the configuration at `now`, which is true time.
    pub fn sees_config(&mut self, now: DateTime<Utc>) {
        self.configs.push((now, self.config.clone()));
    }
}

impl Sim {
    /// The configurations that a host's processes have seen; those of all instances of its installation.
    pub fn configs_seen(&self, host: usize) -> Vec<(DateTime<Utc>, Config)> {
        let hosts = match self.shared {
            Some(_) => &self.hosts[..],
            None => &self.hosts[host..=host],
        };
        let mut all: Vec<_> = hosts.iter().flat_map(|host| host.configs.clone()).collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }
}

/// I1: no slot of before an edit was left without a record.
pub fn check_edits(ledger: &Ledger, configs: &Configs) {
    let segments = &ledger.segments;
    for (number, segment) in segments.iter().enumerate() {
        let mut later = segments[number + 1..].iter();
        let next = later.find(|one| one.pair == segment.pair);
        let Some(edited_at) = edited_at(configs, segment, next) else {
            continue;
        };
        let mut left = due(segment, segment.state.watermark, edited_at - APART).into_iter();
        assert_eq!(
            left.next().map(rfc3339),
            None,
            "I1: a slot of {} has no record, and its schedule was edited at {edited_at}",
            segment.pair
        );
    }
}

/// When the process first saw that the pair is to be another than it was in this time; `None` where that was over by
/// then: closed, or followed by the time of another cluster of that name.
fn edited_at(
    configs: &Configs,
    segment: &Segment,
    next: Option<&Segment>,
) -> Option<DateTime<Utc>> {
    let state = &segment.state;
    let was = (state.schedule.clone(), state.timezone.clone());
    let later = configs.iter().filter(|(at, _)| *at > state.active_from);
    let mut edits =
        later.filter(|(_, config)| schedule(config, &segment.pair) != Some(&was).cloned());
    let edited_at = edits.next()?.0;
    let followed_at = next.map(|next| next.state.active_from);
    let over_at = [state.closed_at, followed_at].into_iter().flatten().min();
    over_at
        .is_none_or(|at| at >= edited_at - APART)
        .then_some(edited_at)
}

/// The expression and the zone that a configuration has for a pair.
fn schedule(config: &Config, pair: &Pair) -> Option<(String, String)> {
    let policy = config.policy(&pair.policy)?;
    let schedule = &policy.schedule;
    let words = (
        schedule.expression().to_owned(),
        schedule.timezone().to_string(),
    );
    (policy.enabled && policy.scopes.contains(&pair.scope)).then_some(words)
}

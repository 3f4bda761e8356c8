//! What `explain` tells of a cluster: for each policy that touches it, or nearly does, what happened and what comes next.
//!
//! Owns: the rows, and what of the history they need. The words are the core's (`explain`). AWS is not asked.

use chrono::{DateTime, SecondsFormat, Utc};

use super::{command, names_of, row};
use crate::config::Config;
use crate::explain::{Explanation, Part, Past, coming, missed_range, relations, run};
use crate::history::{History, MissedRange};
use crate::names::{ClusterId, Writer};
use crate::observed::Observed;
use crate::plan::{Extent, Facts};
use crate::run::{OutcomeKind, Run};
use crate::slot::{Pair, rfc3339};
use crate::store::{Reader, RunFilter, StoreError};

row! {
    /// What a policy is to the cluster, or what became of one of its slots, or will.
    ExplainRow {
        policy: String,
        account: Option<String>,
        region: Option<String>,
        cluster: String,
        about: &'static str,
        touches: bool,
        scheduled_at: Option<String>,
        local_time: Option<String>,
        starts_at: Option<String>,
        deadline_at: Option<String>,
        snapshot_id: Option<String>,
        state: Option<&'static str>,
        slots: Option<u64>,
        waits_until: Option<String>,
        words: String,
    }
    beside {
        at: Option<DateTime<Utc>>,
    }
}

/// Everything that is known of a cluster without asking AWS.
pub(crate) struct Known<'a> {
    pub(crate) config: &'a Config,
    /// `None` where no daemon has begun a history.
    pub(crate) past: Option<Recorded>,
    pub(crate) now: DateTime<Utc>,
}

/// What the history has of the cluster.
pub(crate) struct Recorded {
    reader: Reader,
    pub(crate) history: History,
    writer: Writer,
}

impl Recorded {
    /// What `reader` has of `cluster`.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub(crate) fn of(
        cluster: &ClusterId,
        reader: Reader,
        config: &Config,
    ) -> Result<Self, StoreError> {
        let history = reader.history_of_cluster(cluster)?;
        let (identity, _) = reader.identity()?;
        let writer = config.writer.clone().unwrap_or(identity.installation);
        Ok(Self {
            reader,
            history,
            writer,
        })
    }

    /// The connection that it was read by.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    fn parts(&self) -> (&Reader, &History, &Writer) {
        (&self.reader, &self.history, &self.writer)
    }
}

impl Known<'_> {
    /// The policies that touch the cluster, and those that nearly do.
    pub(crate) fn parts(&self, cluster: &ClusterId) -> Vec<Part> {
        let history = self.past.as_ref().map(|past| &past.history);
        relations(self.config, history, cluster)
    }

    /// The rows of one policy: what it is to the cluster, its slots, oldest first, and the next one.
    ///
    /// # Errors
    /// As [`Reader::runs`].
    pub(crate) fn part(
        &self,
        part: &Part,
        cluster: &ClusterId,
        limit: u32,
    ) -> Result<Vec<ExplainRow>, StoreError> {
        let mut rows = vec![self.head(part, cluster)];
        let Some(pair) = part.pair(cluster) else {
            return Ok(rows);
        };
        let touches = part.relation.touches();
        rows.extend(self.slots(&pair, touches, limit)?);
        if touches {
            rows.extend(self.coming(&pair));
        }
        Ok(rows)
    }

    fn head(&self, part: &Part, cluster: &ClusterId) -> ExplainRow {
        let mut words = part.relation.words();
        if let Some(policy) = self.config.policy(&part.policy) {
            let schedule = &policy.schedule;
            words = format!(
                "{words}; schedule {:?} in {}",
                schedule.expression(),
                schedule.timezone()
            );
        }
        let scope = part.scope.as_ref();
        ExplainRow {
            policy: part.policy.to_string(),
            account: scope.map(|scope| scope.account.to_string()),
            region: scope.map(|scope| scope.region.to_string()),
            cluster: cluster.to_string(),
            about: "policy",
            touches: part.relation.touches(),
            words,
            ..ExplainRow::default()
        }
    }

    fn slots(&self, pair: &Pair, touches: bool, limit: u32) -> Result<Vec<ExplainRow>, StoreError> {
        let Some((reader, history, writer)) = self.past.as_ref().map(Recorded::parts) else {
            return Ok(Vec::new());
        };
        // One more, since the run before may be what an outcome is about.
        let filter = RunFilter {
            limit: Some(limit.saturating_add(1)),
            ..RunFilter::of(pair)
        };
        let recent = reader.runs(&filter)?;
        let ranges = reader.missed_ranges(&filter)?;
        let past = Past {
            facts: Facts {
                config: self.config,
                observed: &Observed::default(),
                history,
                writer,
                extent: &Extent::Endless,
                is_written: true,
                now: self.now,
            },
            recent: &recent,
        };
        let mut rows: Vec<(DateTime<Utc>, ExplainRow)> = recent
            .iter()
            .map(|one| {
                (
                    one.slot.scheduled_at,
                    self.slot(one, touches, run(one, past)),
                )
            })
            .chain(
                ranges
                    .iter()
                    .map(|range| (range.first_at, range_row(range, touches))),
            )
            .collect();
        rows.sort_by_key(|(scheduled_at, _)| *scheduled_at);
        let surplus = rows.len().saturating_sub(limit as usize);
        Ok(rows.into_iter().skip(surplus).map(|(_, row)| row).collect())
    }

    fn slot(&self, run: &Run, touches: bool, told: Explanation) -> ExplainRow {
        let pair = &run.slot.pair;
        ExplainRow {
            touches,
            at: Some(run.slot.scheduled_at),
            scheduled_at: Some(rfc3339(run.slot.scheduled_at)),
            local_time: self.local(pair, run.slot.scheduled_at),
            starts_at: Some(rfc3339(run.request.starts_at)),
            deadline_at: Some(rfc3339(run.request.deadline)),
            snapshot_id: Some(run.request.snapshot_id.to_string()),
            state: Some(run.word()),
            slots: Some(1),
            waits_until: told.waits_until.map(rfc3339),
            words: whole(&told.words),
            ..row_of(pair, "slot")
        }
    }

    fn coming(&self, pair: &Pair) -> Option<ExplainRow> {
        let policy = self.config.policy(&pair.policy)?;
        let history = self.past.as_ref().map(|past| &past.history);
        let state = history.and_then(|history| history.pairs.get(pair));
        let after = state.map_or(self.now, |state| state.watermark);
        let paused_since = history.and_then(|history| history.pauses.since(&pair.policy));
        let next = coming(
            &self.config.namespace,
            policy,
            pair,
            after,
            paused_since,
            self.now,
        )?;
        Some(ExplainRow {
            touches: true,
            at: Some(next.slot.scheduled_at),
            scheduled_at: Some(rfc3339(next.slot.scheduled_at)),
            local_time: self.local(pair, next.slot.scheduled_at),
            starts_at: next.timing.starts_at.map(rfc3339),
            deadline_at: Some(rfc3339(next.timing.deadline)),
            snapshot_id: Some(next.snapshot_id.to_string()),
            slots: Some(1),
            waits_until: next.told.waits_until.map(rfc3339),
            words: whole(&next.told.words),
            ..row_of(pair, "next")
        })
    }

    fn local(&self, pair: &Pair, at: DateTime<Utc>) -> Option<String> {
        let zone = self.config.policy(&pair.policy)?.schedule.timezone();
        let local = zone.local(at);
        Some(local.to_rfc3339_opts(SecondsFormat::Secs, false))
    }
}

fn range_row(range: &MissedRange, touches: bool) -> ExplainRow {
    ExplainRow {
        touches,
        at: Some(range.first_at),
        scheduled_at: Some(rfc3339(range.first_at)),
        state: Some(OutcomeKind::Missed.as_str()),
        slots: Some(range.count),
        words: whole(&missed_range(range)),
        ..row_of(&range.pair, "slot")
    }
}

/// With its commands as they can be pasted.
fn whole(words: &str) -> String {
    command::whole(words).into_owned()
}

fn row_of(pair: &Pair, about: &'static str) -> ExplainRow {
    let [policy, account, region, cluster] = names_of(pair);
    ExplainRow {
        policy,
        account: Some(account),
        region: Some(region),
        cluster,
        about,
        ..ExplainRow::default()
    }
}

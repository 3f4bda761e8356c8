//! Every policy and cluster, worst first.
//!
//! Owns: how a pair stands, the order, what of it is shown. Pure: figures and records are handed in. A pair stands as its
//! newest slot that has its outcome, unless it is overdue: what is under way may still fail.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::filter::Filter;
use crate::days::PROMPT;
use crate::metrics::{PairView, View};
use crate::rpo::breached_since;
use crate::run::{Missed, OutcomeKind};
use crate::slot::Pair;
use crate::store::{LastEnded, OpenSlot};

/// How many pairs a page has.
pub(super) const PAGE: usize = 100;

/// How a pair stands, from well to ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Its newest slot brought a snapshot, which is there.
    Available,
    /// None of its slots has ended yet.
    New,
    /// Its newest slot was missed, and a blackout, a pause or a disabled policy explains it.
    Excused,
    /// The snapshot of its newest slot no longer exists.
    Gone,
    Skipped,
    Missed,
    Expired,
    Failed,
    Conflict,
    /// Its newest good snapshot is older than `rpo`, or a slot has come and nobody looked after it.
    Overdue,
}

impl Standing {
    /// All of them, the worst first.
    pub(super) const ALL: [Self; 10] = [
        Self::Overdue,
        Self::Conflict,
        Self::Failed,
        Self::Expired,
        Self::Missed,
        Self::Skipped,
        Self::Gone,
        Self::Excused,
        Self::New,
        Self::Available,
    ];

    /// The word in addresses and on the page: of outcomes the history's.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Available => OutcomeKind::Available.as_str(),
            Self::New => "new",
            Self::Excused => "excused",
            Self::Gone => "gone",
            Self::Skipped => OutcomeKind::Skipped.as_str(),
            Self::Missed => OutcomeKind::Missed.as_str(),
            Self::Expired => OutcomeKind::Expired.as_str(),
            Self::Failed => OutcomeKind::Failed.as_str(),
            Self::Conflict => OutcomeKind::Conflict.as_str(),
            Self::Overdue => "overdue",
        }
    }

    /// Whether somebody should know.
    pub(super) fn is_lacking(self) -> bool {
        self >= Self::Gone
    }

    fn of(ended: Option<&LastEnded>) -> Self {
        let Some(ended) = ended else {
            return Self::New;
        };
        let missed = ended.reason.as_deref().and_then(Missed::of_word);
        let is_excused = missed.is_some_and(Missed::is_excused);
        match ended.kind {
            OutcomeKind::Available if ended.is_good => Self::Available,
            OutcomeKind::Available => Self::Gone,
            OutcomeKind::Missed if is_excused => Self::Excused,
            OutcomeKind::Missed => Self::Missed,
            OutcomeKind::Skipped => Self::Skipped,
            OutcomeKind::Expired => Self::Expired,
            OutcomeKind::Failed => Self::Failed,
            OutcomeKind::Conflict => Self::Conflict,
        }
    }
}

/// The words of the states in which a run has no outcome yet.
pub(super) const OPEN_WORDS: [&str; 3] = ["due", "requested", "creating"];

/// A policy and a cluster.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    pub(super) pair: Pair,
    /// `None` where the pair has no slots: somebody asked for a snapshot by hand.
    pub(super) view: Option<&'a PairView>,
    pub(super) ended: Option<LastEnded>,
    /// What is under way, the oldest first.
    pub(super) open: Vec<OpenSlot>,
    pub(super) standing: Standing,
    /// Since when it is older than `rpo`.
    pub(super) breached_since: Option<DateTime<Utc>>,
    /// The slot that has come and has no record.
    pub(super) late_slot: Option<DateTime<Utc>>,
}

/// The pairs of a view, and those of the open runs, in no order.
pub(super) fn pairs<'a>(view: &'a View, open: &'a [OpenSlot]) -> Vec<(Pair, Option<&'a PairView>)> {
    let mut pairs: BTreeMap<&Pair, Option<&PairView>> = BTreeMap::new();
    pairs.extend(open.iter().map(|open| (&open.slot.pair, None)));
    pairs.extend(view.pairs.iter().map(|view| (&view.pair, Some(view))));
    let pairs = pairs.into_iter();
    pairs.map(|(pair, view)| (pair.clone(), view)).collect()
}

/// The rows of `pairs`, worst first; of each standing the one that has been without a good snapshot for longest.
pub(super) fn rows<'a>(
    pairs: Vec<(Pair, Option<&'a PairView>)>,
    ended: Vec<Option<LastEnded>>,
    open: &[OpenSlot],
    now: DateTime<Utc>,
) -> Vec<Row<'a>> {
    let mut under_way: HashMap<&Pair, Vec<OpenSlot>> = HashMap::new();
    for one in open {
        under_way
            .entry(&one.slot.pair)
            .or_default()
            .push(one.clone());
    }
    let rows = pairs
        .into_iter()
        .zip(ended.into_iter().chain(std::iter::repeat(None)));
    let mut rows: Vec<Row<'_>> = rows
        .map(|((pair, view), ended)| {
            let open = under_way.remove(&pair).unwrap_or_default();
            row(pair, view, ended, open, now)
        })
        .collect();
    rows.sort_by(|one, other| order(one).cmp(&order(other)));
    rows
}

/// What rows are in order of.
type Order<'a> = (Reverse<Standing>, Option<DateTime<Utc>>, &'a Pair);

fn order<'a>(row: &'a Row<'_>) -> Order<'a> {
    let good_at = row.view.and_then(|view| view.last_success);
    (Reverse(row.standing), good_at, &row.pair)
}

fn row<'a>(
    pair: Pair,
    view: Option<&'a PairView>,
    ended: Option<LastEnded>,
    open: Vec<OpenSlot>,
    now: DateTime<Utc>,
) -> Row<'a> {
    let breached_since =
        view.and_then(|view| breached_since(view.rpo?, view.last_success, view.active_since, now));
    let late_slot = view.and_then(|view| view.next_run.filter(|next| *next + PROMPT < now));
    let standing = match breached_since.or(late_slot) {
        Some(_) => Standing::Overdue,
        None => Standing::of(ended.as_ref()),
    };
    Row {
        pair,
        view,
        ended,
        open,
        standing,
        breached_since,
        late_slot,
    }
}

impl Filter {
    /// Whether a row is asked for.
    pub(super) fn holds(&self, row: &Row<'_>) -> bool {
        let is = |wanted: &Option<String>, name: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == name)
        };
        let scope = &row.pair.scope;
        let named = self.cluster.as_deref();
        let state = self.state.as_deref();
        is(&self.policy, row.pair.policy.as_str())
            && is(&self.account, scope.account.as_str())
            && is(&self.region, scope.region.as_str())
            && named.is_none_or(|part| row.pair.cluster.as_str().contains(part))
            && state.is_none_or(|word| {
                row.standing.word() == word || row.open.iter().any(|open| open.word == word)
            })
    }
}

/// How many rows stand so, the worst first, without those of which there are none.
pub(super) fn counts<'r, 'a: 'r>(
    rows: impl IntoIterator<Item = &'r Row<'a>>,
) -> Vec<(Standing, usize)> {
    let mut counts: BTreeMap<Reverse<Standing>, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(Reverse(row.standing)).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(standing, count)| (standing.0, count))
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::page::samples::{ended, pair, pair_view};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_478_400 + seconds, 0).unwrap()
    }

    #[test]
    fn the_worst_comes_first_and_of_equals_the_one_without_a_snapshot_for_longest() {
        let mut views: Vec<PairView> = ["a", "b", "c", "d", "e"].map(pair_view).into();
        let ended = [
            ended(OutcomeKind::Available, None),
            ended(OutcomeKind::Failed, Some("config")),
            ended(OutcomeKind::Failed, Some("config")),
            ended(OutcomeKind::Missed, Some("paused")),
            ended(OutcomeKind::Available, None),
        ];
        views[1].last_success = Some(at(-50));
        views[2].last_success = Some(at(-60));
        views[4].rpo = Some(TimeDelta::seconds(10));
        views[4].last_success = Some(at(-11));
        let view = View {
            pairs: views,
            ..View::default()
        };
        let pairs = pairs(&view, &[]);
        let rows = rows(pairs, ended.map(Some).into(), &[], at(0));
        let told = rows
            .iter()
            .map(|row| (row.pair.cluster.as_str(), row.standing.word()));
        let told: Vec<_> = told.collect();
        assert_eq!(
            told,
            [
                ("e", "overdue"),
                ("c", "failed"),
                ("b", "failed"),
                ("d", "excused"),
                ("a", "available")
            ]
        );
        assert_eq!(rows[0].breached_since, Some(at(-1)));
        let filter = Filter {
            state: Some("failed".to_owned()),
            cluster: Some("c".to_owned()),
            ..Filter::default()
        };
        let held = rows.iter().filter(|row| filter.holds(row)).count();
        assert_eq!(held, 1);
        assert_eq!(counts(&rows)[1], (Standing::Failed, 2));
    }

    #[test]
    fn a_slot_that_nobody_looked_after_is_overdue_and_what_is_asked_for_by_hand_has_a_row() {
        let mut view = pair_view("a");
        view.next_run = Some(at(-61));
        let view = View {
            pairs: vec![view],
            ..View::default()
        };
        let open = OpenSlot {
            slot: crate::slot::Slot {
                pair: pair("z"),
                scheduled_at: at(-1),
            },
            word: "creating".to_owned(),
        };
        let open = [open];
        let pairs = pairs(&view, &open);
        assert_eq!(pairs.len(), 2);
        let rows = rows(pairs, vec![None, None], &open, at(0));
        assert_eq!(rows[0].standing, Standing::Overdue);
        assert_eq!(rows[1].standing, Standing::New);
        assert_eq!(rows[1].open.len(), 1);
    }

    #[test]
    fn every_standing_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<&str> =
            Standing::ALL.iter().map(|one| one.word()).collect();
        assert_eq!(words.len(), Standing::ALL.len());
        assert!(Standing::ALL.is_sorted_by(|one, other| one > other));
    }
}

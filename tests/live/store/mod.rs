//! The store as the daemon and the commands use it, over a real file.
#![cfg(test)]
#![expect(
    clippy::panic,
    reason = "clippy.toml lets tests unwrap, and this is the same"
)]

mod copies;
mod documentation;
mod ended;
mod losses;
mod outbox;
mod planted;
mod questions;
mod refusals;
mod renames;
mod sample;
mod tidy;
pub mod totals;
mod unwritable;
mod wishes;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use self::sample::{Place, at, gone, missed_range, pair, pair_state, run, second_run, states};
use chrono::TimeDelta;
use redkeep::clock::{Clock, SystemClock};
use redkeep::history::{Change, History};
use redkeep::run::{GoneReason, Missed, Outcome, OutcomeKind, RunState};
use redkeep::seen::Seen;
use redkeep::store::{Reader, RunFilter};

fn change(run: redkeep::run::Run) -> Change {
    Change::Run(Box::new(run))
}

fn assert_same(got: &History, wanted: &History) {
    assert_eq!(got.pairs, wanted.pairs);
    assert_eq!(got.runs, wanted.runs);
    assert_eq!(got.totals, wanted.totals);
}

#[tokio::test]
async fn a_new_history_is_private_and_stays_itself_when_opened_again() {
    let place = Place::new();
    let first = place.open();
    assert!(first.history.runs.is_empty() && first.history.pairs.is_empty());
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.file()), 0o600);
    assert_eq!(mode(place.directory().to_owned()), 0o700);
    first.store.close().await.unwrap();
    let second = place.open();
    assert_eq!(second.identity, first.identity);
    assert_eq!(second.identity.created_at, at(0));
}

#[tokio::test]
async fn every_state_and_outcome_comes_back_as_it_went() {
    let place = Place::new();
    let store = place.open().store;
    let runs: Vec<_> = (0..)
        .zip(states())
        .map(|(n, state)| run("dw", n * 60, state))
        .collect();
    store
        .commit(runs.iter().cloned().map(change).collect())
        .await
        .unwrap();
    let got = Reader::open(&place.file())
        .unwrap()
        .runs(&RunFilter::default())
        .unwrap();
    assert_eq!(got, runs);
}

#[tokio::test]
async fn a_run_with_nothing_set_comes_back_as_it_went() {
    let place = Place::new();
    let mut bare = run("dw", 0, RunState::Due);
    (bare.requested_at, bare.asked_at, bare.accepted_at) = (None, None, None);
    (bare.message, bare.snapshot) = (None, None);
    place
        .open()
        .store
        .commit(vec![change(bare.clone())])
        .await
        .unwrap();
    assert_eq!(
        Reader::open(&place.file())
            .unwrap()
            .runs(&RunFilter::default())
            .unwrap(),
        [bare]
    );
}

#[tokio::test]
async fn pairs_and_missed_ranges_come_back_as_they_went() {
    let place = Place::new();
    let store = place.open().store;
    let mut closed = pair_state();
    closed.closed_at = Some(at(5));
    closed.cluster_created_at = None;
    let range = missed_range("dw", 0, 500);
    let changes = vec![
        Change::Pair(pair("dw"), pair_state()),
        Change::Pair(pair("old"), closed.clone()),
        Change::Missed(range.clone()),
    ];
    store.commit(changes).await.unwrap();
    let reader = Reader::open(&place.file()).unwrap();
    assert_eq!(
        reader.missed_ranges(&RunFilter::default()).unwrap(),
        [range]
    );
    let pairs = reader.history().unwrap().pairs;
    assert_eq!(
        pairs[&pair("dw")],
        pair_state(),
        "ClusterCreateTime keeps its milliseconds"
    );
    assert_eq!(pairs[&pair("old")], closed);
}

#[tokio::test]
async fn hostile_texts_come_back_unchanged() {
    let place = Place::new();
    let store = place.open().store;
    let hostile = "'; DROP TABLE runs; -- \"\\ \r\n\t \u{1b}[31m \u{202e} größe 💥 %s ?1 :tags";
    let mut run = run("dw", 0, RunState::Ended(Outcome::Failed(hostile.into())));
    run.message = Some(hostile.to_owned());
    run.request
        .tags
        .insert(hostile.to_owned(), hostile.to_owned());
    if let Some(Seen::Whole(snapshot)) = &mut run.snapshot {
        Arc::make_mut(snapshot).db_name = Some(hostile.to_owned());
    }
    let mut state = pair_state();
    state.schedule = hostile.to_owned();
    store
        .commit(vec![
            change(run.clone()),
            Change::Pair(pair("dw"), state.clone()),
        ])
        .await
        .unwrap();
    let reader = Reader::open(&place.file()).unwrap();
    assert_eq!(reader.runs(&RunFilter::default()).unwrap(), [run]);
    assert_eq!(reader.history().unwrap().pairs[&pair("dw")], state);
    let filter = RunFilter {
        state: Some(hostile.to_owned()),
        ..RunFilter::default()
    };
    assert_eq!(reader.runs(&filter).unwrap(), []);
    let named = RunFilter {
        snapshot_id: Some(hostile.to_owned()),
        ..RunFilter::default()
    };
    assert_eq!(reader.runs(&named).unwrap(), []);
}

#[tokio::test]
async fn a_nul_is_stored_as_the_sign_for_what_has_none() {
    let place = Place::new();
    let store = place.open().store;
    let mut run = run("dw", 0, RunState::Ended(Outcome::Failed("a\0b".into())));
    run.message = Some("c\0".to_owned());
    store.commit(vec![change(run.clone())]).await.unwrap();
    let reader = Reader::open(&place.file()).unwrap();
    run.state = RunState::Ended(Outcome::Failed("a\u{fffd}b".into()));
    run.message = Some("c\u{fffd}".to_owned());
    assert_eq!(reader.runs(&RunFilter::default()).unwrap(), [run]);
}

#[tokio::test]
async fn that_records_were_lost_is_kept_with_the_first_instant() {
    let place = Place::new();
    let opened = place.open();
    assert_eq!(opened.history.rebuilt_at, None);
    for seconds in [7, 9] {
        opened
            .store
            .commit(vec![Change::Rebuilt(at(seconds))])
            .await
            .unwrap();
    }
    opened.store.close().await.unwrap();
    assert_eq!(place.open().history.rebuilt_at, Some(at(7)));
}

#[tokio::test]
async fn what_is_loaded_is_what_the_daemon_had_in_memory() {
    let place = Place::new();
    let store = place.open().store;
    let mut memory = History::default();
    let mut changes = Vec::new();
    for cluster in ["a", "b", "c"] {
        changes.push(Change::Pair(pair(cluster), pair_state()));
        changes.push(Change::Missed(missed_range(cluster, -100_000, 500)));
        for (n, state) in (0..).zip(states()) {
            let mut run = run(cluster, n * 60, state);
            changes.push(change(run.clone()));
            if run.is_good() && cluster == "b" {
                run.gone = gone(n * 60 + 30, GoneReason::Deleted);
                changes.push(change(run));
            }
        }
    }
    for change in changes {
        store.commit(vec![change.clone()]).await.unwrap();
        memory.apply(change);
    }
    assert_same(
        &Reader::open(&place.file()).unwrap().history().unwrap(),
        &memory,
    );
    store.close().await.unwrap();
    assert_same(&place.open().history, &memory);
}

#[tokio::test]
async fn totals_are_a_fold_over_all_rows() {
    let place = Place::new();
    let store = place.open().store;
    let runs = (0..).zip(states().into_iter().cycle().take(300));
    let mut changes: Vec<_> = runs
        .map(|(n, state)| change(run("dw", n * 60, state)))
        .collect();
    changes.push(Change::Missed(missed_range("dw", -90_000, 700)));
    store.commit(changes).await.unwrap();
    let reader = Reader::open(&place.file()).unwrap();
    let mut fold = redkeep::history::Totals::default();
    for run in reader.runs(&RunFilter::default()).unwrap() {
        if let Some(outcome) = run.outcome() {
            fold.add(outcome.kind(), 1);
        }
    }
    for range in reader.missed_ranges(&RunFilter::default()).unwrap() {
        fold.add(OutcomeKind::Missed, range.count);
    }
    assert_eq!(reader.history().unwrap().totals[&pair("dw")], fold);
}

#[tokio::test]
async fn a_missed_range_that_is_told_twice_counts_once() {
    let place = Place::new();
    let store = place.open().store;
    for count in [500, 500, 700, 600] {
        store
            .commit(vec![Change::Missed(missed_range("dw", 0, count))])
            .await
            .unwrap();
    }
    let history = Reader::open(&place.file()).unwrap().history().unwrap();
    assert_eq!(history.totals[&pair("dw")].missed, 700);
}

#[tokio::test]
async fn finer_instants_lose_their_fraction_and_nothing_else() {
    let place = Place::new();
    let mut run = run("dw", 0, RunState::Ended(Outcome::Missed(Missed::Late)));
    run.ended_at = Some(at(5) + TimeDelta::milliseconds(999));
    place.open().store.commit(vec![change(run)]).await.unwrap();
    let got = Reader::open(&place.file())
        .unwrap()
        .runs(&RunFilter::default())
        .unwrap();
    assert_eq!(got[0].ended_at, Some(at(5)));
}

#[tokio::test]
async fn columns_for_people_tell_what_the_run_tells() {
    let place = Place::new();
    let store = place.open().store;
    let available = RunState::Ended(Outcome::Available);
    store
        .commit(vec![
            change(second_run("a", 0)),
            change(run("b", 0, available)),
        ])
        .await
        .unwrap();
    let row = |cluster: &str| {
        place
            .shell()
            .query_row(
                "SELECT state, generation, available_at, size_bytes FROM runs WHERE cluster = ?1",
                [cluster],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .unwrap()
    };
    assert_eq!(row("a"), ("creating".to_owned(), 2, None, 1_610_874_880));
    assert_eq!(
        row("b"),
        (
            "available".to_owned(),
            1,
            Some("2026-11-24T00:00:05Z".to_owned()),
            1_610_874_880
        )
    );
}

#[tokio::test]
async fn ten_thousand_rows_are_committed_at_once_and_quickly() {
    let place = Place::new();
    let store = place.open().store;
    let missed = |n: i64| {
        let state = RunState::Ended(Outcome::Missed(Missed::Coalesced));
        let mut run = run("dw", n * 60, state);
        run.snapshot = None;
        change(run)
    };
    let clock = SystemClock::new();
    store
        .commit((0..10_000).map(missed).collect())
        .await
        .unwrap();
    // One by one they would wait for the disk ten thousand times; the limit is for a machine that does much besides.
    assert!(
        clock.monotonic().as_secs() < 30,
        "took {:?}",
        clock.monotonic()
    );
    let history = Reader::open(&place.file()).unwrap().history().unwrap();
    assert_eq!(history.totals[&pair("dw")].missed, 10_000);
    assert_eq!(history.runs.values().count(), 1);
}

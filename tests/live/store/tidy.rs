//! What leaves the history with time, and what never does.

use redkeep::history::Change;
use redkeep::names::Retention;
use redkeep::run::{GoneReason, Outcome, RunState};
use redkeep::store::{Reader, RunFilter, Tidied};

use crate::store::change;
use crate::store::sample::{Place, at, gone, missed_range, pair, run, second_run, states};
use crate::store::totals::{KEPT, counts};

const DAY: i64 = 86_400;

fn kept(days: i64) -> Retention {
    Retention::from_days(days).unwrap()
}

/// A complete snapshot of a slot so many days after the first one.
fn good(cluster: &str, day: i64) -> redkeep::run::Run {
    run(cluster, day * DAY, RunState::Ended(Outcome::Available))
}

fn gone_at_once(cluster: &str, day: i64) -> redkeep::run::Run {
    let mut run = good(cluster, day);
    run.gone = gone(day * DAY + 100, GoneReason::Expired);
    run
}

fn left(place: &Place) -> Vec<(String, i64)> {
    let reader = Reader::open(&place.file()).unwrap();
    let runs = reader.runs(&RunFilter::default()).unwrap();
    let told = |run: &redkeep::run::Run| {
        let days = (run.slot.scheduled_at - at(0)).num_days();
        (run.slot.pair.cluster.to_string(), days)
    };
    runs.iter().map(told).collect()
}

#[tokio::test]
async fn what_is_gone_and_old_leaves_and_the_totals_stay() {
    let place = Place::new();
    let store = place.open().store;
    let mut changes: Vec<Change> = (0..1_200)
        .map(|day| change(gone_at_once("a", day)))
        .collect();
    changes.push(Change::Missed(missed_range("a", -5_000_000, 500)));
    changes.push(Change::Missed(missed_range("a", 1_199 * DAY, 300)));
    store.commit(changes).await.unwrap();
    let before = counts(&place, KEPT);
    let tidied = store.tidy(kept(100), at(1_200 * DAY)).await.unwrap();
    assert_eq!(
        tidied.rows,
        1_100 + 1,
        "those of the first days, and a range"
    );
    assert_eq!(tidied.descriptions, 70, "between thirty and a hundred days");
    assert_eq!(left(&place).len(), 100);
    assert_eq!(counts(&place, KEPT), before);
    let reader = Reader::open(&place.file()).unwrap();
    assert_eq!(reader.complete_from().unwrap(), Some(at(1_100 * DAY)));
    assert_eq!(
        reader.missed_ranges(&RunFilter::default()).unwrap().len(),
        1
    );
    let again = store.tidy(kept(100), at(1_200 * DAY)).await.unwrap();
    assert_eq!(again, Tidied::default());
    store.backup().await.unwrap();
}

#[tokio::test]
async fn the_newest_of_a_pair_and_what_may_be_there_never_leave() {
    let place = Place::new();
    let store = place.open().store;
    let mut open = run("open", 0, RunState::Due);
    open.snapshot = None;
    let mut twice = second_run("twice", 0);
    twice.state = RunState::Ended(Outcome::Available);
    twice.ended_at = Some(at(9));
    twice.gone = gone(10, GoneReason::Deleted);
    let runs = [
        // One that is there, although it is old.
        good("there", 0),
        good("there", 1),
        // The newest, although it is gone.
        gone_at_once("alone", 0),
        // The newest good one behind a failed one, and the newest of all.
        gone_at_once("failing", 0),
        run(
            "failing",
            DAY,
            RunState::Ended(Outcome::Missed(redkeep::run::Missed::Late)),
        ),
        run(
            "failing",
            2 * DAY,
            RunState::Ended(Outcome::Missed(redkeep::run::Missed::Late)),
        ),
        open,
        run("open", DAY, RunState::Due),
        twice,
        second_run("twice", DAY),
    ];
    let mut changes: Vec<Change> = Vec::new();
    for mut run in runs {
        if matches!(run.state, RunState::Ended(Outcome::Missed(_))) {
            run.snapshot = None;
        }
        changes.push(change(run));
    }
    store.commit(changes).await.unwrap();
    let tidied = store.tidy(kept(1), at(500 * DAY)).await.unwrap();
    assert_eq!(tidied.rows, 1, "the missed slot between two others");
    let wanted = [
        ("alone", 0),
        ("failing", 0),
        ("failing", 2),
        ("open", 0),
        ("open", 1),
        ("there", 0),
        ("there", 1),
        ("twice", 0),
        ("twice", 1),
    ];
    let mut got = left(&place);
    got.sort();
    assert_eq!(got, wanted.map(|(cluster, day)| (cluster.to_owned(), day)));
}

#[tokio::test]
async fn nothing_but_descriptions_leaves_a_history_that_is_kept_for_ever() {
    let place = Place::new();
    let store = place.open().store;
    let runs = (0..).zip(states());
    let runs = runs.map(|(n, state)| change(run("dw", n * 60, state)));
    store.commit(runs.collect()).await.unwrap();
    store
        .commit(vec![
            change(gone_at_once("a", 0)),
            change(gone_at_once("a", 400)),
        ])
        .await
        .unwrap();
    let rows = left(&place).len();
    let tidied = store.tidy(Retention::Forever, at(410 * DAY)).await.unwrap();
    assert_eq!((tidied.rows, tidied.descriptions), (0, 1));
    assert_eq!(left(&place).len(), rows);
    let reader = Reader::open(&place.file()).unwrap();
    assert_eq!(reader.complete_from().unwrap(), None);
    let of_a = RunFilter::of(&pair("a"));
    let described = reader.runs(&of_a).unwrap();
    let described = described.iter().map(|run| run.snapshot.is_some());
    assert_eq!(described.collect::<Vec<_>>(), [false, true]);
}

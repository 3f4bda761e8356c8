//! What is ended stays, and what only grows does not move back, whatever is committed and whoever writes.

use super::change;
use super::sample::{Place, at, gone, outcomes, pair, pair_state, run, states};
use redkeep::history::Change;
use redkeep::run::{GoneReason, Missed, Outcome, RunState};
use redkeep::store::{Reader, RunFilter};

#[tokio::test]
async fn an_ended_run_changes_only_in_what_became_of_its_snapshot() {
    for outcome in outcomes() {
        let place = Place::new();
        let store = place.open().store;
        let ended = run("dw", 0, RunState::Ended(outcome));
        store.commit(vec![change(ended.clone())]).await.unwrap();
        for state in states() {
            let mut other = run("dw", 0, state);
            other.attempts = 99;
            other.message = None;
            other.ended_at = Some(at(999));
            other.request.deadline = at(9999);
            store.commit(vec![change(other)]).await.unwrap();
        }
        let mut later = ended.clone();
        later.gone = gone(70, GoneReason::Expired);
        later.snapshot = None;
        store.commit(vec![change(later.clone())]).await.unwrap();
        let got = Reader::open(&place.file())
            .unwrap()
            .runs(&RunFilter::default())
            .unwrap();
        later.snapshot = ended.snapshot;
        assert_eq!(got, [later], "what AWS told stays where no more is told");
        // What is told of an open run is older than its end, and says nothing.
        store
            .commit(vec![change(run("dw", 0, RunState::Due))])
            .await
            .unwrap();
        let got = Reader::open(&place.file())
            .unwrap()
            .runs(&RunFilter::default())
            .unwrap();
        assert_eq!(got[0].gone, gone(70, GoneReason::Expired));
    }
}

#[tokio::test]
async fn a_run_that_had_ended_otherwise_is_told_to_whoever_has_forgotten_it() {
    let place = Place::new();
    let store = place.open().store;
    let mut missed = run("dw", 0, RunState::Ended(Outcome::Missed(Missed::Late)));
    missed.snapshot = None;
    let good = || run("dw", 0, RunState::Ended(Outcome::Available));
    assert_eq!(
        store.commit(vec![change(missed.clone())]).await.unwrap(),
        []
    );
    assert_eq!(
        store.commit(vec![change(missed.clone())]).await.unwrap(),
        []
    );
    let told = store
        .commit(vec![
            change(run("dw", 0, RunState::Due)),
            change(run("dw", 60, RunState::Due)),
        ])
        .await
        .unwrap();
    assert_eq!(told, [missed.clone()]);
    let told = store
        .commit(vec![Change::Adopted(Box::new(good()))])
        .await
        .unwrap();
    missed.snapshot = good().snapshot;
    assert_eq!(
        told,
        [missed.clone()],
        "it takes only what AWS says of the snapshot"
    );
    let later = run("dw", 120, RunState::Ended(Outcome::Skipped));
    store.commit(vec![change(later)]).await.unwrap();
    let history = Reader::open(&place.file()).unwrap().history().unwrap();
    assert_eq!(
        history.runs.get(&missed.slot),
        Some(&missed.clone().condensed()),
        "it is remembered while the snapshot is there"
    );
}

#[tokio::test]
async fn not_even_the_sqlite3_shell_changes_how_a_run_ended() {
    let place = Place::new();
    let store = place.open().store;
    store
        .commit(vec![change(run(
            "dw",
            0,
            RunState::Ended(Outcome::Skipped),
        ))])
        .await
        .unwrap();
    let shell = place.shell();
    for set in [
        "state = 'available', reason = NULL",
        "progress = '{}'",
        "account = 'another'",
        "attempts = 0",
        "ended_at = NULL",
    ] {
        let error = shell
            .execute(&format!("UPDATE runs SET {set}"), [])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("an ended run stays as it is"),
            "{set}: {error}"
        );
    }
    shell
        .execute(
            "UPDATE runs SET gone_at = '2026-12-01T00:00:00Z', gone_reason = 'deleted'",
            [],
        )
        .unwrap();
}

fn stored(place: &Place) -> redkeep::history::PairState {
    let history = Reader::open(&place.file()).unwrap().history().unwrap();
    history.pairs[&pair("dw")].clone()
}

#[tokio::test]
async fn activation_and_watermark_never_move_back() {
    let place = Place::new();
    let store = place.open().store;
    let mut state = pair_state();
    for (active_from, watermark, wanted) in [
        (0, 100, (0, 100)),
        (0, 99, (0, 100)),
        (500, 50, (500, 100)),
        (400, 200, (500, 200)),
        (600, 600, (600, 600)),
    ] {
        (state.active_from, state.watermark) = (at(active_from), at(watermark));
        store
            .commit(vec![Change::Pair(pair("dw"), state.clone())])
            .await
            .unwrap();
        assert_eq!(
            (stored(&place).active_from, stored(&place).watermark),
            (at(wanted.0), at(wanted.1))
        );
    }
}

#[tokio::test]
async fn only_a_clamp_takes_activation_and_watermark_back() {
    let place = Place::new();
    let store = place.open().store;
    let state = |active_from, watermark| redkeep::history::PairState {
        active_from: at(active_from),
        watermark: at(watermark),
        ..pair_state()
    };
    let changes = vec![
        Change::Pair(pair("dw"), state(500, 900)),
        Change::Clamped(pair("dw"), state(500, 600)),
    ];
    store.commit(changes).await.unwrap();
    assert_eq!(stored(&place), state(500, 600));
    store
        .commit(vec![Change::Clamped(pair("dw"), state(300, 700))])
        .await
        .unwrap();
    assert_eq!(
        stored(&place),
        state(300, 600),
        "it does not put them forward"
    );
}

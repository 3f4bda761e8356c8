//! What people ask for beside the schedules, by a connection of their own.

use redkeep::history::Change;
use redkeep::names::Trigger;
use redkeep::run::{Outcome, RunState};
use redkeep::store::{HandedIn, Inbox, Reader, StoreError};

use crate::store::sample::{Place, at, run};

#[tokio::test]
async fn a_pause_is_heard_once_and_kept_over_a_restart() {
    let place = Place::new();
    let store = place.open().store;
    assert!(
        store.requests().await.unwrap().is_some(),
        "the first look tells all"
    );
    assert_eq!(store.requests().await.unwrap(), None);
    let policy = "nightly".parse().unwrap();
    let mut inbox = Inbox::open(&place.file()).unwrap();
    assert_eq!(inbox.pause(&policy, at(10)).unwrap(), at(10));
    assert_eq!(
        inbox.pause(&policy, at(20)).unwrap(),
        at(10),
        "it is paused already"
    );
    let heard = store.requests().await.unwrap().unwrap();
    assert_eq!(heard.pauses.since(&policy), Some(at(10)));
    assert_eq!(store.requests().await.unwrap(), None);
    store.close().await.unwrap();
    let opened = place.open();
    assert_eq!(opened.history.pauses.since(&policy), Some(at(10)));
    assert_eq!(inbox.resume(&policy, at(30)).unwrap(), Some(at(10)));
    assert_eq!(
        inbox.resume(&policy, at(40)).unwrap(),
        None,
        "it is not paused"
    );
    let heard = opened.store.requests().await.unwrap().unwrap();
    assert_eq!(heard.pauses.since(&policy), None);
    assert!(heard.pauses.covers(&policy, at(30)) && !heard.pauses.covers(&policy, at(31)));
}

#[tokio::test]
async fn a_pause_that_was_ended_in_the_second_in_which_it_began_can_begin_again() {
    let place = Place::new();
    let opened = place.open();
    let policy = "nightly".parse().unwrap();
    let mut inbox = Inbox::open(&place.file()).unwrap();
    for _ in 0..2 {
        assert_eq!(inbox.pause(&policy, at(10)).unwrap(), at(10));
        assert_eq!(inbox.resume(&policy, at(10)).unwrap(), Some(at(10)));
    }
    inbox.pause(&policy, at(10)).unwrap();
    let heard = opened.store.requests().await.unwrap().unwrap();
    assert_eq!(heard.pauses.since(&policy), Some(at(10)));
}

#[tokio::test]
async fn a_snapshot_is_asked_for_once_a_slot_and_an_answer_to_it_is_no_news() {
    let place = Place::new();
    let store = place.open().store;
    store.requests().await.unwrap();
    let mut asked = run("dw", 60, RunState::Due);
    asked.trigger = Trigger::Manual;
    (asked.accepted_at, asked.request.deadline) = (None, at(600));
    let mut inbox = Inbox::open(&place.file()).unwrap();
    assert_eq!(inbox.take(&asked).unwrap(), HandedIn::New);
    let mut later = asked.clone();
    later.slot.scheduled_at = at(61);
    let joined = HandedIn::Joined(Box::new(asked.clone()));
    assert_eq!(inbox.take(&later).unwrap(), joined);
    let mut longer = asked.clone();
    longer.request.retention = "forever".parse().unwrap();
    assert_eq!(inbox.take(&longer).unwrap(), HandedIn::Occupied);
    let heard = store.requests().await.unwrap().unwrap();
    assert_eq!(heard.runs, [asked.clone()]);
    asked.state = RunState::Ended(Outcome::Available);
    let change = Change::Run(Box::new(asked.clone()));
    store.commit(vec![change]).await.unwrap();
    assert_eq!(store.requests().await.unwrap(), None);
    // What has ended stays, and no longer serves a wish.
    assert_eq!(inbox.take(&asked).unwrap(), HandedIn::Occupied);
    assert_eq!(inbox.take(&later).unwrap(), HandedIn::New);
}

#[tokio::test]
async fn a_wish_never_makes_the_file_and_never_writes_into_one_that_was_moved() {
    let place = Place::new();
    let missing = Inbox::open(&place.file()).unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    let opened = place.open();
    let mut inbox = Inbox::open(&place.file()).unwrap();
    assert_eq!(inbox.identity().unwrap(), opened.identity);
    opened.store.close().await.unwrap();
    std::fs::rename(place.file(), place.directory().join("elsewhere.db")).unwrap();
    let moved = inbox.pause(&"nightly".parse().unwrap(), at(1)).unwrap_err();
    assert!(matches!(moved, StoreError::Replaced { .. }), "{moved}");
}

#[tokio::test]
async fn the_number_that_an_account_was_first_found_with_stays() {
    let place = Place::new();
    let store = place.open().store;
    let account = |number: &str| Change::Account("prod".parse().unwrap(), number.to_owned());
    store.commit(vec![account("111122223333")]).await.unwrap();
    store.commit(vec![account("444455556666")]).await.unwrap();
    let history = Reader::open(&place.file()).unwrap().history().unwrap();
    let number = &history.account_numbers[&"prod".parse().unwrap()];
    assert_eq!(number, "111122223333");
}

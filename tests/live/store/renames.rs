//! An account under its new name, and a snapshot that is found again: in the store as in memory.

use redkeep::history::{Change, History, Placed, Renaming, news};
use redkeep::run::{GoneReason, Outcome, RunState};
use redkeep::store::Reader;

use crate::store::sample::{Place, at, gone, missed_range, pair, pair_state, run};
use crate::store::{assert_same, change, states};

fn renaming() -> Renaming {
    Renaming {
        from: "prod".parse().unwrap(),
        to: "production".parse().unwrap(),
        number: "111122223333".to_owned(),
        renamed_at: at(0),
    }
}

fn under_the_new_name<T: Placed>(one: T) -> T {
    renaming().moved(one)
}

#[tokio::test]
async fn an_account_that_is_renamed_has_everything_under_its_new_name_in_the_store_as_in_memory() {
    let place = Place::new();
    let store = place.open().store;
    let mut changes = vec![
        Change::Account(renaming().from, renaming().number),
        Change::Missed(missed_range("a", -100_000, 500)),
    ];
    for cluster in ["a", "b"] {
        changes.push(Change::Pair(pair(cluster), pair_state()));
        // In every combination of what the two names may have of one slot.
        for (n, old) in (0..).zip(states()) {
            for (m, new) in (0..).zip(states()) {
                let seconds = (n * 100 + m) * 60;
                changes.push(change(run(cluster, seconds, old.clone())));
                if cluster == "b" {
                    let mut new = run(cluster, seconds, new.clone());
                    new.message = Some("under the new name".to_owned());
                    changes.push(change(under_the_new_name(new)));
                }
            }
        }
    }
    let mut young = pair_state();
    (young.active_from, young.watermark) = (at(900), at(1_000));
    changes.push(Change::Pair(under_the_new_name(pair("b")), young));
    changes.push(Change::Renamed(renaming()));
    let mut memory = History::default();
    for change in &changes {
        store.commit(vec![change.clone()]).await.unwrap();
    }
    changes.into_iter().for_each(|change| memory.apply(change));
    let stored = Reader::open(&place.file()).unwrap().history().unwrap();
    assert_same(&stored, &memory);
    let new = renaming().to;
    assert!(stored.pairs.keys().all(|pair| pair.scope.account == new));
    assert!(stored.runs.pairs().all(|pair| pair.scope.account == new));
    let watermark = stored.pairs[&under_the_new_name(pair("b"))].watermark;
    assert_eq!(watermark, at(100), "what lies between has no records yet");
    assert_eq!(stored.account_numbers.get(&new), Some(&renaming().number));
    assert!(!stored.account_numbers.contains_key(&renaming().from));
}

#[tokio::test]
async fn a_snapshot_that_memory_has_forgotten_and_that_is_found_again_was_not_lost() {
    let place = Place::new();
    let store = place.open().store;
    let recorded = run("dw", 0, RunState::Ended(Outcome::Available));
    let mut missed = recorded.clone();
    missed.gone = gone(100, GoneReason::Deleted);
    store
        .commit(vec![change(recorded.clone()), change(missed)])
        .await
        .unwrap();
    let found = vec![
        Change::Adopted(Box::new(recorded.clone())),
        Change::Rebuilt(at(200)),
    ];
    let stay = store.commit(found.clone()).await.unwrap();
    assert_eq!(stay, [recorded], "it is no longer gone");
    assert_eq!(news(found, &stay), []);
    let history = Reader::open(&place.file()).unwrap().history().unwrap();
    assert_eq!(history.rebuilt_at, None);
    assert_eq!(
        history.last_good(&pair("dw")).unwrap(),
        &stay[0].clone().condensed()
    );
    let other = run("dw", 600, RunState::Ended(Outcome::Available));
    let lost = vec![Change::Adopted(Box::new(other)), Change::Rebuilt(at(300))];
    let stay = store.commit(lost).await.unwrap();
    assert_eq!(stay, []);
    let history = Reader::open(&place.file()).unwrap().history().unwrap();
    assert_eq!(history.rebuilt_at, Some(at(300)));
}

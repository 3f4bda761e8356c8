//! What the commands ask.

use redkeep::history::Change;
use redkeep::run::{Missed, Outcome, RunState};
use redkeep::store::{Reader, RunFilter};

use crate::sample::{Place, at, missed_range, run, second_run};

/// Ten slots of two clusters, a minute apart, every second one missed; ranges before them.
async fn filled() -> (Place, Reader) {
    let place = Place::new();
    let mut changes = Vec::new();
    for n in 0..10 {
        for cluster in ["a", "b"] {
            let outcome = if n % 2 == 0 {
                Outcome::Available
            } else {
                Outcome::Missed(Missed::Late)
            };
            changes.push(Change::Run(Box::new(run(
                cluster,
                n * 60,
                RunState::Ended(outcome),
            ))));
        }
    }
    changes.push(Change::Missed(missed_range("a", -60_000, 200)));
    changes.push(Change::Missed(missed_range("b", -30_000, 200)));
    place.open().store.commit(changes).await.unwrap();
    let reader = Reader::open(&place.file()).unwrap();
    (place, reader)
}

fn minutes(reader: &Reader, filter: &RunFilter) -> Vec<(i64, String)> {
    let runs = reader.runs(filter).unwrap();
    runs.iter()
        .map(|run| {
            (
                (run.slot.scheduled_at - at(0)).num_minutes(),
                run.slot.pair.cluster.to_string(),
            )
        })
        .collect()
}

#[tokio::test]
async fn runs_come_oldest_first_and_a_limit_takes_the_newest() {
    let (_place, reader) = filled().await;
    let all = minutes(&reader, &RunFilter::default());
    assert_eq!(all.len(), 20);
    assert!(all.is_sorted());
    for limit in [0, 1, 3, 20, 1000] {
        let got = minutes(
            &reader,
            &RunFilter {
                limit: Some(limit),
                ..RunFilter::default()
            },
        );
        assert_eq!(
            got,
            all[20 - all.len().min(limit as usize)..],
            "limit {limit}"
        );
    }
}

#[tokio::test]
async fn every_condition_that_is_given_must_hold() {
    let (_place, reader) = filled().await;
    let filter = RunFilter {
        policy: Some("nightly".parse().unwrap()),
        account: Some("prod".parse().unwrap()),
        region: Some("eu-central-1".parse().unwrap()),
        cluster: Some("b".parse().unwrap()),
        state: Some("missed".to_owned()),
        since: Some(at(180)),
        until: Some(at(420)),
        limit: Some(2),
        ..RunFilter::default()
    };
    assert_eq!(
        minutes(&reader, &filter),
        [(5, "b".to_owned()), (7, "b".to_owned())]
    );
    let others = [
        RunFilter {
            policy: Some("hourly".parse().unwrap()),
            ..filter.clone()
        },
        RunFilter {
            account: Some("test".parse().unwrap()),
            ..filter.clone()
        },
        RunFilter {
            region: Some("us-east-1".parse().unwrap()),
            ..filter.clone()
        },
        RunFilter {
            cluster: Some("c".parse().unwrap()),
            ..filter.clone()
        },
        RunFilter {
            state: Some("failed".to_owned()),
            ..filter.clone()
        },
        RunFilter {
            since: Some(at(421)),
            ..filter.clone()
        },
        RunFilter {
            until: Some(at(179)),
            ..filter
        },
    ];
    for other in others {
        assert_eq!(minutes(&reader, &other), [], "{other:?}");
    }
}

#[tokio::test]
async fn ranges_are_found_by_any_of_their_slots() {
    let (_place, reader) = filled().await;
    let count = |filter: RunFilter| reader.missed_ranges(&filter).unwrap().len();
    let all = RunFilter::default;
    assert_eq!(count(all()), 2);
    assert_eq!(
        count(RunFilter {
            cluster: Some("a".parse().unwrap()),
            ..all()
        }),
        1
    );
    assert_eq!(
        count(RunFilter {
            since: Some(at(-30_000)),
            ..all()
        }),
        1
    );
    assert_eq!(
        count(RunFilter {
            since: Some(at(-50_000)),
            until: Some(at(-49_000)),
            ..all()
        }),
        1
    );
    assert_eq!(
        count(RunFilter {
            until: Some(at(-60_001)),
            ..all()
        }),
        0
    );
    assert_eq!(
        count(RunFilter {
            state: Some("missed".to_owned()),
            ..all()
        }),
        2
    );
    assert_eq!(
        count(RunFilter {
            state: Some("failed".to_owned()),
            ..all()
        }),
        0
    );
    let newest = reader
        .missed_ranges(&RunFilter {
            limit: Some(1),
            ..all()
        })
        .unwrap();
    assert_eq!(newest, [missed_range("b", -30_000, 200)]);
}

#[tokio::test]
async fn a_run_is_found_by_its_snapshot_and_by_the_one_that_failed_before() {
    let place = Place::new();
    let second = second_run("dw", 0);
    place
        .open()
        .store
        .commit(vec![Change::Run(Box::new(second.clone()))])
        .await
        .unwrap();
    let reader = Reader::open(&place.file()).unwrap();
    let id = second.request.snapshot_id.as_str();
    let found = |id: &str| {
        let filter = RunFilter {
            snapshot_id: Some(id.to_owned()),
            ..RunFilter::default()
        };
        reader.runs(&filter).unwrap()
    };
    assert_eq!(found(id), [second.clone()]);
    assert_eq!(found(id.trim_end_matches("-r1")), [second]);
    assert_eq!(found(""), []);
}

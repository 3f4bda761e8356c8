//! What the commands ask.

use redkeep::history::Change;
use redkeep::run::{Missed, Outcome, RunState};
use redkeep::slot::PairFilter;
use redkeep::store::{Presence, Reader, Record, RunFilter};

use crate::store::sample::{Place, at, missed_range, run, second_run};

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
async fn runs_are_found_by_several_names_by_what_came_of_them_and_by_the_end_of_an_identifier() {
    let (_place, reader) = filled().await;
    let count = |filter: &RunFilter| {
        let mut pages = reader.pages(filter).unwrap();
        let paged = std::iter::from_fn(|| pages.next_page().unwrap())
            .flatten()
            .count();
        (reader.runs(filter).unwrap().len(), paged)
    };
    let among = |clusters: &[&str]| RunFilter {
        among: PairFilter {
            policies: vec!["nightly".parse().unwrap()],
            clusters: clusters.iter().map(|name| name.parse().unwrap()).collect(),
            ..PairFilter::default()
        },
        ..RunFilter::default()
    };
    assert_eq!(count(&among(&["a", "b", "c"])), (20, 22));
    assert_eq!(count(&among(&["b", "c"])), (10, 11));
    assert_eq!(count(&among(&["c"])), (0, 0));
    let of = |presence| RunFilter {
        presence: Some(presence),
        ..RunFilter::default()
    };
    assert_eq!(count(&of(Presence::There)).0, count(&of(Presence::There)).1);
    assert_eq!(count(&of(Presence::Gone)), (0, 0));
    let all = reader.runs(&RunFilter::default()).unwrap();
    let there = all.iter().filter(|run| run.has_snapshot()).count();
    assert!(there > 0 && count(&of(Presence::There)).0 == there);
    let short = |text: &str| RunFilter {
        short_id: Some(text.to_owned()),
        ..RunFilter::default()
    };
    let first = all[0].request.snapshot_id.short();
    let found = reader.runs(&short(first)).unwrap();
    assert!(
        found.contains(&all[0])
            && found
                .iter()
                .all(|run| run.request.snapshot_id.short() == first)
    );
    assert_eq!(count(&short("00000000")), (0, 0));
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
    assert_eq!(found(id), std::slice::from_ref(&second));
    assert_eq!(found(id.trim_end_matches("-r1")), [second]);
    assert_eq!(found(""), []);
}

/// A filter, a limit and pages together give what reading everything at once gives.
#[tokio::test]
async fn pages_give_the_same_as_everything_at_once() {
    let place = Place::new();
    let store = place.open().store;
    let missed = || RunState::Ended(Outcome::Missed(Missed::Late));
    let clusters = ["a", "b", "c"];
    let runs =
        (0..900).flat_map(|minute| clusters.map(|cluster| run(cluster, minute * 60, missed())));
    let ranges =
        (0..40).map(|n| missed_range(clusters[n % 3], i64::try_from(n).unwrap() * 1500, 101));
    let runs = runs.map(|run| Change::Run(Box::new(run)));
    let changes = runs.chain(ranges.map(Change::Missed));
    store.commit(changes.collect()).await.unwrap();
    let reader = Reader::open(&place.file()).unwrap();
    let all = RunFilter::default();
    let of_b = RunFilter {
        cluster: Some("b".parse().unwrap()),
        ..RunFilter::default()
    };
    let between = RunFilter {
        since: Some(at(9000)),
        until: Some(at(30_000)),
        ..RunFilter::default()
    };
    let failed = RunFilter {
        state: Some("failed".to_owned()),
        ..RunFilter::default()
    };
    for filter in [all, of_b, between, failed] {
        let mut wanted: Vec<Record> = reader
            .runs(&filter)
            .unwrap()
            .into_iter()
            .map(|run| Record::Run(Box::new(run)))
            .collect();
        let ranges = reader.missed_ranges(&filter).unwrap();
        wanted.extend(ranges.into_iter().map(Record::Missed));
        wanted.sort_by_key(|record| match record {
            Record::Run(run) => run.slot.scheduled_at,
            Record::Missed(range) => range.first_at,
        });
        for limit in [
            None,
            Some(0),
            Some(1),
            Some(2),
            Some(50),
            Some(1000),
            Some(9999),
        ] {
            let filter = RunFilter {
                limit,
                ..filter.clone()
            };
            let mut pages = reader.pages(&filter).unwrap();
            let mut got = Vec::new();
            while let Some(page) = pages.next_page().unwrap() {
                assert!(page.len() < 1100, "{} records at once", page.len());
                got.extend(page);
            }
            let surplus = wanted
                .len()
                .saturating_sub(limit.map_or(usize::MAX, |limit| limit as usize));
            assert_eq!(got.len(), wanted.len() - surplus, "{filter:?}");
            assert_eq!(got, wanted[surplus..], "{filter:?}");
        }
    }
}

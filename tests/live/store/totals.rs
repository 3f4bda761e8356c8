//! The totals, which are kept and not counted, beside a count of all rows.

use std::collections::BTreeMap;

use redkeep::history::{Change, Renaming};
use redkeep::run::{GoneReason, RunState};

use crate::store::change;
use crate::store::sample::{Place, at, gone, missed_range, pair, run, states};

pub type Counts = BTreeMap<[String; 5], i64>;

pub const KEPT: &str =
    "SELECT policy, account, region, cluster, state, count FROM totals WHERE count <> 0";

const COUNTED: &str = "
    SELECT policy, account, region, cluster, state, sum(count) FROM (
        SELECT policy, account, region, cluster, state, 1 AS count FROM runs WHERE progress IS NULL
        UNION ALL
        SELECT policy, account, region, cluster, 'missed', count FROM missed_ranges)
    GROUP BY policy, account, region, cluster, state";

pub fn counts(place: &Place, sql: &str) -> Counts {
    let shell = place.shell();
    let mut statement = shell.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let text = |column| row.get::<_, String>(column);
        let key = [text(0)?, text(1)?, text(2)?, text(3)?, text(4)?];
        Ok((key, row.get(5)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Numbers that look like chance, the same each time.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

fn any_change(seed: &mut u64, renamings: i64) -> Change {
    let names = ["prod", "production", "other"];
    let name = |seed: &mut u64| {
        names[usize::try_from(random(seed, 3)).unwrap()]
            .parse()
            .unwrap()
    };
    let (from, to) = (name(seed), name(seed));
    let cluster = ["a", "b"][usize::try_from(random(seed, 2)).unwrap()];
    let seconds = i64::try_from(random(seed, 12)).unwrap() * 60;
    let states = states();
    let state = states[usize::try_from(random(seed, states.len() as u64)).unwrap()].clone();
    let is_ended = matches!(state, RunState::Ended(_));
    let mut run = run(cluster, seconds, state);
    run.slot.pair.scope.account = from;
    match random(seed, 20) {
        0 if run.slot.pair.scope.account != to => Change::Renamed(Renaming {
            from: run.slot.pair.scope.account,
            to,
            number: "111122223333".to_owned(),
            renamed_at: at(renamings),
        }),
        1..4 => {
            let mut range = missed_range(cluster, -100_000 - seconds, 100 + random(seed, 400));
            range.pair = run.slot.pair;
            Change::Missed(range)
        }
        4..7 => Change::Adopted(Box::new(run)),
        7..9 if is_ended => {
            run.gone = gone(seconds + 60, GoneReason::Deleted);
            change(run)
        }
        _ => change(run),
    }
}

#[tokio::test]
async fn the_totals_are_what_a_count_of_all_rows_gives() {
    let place = Place::new();
    let store = place.open().store;
    let (mut seed, mut most) = (7, 0);
    for round in 0..150 {
        let length = 1 + random(&mut seed, 12);
        let changes = (0..length).map(|_| any_change(&mut seed, round));
        store.commit(changes.collect()).await.unwrap();
        assert_eq!(
            counts(&place, KEPT),
            counts(&place, COUNTED),
            "commit {round}"
        );
        most = most.max(counts(&place, KEPT).len());
    }
    assert!(most > 12, "{most} totals at most");
}

#[tokio::test]
async fn an_older_history_is_counted_once_when_it_is_brought_up_to_date() {
    let place = Place::new();
    let store = place.open().store;
    let runs = (0..)
        .zip(states())
        .map(|(n, state)| change(run("a", n * 60, state)));
    let mut changes: Vec<Change> = runs.collect();
    changes.push(Change::Missed(missed_range("a", -100_000, 500)));
    store.commit(changes).await.unwrap();
    store.close().await.unwrap();
    let before = counts(&place, KEPT);
    place.shell().execute_batch(OLDER).unwrap();
    let opened = place.open();
    assert_eq!(counts(&place, KEPT), before);
    assert_eq!(opened.history.totals[&pair("a")].missed, 505);
}

/// Takes the migrations from 10 on back.
const OLDER: &str = "
    DROP TABLE outbox_dropped; DROP TABLE outbox; DROP TABLE conditions;
    DROP INDEX runs_described; DROP INDEX removals_by_instant; DROP INDEX removals_kept;
    DROP TABLE totals;
    DROP TRIGGER runs_count_new; DROP TRIGGER runs_count_gone;
    DROP TRIGGER runs_count_before; DROP TRIGGER runs_count_after;
    DROP TRIGGER missed_ranges_count_new; DROP TRIGGER missed_ranges_count_gone;
    DROP TRIGGER missed_ranges_count_change;
    DROP INDEX runs_manual; DROP INDEX runs_there; DROP INDEX runs_lacking;
    CREATE INDEX runs_totals ON runs (policy, account, region, cluster, state);
    CREATE INDEX runs_good ON runs (scheduled_at) WHERE state = 'available' AND gone_at IS NULL;
    PRAGMA user_version = 9;";

/// Makes the file one of schema version 4.
pub fn take_back_to_version_4(shell: &rusqlite::Connection) {
    shell.execute_batch(OLDER).unwrap();
    shell
        .execute_batch(
            "DROP TRIGGER runs_ended_stay_in_their_account; DROP TABLE renamings;
             ALTER TABLE pairs DROP COLUMN zone_rules; ALTER TABLE pairs DROP COLUMN local_watermark;
             DROP INDEX runs_second; DROP TABLE errands; DROP TABLE confirmations; DROP TABLE prune_passes;
             DROP TABLE removals; ALTER TABLE pairs DROP COLUMN cluster_gone_at; PRAGMA user_version = 4;",
        )
        .unwrap();
}

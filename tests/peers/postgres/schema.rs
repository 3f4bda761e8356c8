//! The server's tables: made by many at once, brought up to date under who works, and what an instance does that is older or
//! newer than they are.

use std::thread;
use std::time::{Duration, Instant};

use redkeep::run::RunState;
use redkeep::store::{Inbox, StoreError};

use super::host::{Shared, WORKS, until};
use super::sample::{at, run};
use super::store::{Host, change, hosts, rows};
use crate::support::{EACH_TWO_SECONDS, MINUTE, eventually};

#[test]
fn six_instances_that_start_at_once_make_the_tables_once() {
    let Some((database, hosts)) = hosts::<6>() else {
        return;
    };
    let started = hosts.map(|mut host| thread::spawn(move || host.look().changes));
    for host in started {
        assert_eq!(host.join().unwrap(), 0);
    }
    assert_eq!(database.sql("SELECT count(*) FROM redkeep.leases"), "1");
}

#[tokio::test]
async fn who_works_goes_on_when_a_newer_instance_adds_to_the_tables() {
    let Some((database, [mut first, mut second])) = hosts() else {
        return;
    };
    let store = first.take().store;
    let due = |n: i64| vec![change(run("dw", n * 60, RunState::Due))];
    store.commit(due(0)).await.unwrap();
    database.sql(
        "BEGIN;
         ALTER TABLE redkeep.runs ADD COLUMN later text NOT NULL DEFAULT 'nothing';
         CREATE TABLE redkeep.later (name text PRIMARY KEY, change bigint, epoch bigint);
         UPDATE redkeep.installation SET schema_version = 99;
         COMMIT",
    );
    store.commit(due(1)).await.unwrap();
    database.sql("UPDATE redkeep.runs SET later = 'known' WHERE scheduled_at LIKE '%00:00:00Z'");
    // What a newer one has written stays, whatever an older one writes into the row.
    let mut waits = run("dw", 0, RunState::Due);
    waits.attempts = 7;
    store.commit(vec![change(waits)]).await.unwrap();
    let later = database.sql("SELECT attempts, later FROM redkeep.runs ORDER BY scheduled_at");
    assert_eq!(later, "7|known\n3|nothing");
    // Going back to the older one works as well.
    second.look();
    assert_eq!(rows(&second.file()), rows(&first.file()));
    second.take().store.commit(due(2)).await.unwrap();
}

#[tokio::test]
async fn below_the_floor_nothing_is_written_and_the_lease_is_given_up() {
    let Some((database, [mut first, second])) = hosts() else {
        return;
    };
    let store = first.begin().await;
    let mut inbox = Inbox::open_shared(&second.file(), second.server.clone()).unwrap();
    let before = database.sql("SELECT changes FROM redkeep.leases");
    database.sql("UPDATE redkeep.installation SET schema_version = 99, floor = 98");
    let is_too_old = |refused: StoreError| {
        assert!(
            matches!(refused, StoreError::ServerNewer { got: 98, .. }),
            "{refused}"
        );
    };
    let late = vec![change(run("dw", 60, RunState::Due))];
    is_too_old(store.commit(late).await.unwrap_err());
    is_too_old(inbox.pause(&"nightly".parse().unwrap(), at(5)).unwrap_err());
    store.lost().await;
    assert!(!store.is_trusted());
    until(
        &database,
        3,
        "SELECT count(*) FROM redkeep.leases WHERE holder IS NULL",
        "1",
    );
    is_too_old(first.seat.look(at(0)).unwrap_err());
    let number = |column| {
        let told = database.sql(&format!("SELECT {column} FROM redkeep.leases"));
        told.parse().unwrap()
    };
    let pulse = || redkeep_core::lease::Pulse {
        epoch: number("epoch"),
        renewals: number("renewals"),
    };
    assert!(first.seat.take(pulse(), at(0)).unwrap().is_none());
    assert_eq!(database.sql("SELECT changes FROM redkeep.leases"), before);
    database.sql("UPDATE redkeep.installation SET floor = 1");
    assert!(first.seat.take(pulse(), at(0)).unwrap().is_some());
}

#[tokio::test]
async fn a_copy_of_another_version_is_made_anew() {
    let Some((_, [mut first, mut second])) = hosts() else {
        return;
    };
    let _store = first.begin().await;
    second.look();
    let connection = rusqlite::Connection::open(second.file()).unwrap();
    for version in [99, 1] {
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
        let mut again = Host::at(&second.server, second.file(), "again");
        again.look();
        assert_eq!(rows(&second.file()), rows(&first.file()), "{version}");
    }
}

#[tokio::test]
async fn who_reads_for_long_holds_up_the_new_tables_and_nobody_else() {
    let Some((database, [mut first, mut second])) = hosts() else {
        return;
    };
    let store = first.take().store;
    database.sql("UPDATE redkeep.installation SET schema_version = 13");
    // As a backup does.
    let reader = database.person("SELECT count(*) FROM redkeep.runs, redkeep.leases");
    let asked = thread::spawn(move || {
        let held = second.seat.look(at(0)).unwrap_err();
        assert!(matches!(held, StoreError::TablesInUse { .. }), "{held}");
        // It is left alone for a while.
        let again = Instant::now();
        second.seat.look(at(0)).unwrap_err();
        assert!(again.elapsed() < Duration::from_millis(500));
    });
    for n in 0..5 {
        let began = Instant::now();
        store
            .commit(vec![change(run("dw", n * 60, RunState::Due))])
            .await
            .unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    asked.join().unwrap();
    reader.leave();
    Host::new(&database, "third").look();
    let version = "SELECT schema_version >= 14 FROM redkeep.installation";
    assert_eq!(database.sql(version), "t");
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let Some((mut database, [])) = hosts() else {
        return;
    };
    let name = format!("{}_latin", database.name);
    database.sql(&format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ));
    database.name = name;
    let refused = Host::new(&database, "a").seat.look(at(0)).unwrap_err();
    assert!(
        refused.to_string().contains("is LATIN1, wanted UTF8"),
        "{refused}"
    );
    assert_eq!(
        database.sql("SELECT to_regnamespace('redkeep') IS NULL"),
        "t"
    );
}

#[test]
fn an_instance_that_is_too_old_stands_by_and_its_probe_says_why() {
    let Some(shared) = Shared::of(&["dw"]) else {
        return;
    };
    let host = shared.host("a", EACH_TWO_SECONDS);
    until(&shared.database, 30, WORKS, "a");
    shared
        .database
        .sql("UPDATE redkeep.installation SET schema_version = 99, floor = 99");
    until(
        &shared.database,
        10,
        "SELECT count(*) FROM redkeep.leases WHERE holder IS NULL",
        "1",
    );
    eventually("the probe says why", MINUTE, || {
        let ready = host.http("/readyz");
        ready.status == 503
            && ready
                .body
                .contains("the shared history wants schema version 99 or newer")
    });
    assert_eq!(host.http("/healthz").status, 200);
    let taken = shared.database.sql("SELECT count(*) FROM redkeep.runs");
    // The release is taken back.
    shared
        .database
        .sql("UPDATE redkeep.installation SET schema_version = 14, floor = 14");
    until(&shared.database, 10, WORKS, "a");
    let more = format!("SELECT count(*) > {taken} FROM redkeep.runs");
    until(&shared.database, 30, &more, "t");
    eventually("it is ready again", MINUTE, || {
        host.http("/readyz").status == 200
    });
}

//! The shared history, by its store: what is written is the same as in a file of one's own, and only the holder writes.

use std::path::PathBuf;
use std::sync::Arc;

use redkeep::clock::SystemClock;
use redkeep::history::Change;
use redkeep::names::Retention;
use redkeep::run::{GoneReason, Outcome, OutcomeKind, RunState};
use redkeep::settings;
use redkeep::store::{
    EndpointKind, Inbox, Instance, LeaseView, Opened, Reader, RunFilter, Seat, Server, Store,
    StoreError,
};

use super::sample::{Place, at, gone, missed_range, pair, pair_state, run, second_run, states};
use super::server::{Database, pgbouncer, postgres};

fn server(database: &Database) -> Server {
    Server {
        database: settings::Database {
            hosts: database
                .ports
                .iter()
                .map(|port| ("127.0.0.1".to_owned(), *port))
                .collect(),
            user: "redkeep".to_owned(),
            name: database.name.clone(),
            schema: "redkeep".to_owned(),
            auth: settings::DatabaseAuth::Password,
            ca_file: None,
            password_file: None,
            instance: None,
        },
        password: Arc::new(|| Box::pin(async { Ok(None) })),
    }
}

/// A new database, and as many instances; `None` where there is no PostgreSQL.
pub fn hosts<const N: usize>() -> Option<(Database, [Host; N])> {
    let database = postgres()?.database();
    let hosts = std::array::from_fn(|n| Host::new(&database, &format!("host-{n}")));
    Some((database, hosts))
}

/// An instance with its copy.
pub struct Host {
    /// The directory of its copy, which lasts as long.
    _place: Option<Place>,
    file: PathBuf,
    pub seat: Seat,
    pub server: Server,
}

impl Host {
    pub fn new(database: &Database, name: &str) -> Self {
        let place = Place::new();
        let host = Self::at(&server(database), place.file(), name);
        Self {
            _place: Some(place),
            ..host
        }
    }

    /// With its copy in this file.
    pub fn at(server: &Server, file: PathBuf, name: &str) -> Self {
        let instance = Instance::new(name.to_owned(), "0", "same".to_owned()).unwrap();
        Self {
            seat: Seat::new(server.clone(), &file, instance, at(0)).unwrap(),
            _place: None,
            file,
            server: server.clone(),
        }
    }

    pub fn file(&self) -> PathBuf {
        self.file.clone()
    }

    pub fn look(&mut self) -> LeaseView {
        self.seat.look(at(0)).unwrap().0
    }

    /// Takes the lease from whoever has it.
    pub fn take(&mut self) -> Opened {
        let pulse = self.look().pulse;
        let taken = self.seat.take(pulse, at(0)).unwrap().unwrap();
        let lease = self
            .seat
            .keep(&taken, Arc::new(SystemClock::new()))
            .unwrap();
        let (server, kind) = (self.server.clone(), EndpointKind::Sandbox);
        Store::open_shared(server, &self.file(), kind, at(0), Some((lease, taken))).unwrap()
    }

    /// Takes the lease, and records a first run.
    pub async fn begin(&mut self) -> Store {
        let store = self.take().store;
        let due = change(run("dw", 0, RunState::Due));
        store.commit(vec![due]).await.unwrap();
        store
    }
}

pub fn change(run: redkeep::run::Run) -> Change {
    Change::Run(Box::new(run))
}

/// Everything that a history is made of, with ended, open and changed runs.
fn commits() -> Vec<Vec<Change>> {
    let states = (0..).zip(states());
    let runs = states.map(|(n, state)| change(run("dw", n * 60, state)));
    let mut ended = run("dw", 60_000, RunState::Ended(Outcome::Available));
    let open = run("dw", 60_000, RunState::Due);
    let mut later = ended.clone();
    later.gone = gone(70_000, GoneReason::Pruned);
    ended.message = Some("a \"quoted\" \\ text, ä, \u{1F5FF}, a\ttab and\na line".to_owned());
    vec![
        vec![
            Change::Pair(pair("dw"), pair_state()),
            Change::Missed(missed_range("dw", 0, 200)),
        ],
        runs.collect(),
        vec![change(open), change(second_run("fin", 5))],
        vec![change(ended)],
        vec![change(later), Change::Missed(missed_range("dw", 0, 300))],
        vec![Change::Account(
            "prod".parse().unwrap(),
            "111122223333".to_owned(),
        )],
    ]
}

/// The rows of every table of a history, by table, without what tells one installation from another.
pub fn rows(file: &std::path::Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let tables =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('replica', 'meta')
        AND name NOT LIKE 'sqlite%' ORDER BY name";
    let mut tables = connection.prepare(tables).unwrap();
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut all = Vec::new();
    for table in tables {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM \"{table}\""))
            .unwrap();
        let width = statement.column_count();
        let mut found = statement.query([]).unwrap();
        let mut rows = Vec::new();
        while let Some(row) = found.next().unwrap() {
            let values = (0..width).map(|n| row.get::<_, rusqlite::types::Value>(n).unwrap());
            rows.push(format!("{table}: {:?}", values.collect::<Vec<_>>()));
        }
        rows.sort();
        all.extend(rows);
    }
    all
}

#[tokio::test]
async fn a_shared_history_has_the_rows_of_one_of_its_own_on_every_host() {
    let Some((database, [mut first, mut second])) = hosts() else {
        return;
    };
    let own = Place::new();
    let (shared, alone) = (first.take().store, own.open().store);
    for changes in commits() {
        let stay = shared.commit(changes.clone()).await.unwrap();
        assert_eq!(stay, alone.commit(changes).await.unwrap());
    }
    second.look();
    assert_eq!(rows(&first.file()), rows(&own.file()));
    assert_eq!(rows(&second.file()), rows(&own.file()));
    // A copy that is made only now has the same.
    let mut third = Host::new(&database, "c");
    third.look();
    assert_eq!(rows(&third.file()), rows(&own.file()));
}

#[tokio::test]
async fn three_instances_share_two_connections_of_pgbouncer() {
    let Some(postgres) = postgres() else { return };
    let direct = postgres.database();
    let Some(port) = pgbouncer(&direct) else {
        return;
    };
    let through = Database {
        ports: vec![port],
        name: direct.name.clone(),
    };
    let mut hosts: Vec<Host> = (0..3)
        .map(|n| Host::new(&through, &format!("h{n}")))
        .collect();
    let store = hosts[0].take().store;
    for changes in commits() {
        store.commit(changes).await.unwrap();
    }
    let wanted = rows(&hosts[0].file());
    for host in &mut hosts[1..] {
        host.look();
        assert_eq!(rows(&host.file()), wanted);
    }
    let next = hosts[1].take();
    let late = vec![change(run("dw", 99_000, RunState::Due))];
    assert!(store.commit(late.clone()).await.is_err());
    next.store.commit(late).await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_is_refused_beyond_this_machine() {
    let Some(postgres) = postgres() else { return };
    let database = postgres.database();
    let mut server = server(&database);
    // This machine, written so that nothing tells it is.
    server.database.hosts = vec![("127.1".to_owned(), database.ports[0])];
    assert!(!server.database.is_here());
    let place = Place::new();
    let instance = Instance::new("a".to_owned(), "0", "same".to_owned()).unwrap();
    let mut seat = Seat::new(server, &place.file(), instance, at(0)).unwrap();
    let refused = seat.look(at(0)).unwrap_err();
    assert!(refused.to_string().contains("TLS"), "{refused}");
}

#[tokio::test]
async fn the_same_commit_twice_counts_once() {
    let Some((_, [mut host])) = hosts() else {
        return;
    };
    let store = host.take().store;
    let changes: Vec<Change> = commits().into_iter().flatten().collect();
    store.commit(changes.clone()).await.unwrap();
    let before = rows(&host.file());
    store.commit(changes).await.unwrap();
    assert_eq!(rows(&host.file()), before);
}

#[tokio::test]
async fn one_that_has_lost_the_lease_writes_nothing_and_learns_of_it() {
    let Some((database, [mut first, mut second])) = hosts() else {
        return;
    };
    let old = first.take().store;
    let first_commit = vec![change(run("dw", 0, RunState::Due))];
    old.commit(first_commit).await.unwrap();
    assert!(old.is_trusted());
    let opened = second.take();
    assert_eq!(opened.history.open().count(), 1, "the one before wrote it");
    let late = vec![change(run("dw", 60, RunState::Due))];
    let refused = old.commit(late.clone()).await.unwrap_err();
    assert!(matches!(refused, StoreError::LeaseLost), "{refused}");
    assert!(!old.is_trusted());
    old.lost().await;
    assert_eq!(database.sql("SELECT count(*) FROM redkeep.runs"), "1");
    opened.store.commit(late).await.unwrap();
    assert_eq!(database.sql("SELECT max(epoch) FROM redkeep.runs"), "2");
}

#[tokio::test]
async fn what_a_person_asks_for_elsewhere_reaches_the_holder_between_its_commits() {
    let Some((database, [mut first, second])) = hosts() else {
        return;
    };
    let store = first.take().store;
    store.requests().await.unwrap();
    let mut inbox = Inbox::open_shared(&second.file(), second.server.clone()).unwrap();
    inbox.pause(&"nightly".parse().unwrap(), at(5)).unwrap();
    // The holder's copy is behind now; what it writes is made anew on the newer one.
    store
        .commit(vec![change(run("dw", 0, RunState::Due))])
        .await
        .unwrap();
    let pauses = database.sql("SELECT policy, paused_at FROM redkeep.pauses");
    assert_eq!(pauses, "nightly|2026-11-24T00:00:05Z");
    let history = Reader::open(&first.file()).unwrap().history().unwrap();
    let nightly = "nightly".parse().unwrap();
    assert_eq!(history.pauses.since(&nightly), Some(at(5)));
    // What the commit took in on its way is heard all the same.
    let heard = store.requests().await.unwrap().unwrap();
    assert_eq!(heard.pauses.since(&nightly), Some(at(5)));
}

#[tokio::test]
async fn what_leaves_the_history_leaves_every_copy() {
    let Some((_, [mut first, mut second])) = hosts() else {
        return;
    };
    let store = first.take().store;
    for changes in commits() {
        store.commit(changes).await.unwrap();
    }
    second.look();
    let kept = Retention::from_days(1).unwrap();
    let tidied = store.tidy(kept, at(86_400 * 400)).await.unwrap();
    assert!(tidied.rows > 0, "{tidied:?}");
    second.look();
    assert_eq!(rows(&second.file()), rows(&first.file()));
    let totals = Reader::open(&second.file()).unwrap().history().unwrap();
    let counted: u64 = totals
        .totals
        .values()
        .map(|one| one.of(OutcomeKind::Available))
        .sum();
    assert!(counted > 0, "the totals stay");
}

#[tokio::test]
async fn a_copy_of_a_server_that_was_set_back_is_made_anew() {
    let Some((database, [mut first, mut second])) = hosts() else {
        return;
    };
    let store = first.take().store;
    for n in 0..3 {
        store
            .commit(vec![change(run("dw", n * 60, RunState::Due))])
            .await
            .unwrap();
    }
    second.look();
    // As after a failover that lost the last commits, and others since.
    database.sql(
        "DELETE FROM redkeep.runs WHERE scheduled_at > '2026-11-24T00:00:30Z';
         UPDATE redkeep.commits SET id = 'another' WHERE change = (SELECT changes FROM redkeep.leases)",
    );
    second.look();
    let runs = Reader::open(&second.file())
        .unwrap()
        .runs(&RunFilter::default());
    assert_eq!(runs.unwrap().len(), 1);
    // One that stands by has noticed it, and who works hears of it.
    let began = std::time::Instant::now();
    loop {
        let heard = store.requests().await.unwrap();
        if heard.is_some_and(|heard| heard.rebuilt_at == Some(at(0))) {
            break;
        }
        assert!(began.elapsed().as_secs() < 10, "nobody has heard of it");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn nothing_is_written_of_a_copy_whose_server_was_set_back_and_has_come_as_far_again() {
    let Some((database, [mut first])) = hosts() else {
        return;
    };
    let store = first.take().store;
    for n in 0..3 {
        let due = change(run("dw", n * 60, RunState::Due));
        store.commit(vec![due]).await.unwrap();
    }
    // The count is the one that the holder knows; only the last change's id tells that its rows are gone.
    database.sql(
        "DELETE FROM redkeep.runs WHERE scheduled_at > '2026-11-24T00:00:30Z';
         UPDATE redkeep.commits SET id = 'another' WHERE change = (SELECT changes FROM redkeep.leases)",
    );
    let due = change(run("dw", 180, RunState::Due));
    store.commit(vec![due]).await.unwrap();
    let there = database.sql("SELECT count(*) FROM redkeep.runs");
    let here = Reader::open(&first.file())
        .unwrap()
        .runs(&RunFilter::default());
    assert_eq!(here.unwrap().len().to_string(), there);
    assert_eq!(there, "2", "the row that was left, and the new one");
}

#[tokio::test]
async fn a_term_whose_records_are_refused_gives_no_sign_that_they_are_whole() {
    let Some((database, [mut host])) = hosts() else {
        return;
    };
    let store = host.begin().await;
    let last_sign = || database.sql("SELECT renewed_at FROM redkeep.terms");
    let renewals = || database.sql("SELECT renewals FROM redkeep.leases");
    database.sql("ALTER TABLE redkeep.runs ADD CONSTRAINT none CHECK (false) NOT VALID");
    let due = || vec![change(run("dw", 60, RunState::Due))];
    store.commit(due()).await.unwrap_err();
    let (sign, before) = (last_sign(), renewals());
    let renewed = async |signs: bool| {
        let began = std::time::Instant::now();
        while renewals() == before || (last_sign() != sign) != signs {
            assert!(began.elapsed().as_secs() < 15, "{} {sign}", last_sign());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    renewed(false).await;
    database.sql("ALTER TABLE redkeep.runs DROP CONSTRAINT none");
    store.commit(due()).await.unwrap();
    renewed(true).await;
}

#[tokio::test]
async fn a_copy_of_another_history_is_made_anew_and_nothing_was_lost() {
    let (Some((_, [mut first])), Some((database, [mut second]))) = (hosts(), hosts()) else {
        return;
    };
    for (host, seconds) in [(&mut first, 0), (&mut second, 60)] {
        let due = change(run("dw", seconds, RunState::Due));
        host.take().store.commit(vec![due]).await.unwrap();
    }
    let mut moved = Host::at(&second.server, first.file(), "moved");
    moved.look();
    assert_eq!(rows(&moved.file()), rows(&second.file()));
    let noted = "SELECT count(*) FROM redkeep.meta WHERE key = 'rebuilt_at'";
    assert_eq!(database.sql(noted), "0");
}

#[tokio::test]
async fn a_backup_that_is_put_back_ends_the_term() {
    let Some((database, [mut host])) = hosts() else {
        return;
    };
    let store = host.take().store;
    for n in 0..3 {
        let one = vec![change(run("dw", n * 60, RunState::Due))];
        store.commit(one).await.unwrap();
    }
    database.sql(
        "DELETE FROM redkeep.runs WHERE scheduled_at > '2026-11-24T00:01:30Z';
         DELETE FROM redkeep.commits WHERE change = (SELECT changes FROM redkeep.leases);
         UPDATE redkeep.leases SET changes = changes - 1",
    );
    let began = std::time::Instant::now();
    while store.is_trusted() {
        assert!(began.elapsed().as_secs() < 15, "nobody has noticed");
        store.requests().await.unwrap();
        tokio::task::yield_now().await;
    }
    store.lost().await;
    let opened = host.take();
    assert!(opened.history.rebuilt_at.is_some(), "nothing is deleted");
}

#[tokio::test]
async fn a_database_without_its_lease_is_an_error_and_no_endless_work() {
    let Some((database, [mut host])) = hosts() else {
        return;
    };
    drop(host.take());
    let mut inbox = Inbox::open_shared(&host.file(), host.server.clone()).unwrap();
    database.sql("DELETE FROM redkeep.leases");
    let refused = inbox.pause(&"nightly".parse().unwrap(), at(5)).unwrap_err();
    assert!(
        matches!(refused, StoreError::Unreachable { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn an_ended_run_stays_also_for_people_with_sql() {
    let Some((database, [mut host])) = hosts() else {
        return;
    };
    let store = host.take().store;
    let ended = run("dw", 0, RunState::Ended(Outcome::Available));
    store.commit(vec![change(ended)]).await.unwrap();
    let said = database.said("UPDATE redkeep.runs SET state = 'failed', reason = 'x'");
    assert!(said.contains("an ended run stays as it is"), "{said}");
}

#[tokio::test]
async fn the_lease_goes_to_one_of_many() {
    let Some(postgres) = postgres() else { return };
    let database = postgres.database();
    let mut hosts: Vec<Host> = (0..4)
        .map(|n| Host::new(&database, &format!("h{n}")))
        .collect();
    let pulses: Vec<_> = hosts.iter_mut().map(|host| host.look().pulse).collect();
    let taken = hosts.iter_mut().zip(pulses);
    let taken: Vec<bool> = taken
        .map(|(host, pulse)| host.seat.take(pulse, at(0)).unwrap().is_some())
        .collect();
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
}

#[tokio::test]
async fn trouble_with_the_copy_alone_is_no_trouble_of_the_database() {
    let Some((_, [mut first, mut second])) = hosts() else {
        return;
    };
    let store = first.take().store;
    second.look();
    store.commit(commits().remove(2)).await.unwrap();
    let person = rusqlite::Connection::open(second.file()).unwrap();
    person.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let behind = rows(&first.file()).len();
    let view = second.look();
    assert_eq!(view.name, "host-0", "the lease is seen all the same");
    person.execute_batch("COMMIT").unwrap();
    second.look();
    assert_eq!(rows(&second.file()).len(), behind);
}

#[tokio::test]
async fn questions_without_an_answer_leave_nothing_behind_in_the_server() {
    let Some((database, [mut first, second])) = hosts() else {
        return;
    };
    let store = first.take().store;
    store.commit(commits().remove(2)).await.unwrap();
    let person = database.person("LOCK TABLE redkeep.leases");
    let began = std::time::Instant::now();
    let mut asked = 0;
    while began.elapsed().as_secs() < 14 {
        let (file, server) = (second.file(), second.server.clone());
        // Each asks on a connection of its own, as commands do.
        let pausing = std::thread::spawn(move || {
            Inbox::open_shared(&file, server)
                .and_then(|mut inbox| inbox.pause(&"nightly".parse().unwrap(), at(5)))
        });
        pausing.join().unwrap().unwrap_err();
        asked += 1;
    }
    assert!(asked >= 2, "{asked}");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting: usize = database.sql(waiting).parse().unwrap();
    // One of the lease's thread may be under way.
    assert!(waiting <= 1, "{waiting} wait in the server");
    person.leave();
}

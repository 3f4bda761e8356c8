//! The daemon is killed around every delivery: before a receiver has read a message, when it has and has not answered, when
//! it has answered and that may not be recorded, at the start and whenever. Every message arrives, under one id.
//!
//! `REDKEEP_KILLS` asks for more kills than the 300 of every build.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::deadline::Deadline;
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::{Daemon, Dir, EACH_TWO_SECONDS, Sandbox, eventually};

/// Where the kill comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    /// Within milliseconds of the start.
    Start,
    /// A message has arrived, and is not answered.
    Arrived,
    /// The receiver has closed the connection in the place of an answer.
    Closed,
    /// It was answered, and that may be recorded or not.
    Answered,
    /// The receiver fails, and the attempt may be recorded or not.
    Failed,
    /// Whenever.
    Random,
}

const POINTS: [Point; 6] = [
    Point::Start,
    Point::Arrived,
    Point::Closed,
    Point::Answered,
    Point::Failed,
    Point::Random,
];

/// One daemon and its receiver.
struct Host {
    dir: Dir,
    daemon: Daemon,
    receiver: Receiver,
    reached: BTreeMap<Point, u32>,
    kills: u64,
}

impl Host {
    fn start(sandbox: &Sandbox) -> Self {
        let (dir, receiver) = (Dir::new(), Receiver::start());
        let table = format!(
            "[[notify]]\nname = \"hc\"\nkind = \"healthchecks\"\nurl = \"{}\"\npolicies = [\"often\"]\n",
            receiver.url("")
        );
        let daemon = Daemon::start(&dir, &sandbox.url, &format!("{EACH_TWO_SECONDS}{table}"));
        Self {
            dir,
            daemon,
            receiver,
            reached: BTreeMap::new(),
            kills: 0,
        }
    }

    fn suffer(&mut self) {
        let number = self.kills as usize;
        let point = POINTS[number % POINTS.len()];
        let is_reached = match point {
            Point::Start => {
                std::thread::sleep(Duration::from_millis((number * 7 % 40) as u64));
                true
            }
            Point::Random => {
                std::thread::sleep(Duration::from_millis((number * 137 % 1_500) as u64));
                true
            }
            Point::Arrived => self.at_next(Some(Behaviour::Hang), 0),
            Point::Closed => self.at_next(Some(Behaviour::Close), number % 5),
            Point::Failed => self.at_next(Some(Behaviour::Answer(500, "")), number % 5),
            Point::Answered => self.at_next(None, number % 5),
        };
        self.daemon.kill_9();
        self.kills += 1;
        *self.reached.entry(point).or_default() += u32::from(is_reached);
        self.daemon.restart(&self.dir);
    }

    /// Has the receiver treat the next message in this way, and waits for it and a moment longer.
    fn at_next(&self, behaviour: Option<Behaviour>, milliseconds: usize) -> bool {
        let before = self.receiver.got().len();
        self.receiver.always(behaviour);
        let began = Instant::now();
        let mut came = false;
        while !came && began.elapsed() < Duration::from_secs(6) {
            std::thread::sleep(Duration::from_millis(1));
            came = self.receiver.got().len() > before;
        }
        std::thread::sleep(Duration::from_millis(milliseconds as u64));
        self.receiver.always(None);
        came
    }

    /// Every message of the history was taken, under its id; every end of a run has one.
    fn judge(&mut self) {
        eventually("nothing waits", Duration::from_secs(90), || {
            super::pending(&self.daemon).len() < 2
        });
        self.daemon.process.signal("-TERM");
        assert_eq!(
            self.daemon.process.exit_code(Duration::from_secs(25)),
            Some(0)
        );
        let history = Connection::open(self.dir.0.join("state/history.db")).unwrap();
        let ids = |sql: &str| -> BTreeSet<String> {
            let mut statement = history.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let delivered = ids("SELECT id FROM outbox WHERE ended_at IS NOT NULL");
        let all = ids("SELECT id FROM outbox");
        let taken = self.receiver.taken();
        let taken: BTreeSet<String> = { taken.iter() }
            .map(|one| one.header("idempotency-key").unwrap().to_owned())
            .collect();
        let lost: Vec<&String> = delivered.difference(&taken).collect();
        assert!(
            lost.is_empty(),
            "said to be delivered and never taken: {lost:?}"
        );
        let unknown: Vec<&String> = taken.difference(&all).collect();
        assert!(unknown.is_empty(), "taken and in no outbox: {unknown:?}");
        // What has ended was told once: good ones as a success, the others as a failure.
        let untold = "
            SELECT count(*) FROM runs WHERE state IN ('available', 'failed', 'missed')
                AND coalesce(reason, '') <> 'overlap' AND 1 <> (
                    SELECT count(*) FROM outbox WHERE event = 'run' AND state IN ('begun', 'over')
                    AND json_extract(content, '$.scheduled_at') = runs.scheduled_at)";
        let untold: i64 = history.query_row(untold, [], |row| row.get(0)).unwrap();
        assert_eq!(untold, 0, "runs that ended without a message, or with two");
        let log = self.daemon.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn every_message_arrives_under_one_id_however_often_the_daemon_is_killed() {
    let kills = std::env::var("REDKEEP_KILLS").map_or(300, |text| text.parse::<u64>().unwrap());
    Deadline::allow(Duration::from_secs((kills * 3).max(900)));
    let hosts: Vec<(Sandbox, Host)> = (0..5)
        .map(|_| {
            let sandbox = Sandbox::of(&["dw"]);
            let host = Host::start(&sandbox);
            (sandbox, host)
        })
        .collect();
    let reached = std::thread::scope(|scope| {
        let threads: Vec<_> = hosts
            .into_iter()
            .map(|(sandbox, mut host)| {
                scope.spawn(move || {
                    while host.kills < kills.div_ceil(5) {
                        if host.kills % 7 == 3 {
                            super::fail(&sandbox, 1);
                        }
                        host.suffer();
                    }
                    host.judge();
                    host.reached
                })
            })
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(Result::unwrap).collect::<Vec<_>>()
    });
    for point in POINTS {
        let hit: u32 = reached.iter().filter_map(|one| one.get(&point)).sum();
        assert!(hit > 0, "{point:?} was never reached");
        eprintln!("{point:?}: {hit}");
    }
}

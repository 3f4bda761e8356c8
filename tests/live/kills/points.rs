//! The points at which a daemon is killed. There are no hooks in the product: the proxy between it and the sandbox
//! holds the exchange that marks the point.

use std::net::TcpStream;
use std::time::Duration;

use super::host::Host;
use crate::support::eventually;
use crate::support::proxy::{Exchange, Held, Stage};

/// Where the kill comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Within milliseconds of the start.
    Start,
    /// At the first request of its life, which is not forwarded.
    FirstRequest,
    /// After intent, before AWS has the request, which is lost.
    Intent,
    /// The same, but AWS gets the request when the next life has begun.
    Underway,
    /// AWS has accepted, and the answer does not arrive.
    Accepted,
    /// The answer has arrived and may or may not have been recorded.
    Recorded,
    /// In doubt: the look for the identifier is on its way.
    Doubt,
    /// In the middle of a listing.
    PageTwo,
    /// A listing has been answered, and its answer is not passed on.
    Listed,
    /// During a reload.
    Reload,
    /// While calls in flight are let end after SIGTERM.
    Drain,
    /// Whenever.
    Random,
}

pub const POINTS: [Point; 12] = [
    Point::Start,
    Point::FirstRequest,
    Point::Intent,
    Point::Underway,
    Point::Accepted,
    Point::Recorded,
    Point::Doubt,
    Point::PageTwo,
    Point::Listed,
    Point::Reload,
    Point::Drain,
    Point::Random,
];

/// How long a point is waited for; the weather may keep a daemon from ever coming there.
const PATIENCE: Duration = Duration::from_secs(7);

fn is_create(exchange: &Exchange) -> bool {
    exchange.is("CreateClusterSnapshot")
}

fn is_look(exchange: &Exchange) -> bool {
    exchange.is("DescribeClusterSnapshots") && !exchange.get("SnapshotIdentifier").is_empty()
}

fn is_page_two(exchange: &Exchange) -> bool {
    exchange.is("DescribeClusterSnapshots") && !exchange.get("Marker").is_empty()
}

fn is_listing(exchange: &Exchange) -> bool {
    exchange.is("DescribeClusterSnapshots") && exchange.get("SnapshotIdentifier").is_empty()
}

impl Host {
    /// Kills the daemon at `point` and starts it anew; whether the point was reached.
    pub fn kill_at(&mut self, point: Point) -> bool {
        match point {
            Point::Start => self.kill_after(40),
            Point::Random => self.kill_after(2_500),
            Point::Reload => self.kill_in_reload(),
            Point::Drain => self.kill_in_drain(),
            Point::Underway => self.kill_with_a_request_underway(),
            Point::Doubt => self.kill_in_doubt(),
            Point::FirstRequest => self.kill_holding(Stage::Arrived, |_| true),
            Point::Intent => self.kill_holding(Stage::Arrived, is_create),
            Point::Accepted => self.kill_holding(Stage::Answered, is_create),
            Point::Recorded => self.kill_holding(Stage::Delivered, is_create),
            Point::PageTwo => self.kill_holding(Stage::Arrived, is_page_two),
            Point::Listed => self.kill_holding(Stage::Answered, is_listing),
        }
    }

    fn kill_after(&mut self, milliseconds: u64) -> bool {
        std::thread::sleep(self.dice.up_to(milliseconds));
        self.kill_and_start();
        true
    }

    fn hold(&self, stage: Stage, matches: fn(&Exchange) -> bool) -> Option<Held> {
        self.proxy
            .stop_at(stage, matches)
            .recv_timeout(PATIENCE)
            .ok()
    }

    /// The exchange that is held dies with the daemon.
    fn kill_holding(&mut self, stage: Stage, matches: fn(&Exchange) -> bool) -> bool {
        let held = self.hold(stage, matches);
        if stage == Stage::Delivered {
            std::thread::sleep(self.dice.up_to(3));
        }
        self.kill_and_start();
        held.is_some()
    }

    fn kill_with_a_request_underway(&mut self) -> bool {
        let held = self.hold(Stage::Arrived, is_create);
        self.kill_and_start();
        std::thread::sleep(self.dice.up_to(1_500));
        let reached = held.map(Held::go_on).is_some();
        // The next point is to find an exchange of the new life.
        std::thread::sleep(Duration::from_millis(50));
        reached
    }

    fn kill_in_doubt(&mut self) -> bool {
        // The doubt is there already, or comes with the next answer that gets lost.
        let look = self.proxy.stop_at(Stage::Arrived, is_look);
        let lost = self.proxy.stop_at(Stage::Answered, is_create);
        let mut held = look.recv_timeout(Duration::from_millis(300)).ok();
        if held.is_none() {
            drop(lost.recv_timeout(PATIENCE));
            held = look.recv_timeout(PATIENCE).ok();
        }
        self.kill_and_start();
        held.is_some()
    }

    /// From then on the file has been read and signals are heeded.
    fn wait_until_it_listens(&self) {
        eventually("it listens", Duration::from_secs(60), || {
            TcpStream::connect(self.daemon.listen).is_ok()
        });
    }

    fn kill_in_reload(&mut self) -> bool {
        self.wait_until_it_listens();
        self.edition += 1;
        let whole = self.policy_file();
        // Every third time the file is broken; the next start finds it whole again.
        let is_broken = self.edition.is_multiple_of(3);
        let end = if is_broken { "[[policy]\nbro" } else { "" };
        std::fs::write(&self.daemon.config, format!("{whole}{end}")).unwrap();
        self.daemon.process.signal("-HUP");
        std::thread::sleep(self.dice.up_to(30));
        self.kill();
        std::fs::write(&self.daemon.config, whole).unwrap();
        self.restart();
        true
    }

    fn kill_in_drain(&mut self) -> bool {
        let held = self.hold(Stage::Answered, is_create);
        let reached = held.is_some();
        if reached {
            self.wait_until_it_listens();
            self.daemon.process.signal("-TERM");
            std::thread::sleep(self.dice.up_to(40));
        }
        if self.dice.below(2) == 0 {
            held.into_iter().for_each(Held::go_on);
            std::thread::sleep(self.dice.up_to(5));
        }
        self.kill_and_start();
        reached
    }
}

//! A server whose place another one takes: with all that was committed, without the last of it, and one that takes no writes
//! for a while.

use std::time::Instant;

use super::host::{Host, Shared, WORKS, assert_one_of_each, until};
use super::server::Pair;
use crate::support::{EACH_TWO_SECONDS, MINUTE, assert_prompt, eventually};

const REBUILT: &str = "SELECT count(*) FROM redkeep.meta WHERE key = 'rebuilt_at'";

/// Waits until so many more runs are recorded than now.
fn until_recorded(shared: &Shared, more: usize) {
    let now = shared.database.sql("SELECT count(*) FROM redkeep.runs");
    let wanted = format!("SELECT count(*) >= {now} + {more} FROM redkeep.runs");
    until(&shared.database, 40, &wanted, "t");
}

/// Waits until so many more snapshots are there than now.
fn until_taken(shared: &Shared, more: usize, host: &Host) {
    let before = shared.sandbox.snapshots().len();
    eventually(&host.log(), MINUTE, || {
        shared.sandbox.snapshots().len() >= before + more
    });
}

/// Two instances on two servers: the first has taken snapshots, and the second stands by.
fn at_work(of: Option<(Pair, super::server::Database)>) -> Option<(Pair, Shared, [Host; 2])> {
    let (pair, database) = of?;
    let shared = Shared::on(database, &["dw"]);
    let works = shared.host("works", EACH_TWO_SECONDS);
    until(&shared.database, 60, WORKS, "works");
    let hosts = [works, shared.host("stands-by", EACH_TWO_SECONDS)];
    let taken = "SELECT count(*) > 2 FROM redkeep.runs WHERE state = 'available'";
    until(&shared.database, 60, taken, "t");
    Some((pair, shared, hosts))
}

#[test]
fn a_server_that_hangs_is_left_for_its_promoted_follower_within_the_term() {
    let Some((pair, mut shared, hosts)) = at_work(Pair::start()) else {
        return;
    };
    // As of a machine that stands still: connections are accepted, and nothing is ever said.
    for host in &hosts {
        host.ways[0].freeze();
    }
    let began = Instant::now();
    pair.promote();
    shared.database.ports = vec![pair.second.port];
    until_recorded(&shared, 1);
    let took = began.elapsed();
    assert!(took.as_secs() < 25, "nothing was recorded for {took:?}");
    assert_one_of_each(&shared.database, &shared.sandbox);
    assert_prompt(hosts[0].json(&["history"]).iter());
    let epoch = shared.database.sql("SELECT epoch FROM redkeep.leases");
    assert_eq!(epoch, "1", "one term");
    assert_eq!(shared.database.sql(REBUILT), "0", "nothing was lost");
}

#[test]
fn a_promotion_that_loses_commits_is_noticed_and_what_was_taken_is_recorded_again() {
    let Some((mut pair, mut shared, hosts)) = at_work(Pair::start_follower_first()) else {
        return;
    };
    pair.first.set("synchronous_standby_names", "");
    pair.replication.cut();
    until_recorded(&shared, 3);
    pair.kill_first();
    pair.promote();
    shared.database.ports = vec![pair.second.port];
    until(&shared.database, 60, REBUILT, "1");
    let all = format!(
        "SELECT count(*) >= {} FROM redkeep.runs WHERE snapshot_id IS NOT NULL",
        shared.sandbox.snapshots().len()
    );
    until(&shared.database, 60, &all, "t");
    assert_one_of_each(&shared.database, &shared.sandbox);
    assert!(hosts[0].run(&["prune", "--acknowledge"]).status.success());
    assert_eq!(shared.database.sql(REBUILT), "0");
    until_recorded(&shared, 2);
    assert_eq!(shared.database.sql(REBUILT), "0", "it is told once");
}

#[test]
fn while_the_server_takes_no_writes_snapshots_go_on_and_are_recorded_later() {
    let Some((pair, shared, [host, other])) = at_work(Pair::start()) else {
        return;
    };
    drop(other);
    pair.first.set("default_transaction_read_only", "on");
    until_taken(&shared, 4, &host);
    let ready = host.http("/readyz");
    assert_eq!(ready.status, 503, "{}", ready.body);
    pair.first.set("default_transaction_read_only", "off");
    let snapshots = shared.sandbox.snapshots().len();
    let all = format!("SELECT count(*) >= {snapshots} FROM redkeep.runs");
    until(&shared.database, 60, &all, "t");
    assert_one_of_each(&shared.database, &shared.sandbox);
    assert_eq!(shared.database.sql(REBUILT), "0");
}

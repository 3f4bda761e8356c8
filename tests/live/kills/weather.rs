//! Bad weather: faults, paused clusters and wrong clocks, drawn anew every second or so.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::dice::Dice;
use super::{OURS, SETUPS};
use crate::support::Sandbox;

/// What strikes a call; those of create calls alone are in `ON_CREATE`.
const ON_ANY: [&str; 13] = [
    r#"{"kind":"error","code":"Throttling","message":"Rate exceeded"}"#,
    r#"{"kind":"error","code":"RequestLimitExceeded","status":503}"#,
    r#"{"kind":"error","code":"InternalFailure","status":500}"#,
    r#"{"kind":"error","code":"ServiceUnavailable","status":503}"#,
    r#"{"kind":"error","code":"ExpiredToken","status":403}"#,
    r#"{"kind":"error","code":"AccessDenied","status":403}"#,
    r#"{"kind":"lost_reply"}"#,
    r#"{"kind":"reset"}"#,
    r#"{"kind":"hang"}"#,
    r#"{"kind":"truncate"}"#,
    r#"{"kind":"empty"}"#,
    r#"{"kind":"html","status":502}"#,
    r#"{"kind":"latency","milliseconds":400}"#,
];

const ON_CREATE: [&str; 5] = [
    r#"{"kind":"fail_snapshot","message":"the node was lost"}"#,
    r#"{"kind":"late_snapshot","seconds":2}"#,
    r#"{"kind":"lost_reply"}"#,
    r#"{"kind":"truncate"}"#,
    r#"{"kind":"error","code":"InvalidClusterState","message":"busy with something"}"#,
];

/// The sandbox's clock is never ahead: the SDK makes good for that, and what the sandbox makes then would take until
/// that future to complete.
const OFFSETS: [i32; 2] = [-1_200, -600];

/// From when to when the sandbox's clock was behind. What it had shown late is then ahead of its time, and not shown.
pub type WrongClocks = Mutex<Vec<[DateTime<Utc>; 2]>>;

/// Rages until it is over; the weather of the last moment stays.
pub fn rage(sandbox: &Sandbox, dice: &mut Dice, over: &AtomicBool, clocks: &WrongClocks) {
    while !over.load(Ordering::Relaxed) {
        match dice.below(12) {
            0 => {
                let from = Utc::now();
                with_a_wrong_clock(sandbox, dice);
                clocks.lock().unwrap().push([from, Utc::now()]);
            }
            1 => with_a_paused_cluster(sandbox, dice),
            _ => with_faults(sandbox, dice),
        }
    }
}

/// The sun comes out.
pub fn clear(sandbox: &Sandbox) {
    sandbox.control("DELETE", "/_sandbox/faults", "");
    sandbox.control("PUT", "/_sandbox/clock", r#"{"offset_seconds":0}"#);
}

fn with_faults(sandbox: &Sandbox, dice: &mut Dice) {
    let rules: Vec<String> = (0..=dice.below(3)).map(|_| rule(dice)).collect();
    sandbox.control("PUT", "/_sandbox/faults", &format!("[{}]", rules.join(",")));
    thread::sleep(Duration::from_millis(400) + dice.up_to(1_500));
}

fn rule(dice: &mut Dice) -> String {
    let region = dice.one_of(&SETUPS.each_ref().map(|setup| setup.region));
    let (times, after) = (1 + dice.below(4), dice.below(4));
    let (operation, fault) = match dice.below(6) {
        0 => ("DescribeClusterSnapshots", r#"{"kind":"loop_marker"}"#),
        1 => ("*", dice.one_of(&ON_ANY)),
        2 => ("DescribeClusterSnapshots", dice.one_of(&ON_ANY)),
        3 => ("CreateClusterSnapshot", dice.one_of(&ON_ANY)),
        _ => ("CreateClusterSnapshot", dice.one_of(&ON_CREATE)),
    };
    // Half of them strike everybody.
    let region = match dice.below(2) {
        0 => String::new(),
        _ => format!(r#""region":"{region}","#),
    };
    format!(
        r#"{{"operation":"{operation}",{region}"times":{times},"after":{after},"fault":{fault}}}"#
    )
}

fn with_a_wrong_clock(sandbox: &Sandbox, dice: &mut Dice) {
    let offset = dice.one_of(&OFFSETS);
    let set = |seconds: i32| {
        let body = format!(r#"{{"offset_seconds":{seconds}}}"#);
        sandbox.control("PUT", "/_sandbox/clock", &body);
    };
    set(offset);
    thread::sleep(Duration::from_millis(800) + dice.up_to(1_200));
    set(0);
}

fn with_a_paused_cluster(sandbox: &Sandbox, dice: &mut Dice) {
    let setup = &SETUPS[usize::try_from(dice.below(SETUPS.len() as u64)).unwrap()];
    let account = match setup.account {
        OURS => String::new(),
        other => format!(r#""account":"{other}","#),
    };
    let set = |status: &str| {
        let body = format!(
            r#"{{{account}"region":"{}","status":"{status}"}}"#,
            setup.region
        );
        sandbox.control("POST", "/_sandbox/clusters/dw-one/state", &body);
    };
    set("paused");
    thread::sleep(Duration::from_millis(500) + dice.up_to(2_000));
    set("available");
}

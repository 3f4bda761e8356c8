//! A test that hangs is ended, fails, and leaves no process behind.
//!
//! The two that hang are ignored but for the test that starts this program again with one of them.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use crate::support::deadline::Deadline;
use crate::support::{Dir, Process, finish};

fn child(dir: &Dir) -> std::process::Child {
    let child = Command::new("sleep").arg("100000").spawn().unwrap();
    dir.write("log", "the child's last words");
    let file = std::env::var("REDKEEP_TEST_CHILD").unwrap();
    std::fs::write(file, child.id().to_string()).unwrap();
    child
}

#[test]
#[ignore = "it hangs"]
fn waits_for_a_child_without_end() {
    Deadline::allow(Duration::from_secs(2));
    let dir = Dir::new();
    child(&dir).wait().unwrap();
}

#[test]
#[ignore = "it hangs"]
fn waits_for_a_thread_without_end() {
    Deadline::allow(Duration::from_secs(2));
    let dir = Dir::new();
    let _child = Process(child(&dir));
    thread::scope(|scope| {
        scope.spawn(thread::park);
    });
}

/// How the program of tests ends that runs only the test of this name.
fn ended(test: &str) -> (Output, String) {
    let dir = Dir::new();
    let file = dir.0.join("child");
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--ignored", "--exact", test]);
    let output = finish(program.env("REDKEEP_TEST_CHILD", &file));
    let child = std::fs::read_to_string(file).unwrap();
    let told = [&output.stdout[..], &output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    // One that nobody waits for stays in the table of processes, without memory.
    let memory = std::fs::read_to_string(Path::new("/proc").join(child).join("statm"));
    let is_alive = memory.is_ok_and(|memory| !memory.starts_with("0 "));
    assert!(!is_alive, "{told}");
    (output, told)
}

#[test]
fn a_test_that_waits_for_a_child_without_end_fails_with_the_childs_log() {
    let (output, told) = ended("hanging::waits_for_a_child_without_end");
    assert_eq!(output.status.code(), Some(101), "{told}");
    assert!(
        told.contains("waits_for_a_child_without_end: after"),
        "{told}"
    );
    assert!(told.contains("the child's last words"), "{told}");
    assert!(told.contains("test result: FAILED"), "{told}");
}

#[test]
fn a_test_that_no_ended_child_ends_takes_the_program_with_it() {
    let (output, told) = ended("hanging::waits_for_a_thread_without_end");
    assert_eq!(output.status.code(), Some(101), "{told}");
    assert!(told.contains("the child's last words"), "{told}");
    assert!(told.contains("does not end: this program ends"), "{told}");
}

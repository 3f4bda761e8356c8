//! Whoever reads the log of the real binary, or does not: nothing waits for that.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, in its helpers too"
)]

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::process::Running;
use crate::support::{
    Daemon, Dir, EACH_TWO_SECONDS, MINUTE, Process, REDKEEP, Sandbox, credentials, eventually,
    free_port, http, in_state,
};

/// Some 50 kB a second.
const TALKATIVE: &str = "trace,aws_config=trace,aws_runtime=trace,aws_sdk_redshift=trace,\
     aws_smithy_runtime=trace,hyper=trace,hyper_util=trace";

/// What an empty pipe takes on Linux.
const PIPE_BYTES: usize = 64 << 10;

/// A pipe that is full, as long as nobody reads.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[b'\n'; PIPE_BYTES]).unwrap();
    (reader, writer)
}

/// A daemon that logs into `log`, at the level that `RUST_LOG` says.
fn daemon(dir: &Dir, sandbox: &Sandbox, level: &str, log: impl Into<Stdio>) -> Daemon {
    let port = free_port();
    let config = dir.daemons_file(port, &sandbox.url, EACH_TWO_SECONDS);
    let mut command = Command::new(REDKEEP);
    let child = credentials(&mut command)
        .env("RUST_LOG", level)
        .args(["run", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Daemon {
        process: Process(child),
        config,
        listen: ([127, 0, 0, 1], port).into(),
        log: dir.write("log", "nobody reads it\n"),
    }
}

/// The count of lines that were dropped; 0 before the daemon answers.
fn dropped(daemon: &Daemon) -> u64 {
    if std::net::TcpStream::connect(daemon.listen).is_err() {
        return 0;
    }
    let metrics = daemon.metrics();
    let lines = metrics.lines();
    let mut values = lines.filter_map(|line| line.strip_prefix("redkeep_log_lines_dropped_total "));
    values.next_back().unwrap().parse().unwrap()
}

/// Slots go on, the daemon is ready, and SIGTERM ends it at once.
fn works_and_ends(mut daemon: Daemon) {
    let available = |daemon: &Daemon| in_state(&daemon.history(), "available").count();
    let before = available(&daemon);
    daemon.wait("three more snapshots", MINUTE, |rows| {
        in_state(rows, "available").count() >= before + 3
    });
    assert_eq!(http(daemon.listen, "GET", "/readyz", "").status, 200);
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(Duration::from_secs(5)), Some(0));
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_slot_and_no_sigterm() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("0", &["dw"], &[]));
    let (_nobody, log) = full_pipe();
    let daemon = daemon(&dir, &sandbox, "info", log);
    works_and_ends(daemon);
}

#[test]
fn what_nobody_reads_is_dropped_and_counted_and_told_when_somebody_reads_again() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("0", &["dw"], &[]));
    let (reader, log) = full_pipe();
    let daemon = daemon(&dir, &sandbox, TALKATIVE, log);
    eventually("lines are dropped", Duration::from_secs(180), || {
        dropped(&daemon) > 0
    });
    let told = std::thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map_while(Result::ok);
        let mut told = lines.filter(|line| line.contains("lines of the log were dropped"));
        told.next()
    });
    eventually("somebody is told", MINUTE, || told.is_finished());
    let told = told.join().unwrap().unwrap();
    let (_, lines) = told.rsplit_once("lines=").unwrap();
    let lines: u64 = lines.parse().unwrap();
    // More may have been dropped since.
    assert!(lines > 0 && lines <= dropped(&daemon), "{told}");
    // The reader is gone now, which is no other case.
    works_and_ends(daemon);
}

#[test]
fn a_log_whose_reader_is_gone_ends_nothing_and_each_line_counts_as_dropped() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("0", &["dw"], &[]));
    let (nobody, log) = pipe().unwrap();
    drop(nobody);
    let daemon = daemon(&dir, &sandbox, "info", log);
    eventually("lines are dropped", MINUTE, || dropped(&daemon) > 0);
    works_and_ends(daemon);
}

#[test]
fn a_take_whose_talk_nobody_reads_makes_its_snapshot_and_ends() {
    let (dir, sandbox) = (Dir::new(), Sandbox::taking("0", &["dw"], &[]));
    let config = dir.policy_file(&sandbox.url, EACH_TWO_SECONDS);
    let (_nobody, talk) = full_pipe();
    let mut command = Command::new(REDKEEP);
    let arguments = ["take", "--policy", "often", "--cluster", "dw", "--config"];
    credentials(&mut command).args(arguments).arg(&config);
    let output = Running::start_telling(&mut command, talk).output();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sandbox.snapshots().len(), 1);
}

//! Child processes that outlive neither their test nor their time.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a command may take that is to end by itself.
const PATIENCE: Duration = Duration::from_secs(180);

/// A child process that does not outlive its test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub fn exit_code(&mut self, within: Duration) -> Option<i32> {
        match self.ends(within) {
            Some(status) => status.code(),
            None => panic!("the process did not end within {within:?}"),
        }
    }

    /// `None` when it has not ended within that time.
    fn ends(&mut self, within: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            if started.elapsed() >= within {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A command that runs while the test goes on, and what it says.
pub struct Running {
    pub process: Process,
    what: String,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

impl Running {
    /// Starts a command whose output is wanted.
    pub fn start(command: &mut Command) -> Self {
        Self::start_telling(command, Stdio::piped())
    }

    /// The same for one whose stderr goes elsewhere.
    pub fn start_telling(command: &mut Command, stderr: impl Into<Stdio>) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap();
        Self {
            what: format!("{command:?}"),
            stdout: pieces(child.stdout.take()),
            stderr: pieces(child.stderr.take()),
            process: Process(child),
        }
    }

    /// Waits for its end.
    pub fn output(self) -> Output {
        self.output_within(PATIENCE)
    }

    pub fn output_within(mut self, within: Duration) -> Output {
        let status = self.process.ends(within);
        if status.is_none() {
            let _ = self.process.0.kill();
        }
        let [stdout, stderr] = [&self.stdout, &self.stderr].map(whole);
        let Some(status) = status else {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            panic!(
                "not ended within {within:?}: {}\n{}\n{}",
                self.what,
                text(&stdout),
                text(&stderr)
            );
        };
        Output {
            status,
            stdout,
            stderr,
        }
    }
}

/// Runs a command to its end; one that does not end within three minutes is killed, and the test fails.
pub fn finish(command: &mut Command) -> Output {
    Running::start(command.stdin(Stdio::null())).output()
}

/// The same for a command that reads this input; one that does not has closed it, and says so itself.
pub fn finish_with(command: &mut Command, input: &str) -> Output {
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let (mut pipe, input) = (running.process.0.stdin.take().unwrap(), input.to_owned());
    std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    running.output()
}

/// What comes out of a pipe, as it comes; nothing where there is none.
fn pieces(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    let Some(mut pipe) = pipe else {
        return receiver;
    };
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// All that a process has said that is over; a grandchild that lives on holds nothing up.
fn whole(pieces: &Receiver<Vec<u8>>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match pieces.recv_timeout(Duration::from_secs(5)) {
            Ok(piece) => all.extend(piece),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return all,
        }
    }
}

/// The first line of what a child says; `""` where it ends without, or says nothing for a minute.
pub fn first_line(child: &mut Child) -> String {
    let pieces = pieces(child.stdout.take());
    let (mut said, started) = (Vec::new(), Instant::now());
    while !said.contains(&b'\n') && started.elapsed() < Duration::from_secs(60) {
        match pieces.recv_timeout(Duration::from_secs(60)) {
            Ok(piece) => said.extend(piece),
            Err(_) => break,
        }
    }
    let said = String::from_utf8_lossy(&said);
    said.lines().next().unwrap_or_default().to_owned()
}

//! No test hangs.
//!
//! Owns: how long a test may take in all. A test that is not over by then loses its child processes, which ends whatever
//! waited for them, and fails; if that does not end it, the whole program of tests ends, with all children. Each wait has
//! a shorter limit of its own, with its own message: this is for the ones that somebody forgot.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests of the real binary live in real time"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a test may take, in seconds; the longest takes four minutes.
static LIMIT: AtomicU64 = AtomicU64::new(15 * 60);
/// How long it may take after that to fail by itself, at most.
const GRACE: Duration = Duration::from_secs(30);
/// So much of a child's log is shown.
const LOG_LINES: usize = 200;

static WATCHED: Mutex<Vec<Weak<Watched>>> = Mutex::new(Vec::new());
static WATCH: Once = Once::new();

/// Lasts as long as the test of the thread that began it.
pub struct Deadline(Arc<Watched>);

struct Watched {
    test: String,
    /// `PID/task/TID` of the thread, whose children are the test's.
    thread: PathBuf,
    /// Where the logs of its children are.
    dir: Option<PathBuf>,
    began: Instant,
    is_overdue: AtomicBool,
}

impl Deadline {
    /// Begins to watch the test of this thread; its children write their logs into `dir`.
    pub fn begin(dir: Option<&Path>) -> Self {
        WATCH.call_once(|| {
            std::thread::spawn(watch);
        });
        let watched = Arc::new(Watched {
            test: std::thread::current().name().unwrap_or("a test").to_owned(),
            thread: fs::read_link("/proc/thread-self").unwrap_or_default(),
            dir: dir.map(Path::to_owned),
            began: Instant::now(),
            is_overdue: AtomicBool::new(false),
        });
        all().push(Arc::downgrade(&watched));
        Self(watched)
    }

    /// Lets every test of this program take so long.
    pub fn allow(limit: Duration) {
        LIMIT.store(limit.as_secs(), Ordering::Relaxed);
    }

    /// What the children of the test have logged, the end of it.
    pub fn logs(&self) -> String {
        self.0.logs()
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let is_overdue = self.0.is_overdue.load(Ordering::Relaxed);
        assert!(
            !is_overdue || std::thread::panicking(),
            "the test took too long"
        );
    }
}

fn all() -> std::sync::MutexGuard<'static, Vec<Weak<Watched>>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let limit = Duration::from_secs(LIMIT.load(Ordering::Relaxed));
        let watched: Vec<_> = {
            let mut all = all();
            all.retain(|one| one.strong_count() > 0);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        for one in watched {
            one.judge(limit);
        }
    }
}

impl Watched {
    fn judge(&self, limit: Duration) {
        let took = self.began.elapsed();
        if took > limit && !self.is_overdue.swap(true, Ordering::Relaxed) {
            self.tell("is not over: its child processes are ended");
            end_children(&Path::new("/proc").join(&self.thread).join("children"));
        }
        if took > limit + GRACE.min(limit) {
            self.tell("does not end: this program ends, with all child processes");
            for task in tasks(std::process::id()) {
                end_children(&task);
            }
            std::process::exit(101);
        }
    }

    /// Past the harness, which shows nothing of a test that has not ended.
    fn tell(&self, what: &str) {
        use std::io::Write;
        let (test, seconds) = (&self.test, self.began.elapsed().as_secs());
        let text = format!("\n{test}: after {seconds} s it {what}\n{}", self.logs());
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn logs(&self) -> String {
        let files = self.dir.iter().filter_map(|dir| fs::read_dir(dir).ok());
        let mut paths: Vec<PathBuf> = files.flatten().flatten().map(|file| file.path()).collect();
        paths.retain(|path| path.file_name().is_some_and(|name| name == "log"));
        let texts = paths.iter().filter_map(|path| {
            let text = fs::read(path).ok()?;
            Some(format!("{}:\n{}\n", path.display(), end_of(&text)))
        });
        texts.collect()
    }
}

fn end_of(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// The file `children` of each thread of a process.
fn tasks(pid: u32) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.map(|task| task.path().join("children")).collect()
}

/// Ends the processes that the file names, and theirs first.
fn end_children(file: &Path) {
    let children = fs::read_to_string(file).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
        for task in tasks(child) {
            end_children(&task);
        }
        end(child);
    }
}

/// Ends one process that has not been waited for.
pub fn end(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // It may have ended by itself.
    let _ = pid.map(|pid| kill_process(pid, Signal::Kill));
}

//! A run's progress, for the person who watches it.
//!
//! Owns: a bar on a terminal, and one line for each change of state elsewhere; both on stderr. Never asks
//! anything: it shows what the history has. Never waits for the terminal, which a person may have stopped: the command
//! that shows this may be what takes the snapshot.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::logging::{one_line, say};
use crate::run::Run;
use crate::told::transfer::Transfer;

/// What is shown of a run.
pub(super) enum Progress {
    /// On a terminal.
    Bar(Bar),
    /// Elsewhere: the state that was told last.
    Lines(String),
}

const BAR: &str = "{prefix}\n{spinner} creating [{wide_bar}] {percent:>3} %  {msg}";
const SPINNER: &str = "{prefix}\n{spinner} {wide_msg}";

impl Progress {
    /// Begins to show `run`.
    pub(super) fn start(run: &Run) -> Self {
        let mut progress = if std::io::stderr().is_terminal() {
            Self::Bar(Bar::start())
        } else {
            Self::Lines(String::new())
        };
        progress.show(run);
        progress
    }

    /// Shows the run as it is now.
    pub(super) fn show(&mut self, run: &Run) {
        match self {
            Self::Bar(bar) => bar.show(run),
            Self::Lines(told) => {
                let now = told_of(run);
                if *told != now {
                    say(&now);
                    *told = now;
                }
            }
        }
    }
}

/// How long the end of the command waits for the terminal.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A bar that a thread of its own draws, until it is dropped.
pub(super) struct Bar {
    runs: Option<Sender<Run>>,
    ended: Receiver<()>,
}

impl Bar {
    fn start() -> Self {
        let (runs, to_show) = channel::<Run>();
        let (end, ended) = channel();
        thread::spawn(move || {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(250));
            to_show.iter().for_each(|run| show_bar(&bar, &run));
            bar.finish_and_clear();
            drop(end);
        });
        Self {
            runs: Some(runs),
            ended,
        }
    }

    fn show(&self, run: &Run) {
        if let Some(runs) = &self.runs {
            // The thread ends with this only.
            let _ = runs.send(run.clone());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.runs = None;
        let _ = self.ended.recv_timeout(LAST_WORDS);
    }
}

fn told_of(run: &Run) -> String {
    format!("{} is {}", run.request.snapshot_id, state_of(run))
}

fn state_of(run: &Run) -> String {
    let reason = run.reason().map(|reason| format!(": {reason}"));
    one_line(&format!("{}{}", run.word(), reason.unwrap_or_default()))
}

fn show_bar(bar: &ProgressBar, run: &Run) {
    if run.is_ended() {
        bar.finish_and_clear();
        return;
    }
    let transfer = run.description().and_then(|told| Transfer::of(told));
    let template = if transfer.is_some() { BAR } else { SPINNER };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if let Some(transfer) = &transfer {
        bar.set_length(transfer.whole_bytes);
        bar.set_position(transfer.done_bytes);
    }
    bar.set_prefix(run.request.snapshot_id.to_string());
    bar.set_message(match transfer {
        Some(transfer) => transfer.told(),
        None => state_of(run),
    });
}

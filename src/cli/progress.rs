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
use crate::remedy::of_reason;
use crate::run::{Run, RunState};
use crate::slot::rfc3339;
use crate::told::command;
use crate::told::transfer::Transfer;

/// What is shown of a run.
pub(super) enum Progress {
    /// On a terminal.
    Bar(Bar),
    /// Elsewhere.
    Lines(Lines),
}

const BAR: &str = "{prefix}\n{spinner} creating [{wide_bar}] {percent:>3} %  {msg}";
const SPINNER: &str = "{prefix}\n{spinner} {wide_msg}";

impl Progress {
    /// Begins to show `run`.
    pub(super) fn start(run: &Run) -> Self {
        let mut progress = if std::io::stderr().is_terminal() {
            Self::Bar(Bar::start())
        } else {
            Self::Lines(Lines::default())
        };
        progress.show(run);
        progress
    }

    /// Shows the run as it is now.
    pub(super) fn show(&mut self, run: &Run) {
        match self {
            Self::Bar(bar) => bar.show(run),
            Self::Lines(lines) => {
                if let Some(line) = lines.next(run) {
                    say(&line);
                }
            }
        }
    }
}

/// A line for each change of state, and one in between so that nobody takes the command for dead.
#[derive(Default)]
pub(super) struct Lines {
    told: String,
    /// How often the run was shown since the last line.
    shown: u32,
    /// How many lines in a row told of the same state.
    repeated: u32,
}

/// A run is shown about three times a second: a line comes before five seconds are over, and in a state that has lasted for
/// two minutes each half minute.
const QUIET: (u32, u32, u32) = (15, 24, 90);

impl Lines {
    fn next(&mut self, run: &Run) -> Option<String> {
        let now = told_of(run);
        self.shown += 1;
        let (quiet, repeats, long_quiet) = QUIET;
        let due = if self.repeated < repeats {
            quiet
        } else {
            long_quiet
        };
        let is_new = self.told != now;
        if !is_new && self.shown < due {
            return None;
        }
        self.shown = 0;
        self.repeated = if is_new { 0 } else { self.repeated + 1 };
        self.told.clone_from(&now);
        if is_new {
            return Some(now);
        }
        let transfer = run.description().and_then(|told| Transfer::of(told));
        let transfer = transfer.map(|transfer| format!(": {}", transfer.told()));
        Some(format!(
            "still {}{}",
            state_of(run),
            transfer.unwrap_or_default()
        ))
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
    let why = match (run.is_ended(), run.refusal()) {
        (false, Some(why)) => Some(format!("refused by AWS ({why})")),
        _ => None,
    };
    let word = why.unwrap_or_else(|| run.word().to_owned());
    let reason = run.reason().map(|reason| format!(": {reason}"));
    one_line(&format!(
        "{word}{}{}",
        reason.unwrap_or_default(),
        next(run)
    ))
}

/// When AWS is asked again, and what helps.
fn next(run: &Run) -> String {
    let helps = run.refusal().filter(|_| !run.is_ended()).map(|why| {
        let helps = of_reason(why, &run.slot.pair);
        format!("; `{}` helps", command::whole(&helps))
    });
    let again = match run.state {
        RunState::Waiting { until, .. } => format!("; AWS is asked again at {}", rfc3339(until)),
        _ => String::new(),
    };
    format!("{again}{}", helps.unwrap_or_default())
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

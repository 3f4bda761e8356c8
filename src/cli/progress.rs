//! A run's progress, for the person who watches it.
//!
//! Owns: a bar on a terminal, and one line for each change of state elsewhere; both on stderr. Never asks
//! anything: it shows what the history has.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use crate::logging::one_line;
use crate::run::Run;
use crate::snapshot::Snapshot;

/// What is shown of a run.
pub(super) enum Progress {
    /// On a terminal.
    Bar(ProgressBar),
    /// Elsewhere: the state that was told last.
    Lines(String),
}

const BAR: &str = "{prefix}\n{spinner} creating [{wide_bar}] {percent:>3} %  {msg}";
const SPINNER: &str = "{prefix}\n{spinner} {wide_msg}";
const MEGABYTE: f64 = 1_048_576.0;

impl Progress {
    /// Begins to show `run`.
    pub(super) fn start(run: &Run) -> Self {
        let mut progress = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(250));
            Self::Bar(bar)
        } else {
            Self::Lines(String::new())
        };
        progress.show(run);
        progress
    }

    /// Shows the run as it is now.
    pub(super) fn show(&mut self, run: &Run) {
        match self {
            Self::Bar(bar) => show_bar(bar, run),
            Self::Lines(told) => {
                let now = told_of(run);
                if *told != now {
                    // Nobody reads what cannot be written.
                    let _ = writeln!(std::io::stderr(), "{now}");
                    *told = now;
                }
            }
        }
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
    let transfer = run.snapshot.as_deref().and_then(Transfer::of);
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

/// How far AWS has got, in its own figures.
struct Transfer {
    done_bytes: u64,
    whole_bytes: u64,
    bytes_per_second: u64,
    remaining: Duration,
}

impl Transfer {
    /// `None` as long as AWS tells nothing: all figures are 0 or absent until the transfer has begun.
    fn of(snapshot: &Snapshot) -> Option<Self> {
        let bytes = |megabytes: Option<f64>| (megabytes.unwrap_or_default() * MEGABYTE) as u64;
        let rate = bytes(snapshot.current_backup_rate_in_mega_bytes_per_second);
        let done = bytes(snapshot.backup_progress_in_mega_bytes);
        let seconds = snapshot.estimated_seconds_to_completion.unwrap_or_default();
        let seconds = u64::try_from(seconds).unwrap_or_default();
        let whole = bytes(snapshot.actual_incremental_backup_size_in_mega_bytes);
        let whole = whole.max(done.saturating_add(rate.saturating_mul(seconds)));
        (whole > 0).then_some(Self {
            done_bytes: done,
            whole_bytes: whole,
            bytes_per_second: rate,
            remaining: Duration::from_secs(seconds),
        })
    }

    fn told(&self) -> String {
        format!(
            "{} of {}, {}/s, {} left",
            HumanBytes(self.done_bytes),
            HumanBytes(self.whole_bytes),
            HumanBytes(self.bytes_per_second),
            HumanDuration(self.remaining)
        )
    }
}

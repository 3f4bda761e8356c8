//! Where the daemon's log goes, and in what form.
//!
//! Owns: the choice between journal, text and JSON, the levels, and that one event is one line whatever it
//! holds: AWS's messages and clusters' tags are other people's text, and may not forge a line or steer a
//! terminal. Never logs itself but for two warnings, never changes what others log, and never waits for whoever reads
//! it: lines go through a [`Spool`], and what finds no room there is dropped and counted.
//!
//! What tracing-subscriber 0.3.23 does with hostile text by itself: `?` of a string escapes everything, the
//! message and errors keep line breaks, and `%` keeps line breaks and ESC. `escape` closes these gaps.

mod escape;
mod journal;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tracing_subscriber::field::MakeExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt};

pub use self::escape::one_line;
use self::escape::{Lines, Spooled, Style, write_field};
use self::journal::{Journal, journald};
use crate::aws::{LOG_TARGETS, REPEATING_LOG_TARGETS};
use crate::config::{Log, LogFormat, LogLevel};
use crate::spool::Spool;
use crate::told::command;

/// Crates that tell of every connection and every tick: targets that begin with these log warnings only,
/// unless `RUST_LOG` names them.
const TALKATIVE: [&str; 5] = [
    LOG_TARGETS,
    "rusqlite_migration",
    "rustls",
    "tokio_cron_scheduler",
    "tokio_postgres",
];

/// The ways out of this process, which has one log.
static STDERR: OnceLock<Spool> = OnceLock::new();
static JOURNAL: OnceLock<Spool> = OnceLock::new();

/// How long the end of the process waits for whoever reads its log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The system has no thread or descriptor for it.
    #[error("the log cannot be set up")]
    System(#[from] io::Error),
    /// Something else in the process has a log already.
    #[error("the log is set up already")]
    Twice(#[from] TryInitError),
}

/// Sets up the log of this process, as the configuration and the environment say.
///
/// `RUST_LOG` is laid over the configured level; where it cannot be read it is ignored with a warning.
pub fn init(log: Log) -> Result<(), LoggingError> {
    let surroundings = Surroundings::look();
    let (filter, ignored) = filter(log.level, surroundings.rust_log.as_deref());
    tracing_subscriber::registry()
        .with(layer(log.format, surroundings)?)
        .with(filter)
        .try_init()?;
    std::panic::set_hook(Box::new(tell_panic));
    if let Some(error) = ignored {
        tracing::warn!(%error, "RUST_LOG cannot be read and is ignored");
    }
    Ok(())
}

/// How many lines of the log were dropped because whoever reads it did not keep up.
pub fn lines_dropped() -> u64 {
    let spools = [STDERR.get(), JOURNAL.get()];
    spools.into_iter().flatten().map(Spool::dropped).sum()
}

/// Tells a person something on stderr, below what was logged. Where there is no log, it waits for whoever reads.
pub fn say(text: &str) {
    let text = &*command::whole(text);
    let line = format!("{text}\n").into_bytes();
    let is_on = STDERR.get().or(JOURNAL.get()).is_some();
    match is_on.then(stderr) {
        Some(Ok(spool)) => spool.put(line),
        // Nothing can be done when stderr is closed; the exit code still tells.
        _ => drop(io::stderr().write_all(&line)),
    }
}

/// Waits until the log has been read, but no longer than a second: for the end of the process.
pub fn flush() {
    for spool in [JOURNAL.get(), STDERR.get()].into_iter().flatten() {
        spool.flush(LAST_WORDS);
    }
}

/// The spool of stderr.
fn stderr() -> io::Result<&'static Spool> {
    if let Some(spool) = STDERR.get() {
        return Ok(spool);
    }
    // A descriptor of its own: the lock of the library's would be held for as long as nobody reads.
    let mut file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let spool = Spool::start(
        "stderr",
        move |line| write_whole(&mut file, line),
        tell_dropped,
    )?;
    Ok(STDERR.get_or_init(|| spool))
}

fn write_whole(to: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process that has the same pipe may have set it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::park_timeout(Duration::from_millis(20));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn tell_dropped(lines: u64) {
    tracing::warn!(
        lines,
        "lines of the log were dropped, because whoever reads it did not keep up"
    );
}

/// A panic is an event like others: the library's message would wait for whoever reads stderr. What is said by a panic
/// of another crate is not told, since a header may be in it.
fn tell_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location();
    let is_ours = place.is_some_and(|place| place.file().starts_with("src/"));
    let said = panic.payload_as_str().filter(|_| is_ours);
    let place = place.map(tracing::field::display);
    let thread = thread::current();
    let thread = thread.name();
    let trace = std::backtrace::Backtrace::capture();
    let is_traced = trace.status() == std::backtrace::BacktraceStatus::Captured;
    let trace = is_traced.then(|| tracing::field::display(&trace));
    tracing::error!(place, said, thread, trace, "a thread panicked");
}

/// What the process was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Surroundings {
    rust_log: Option<String>,
    no_color: bool,
    terminal: bool,
    journal: bool,
}

impl Surroundings {
    fn look() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let stream = variable("JOURNAL_STREAM");
        Self {
            rust_log: variable("RUST_LOG"),
            no_color: variable("NO_COLOR").is_some(),
            terminal: io::stderr().is_terminal(),
            journal: stream.is_some_and(|stream| device_and_inode(io::stderr()) == Some(stream)),
        }
    }
}

/// The form of `JOURNAL_STREAM`, which may be inherited by a process whose stderr goes elsewhere.
fn device_and_inode(stream: impl AsFd) -> Option<String> {
    let file = std::fs::File::from(stream.as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    Some(format!("{}:{}", metadata.dev(), metadata.ino()))
}

/// The form that a log is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Journal,
    Text { coloured: bool },
    Json,
}

fn form(format: LogFormat, surroundings: &Surroundings) -> Form {
    let coloured = surroundings.terminal && !surroundings.no_color;
    match format {
        LogFormat::Auto if surroundings.journal => Form::Journal,
        LogFormat::Auto | LogFormat::Text => Form::Text { coloured },
        LogFormat::Json => Form::Json,
    }
}

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

fn layer<S>(format: LogFormat, surroundings: Surroundings) -> io::Result<BoxedLayer<S>>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = || stderr().map(|spool| move || Spooled(spool));
    Ok(match form(format, &surroundings) {
        Form::Json => json(lines()?),
        Form::Text { coloured } => text(lines()?, coloured),
        // Without the journal's socket its stream, stderr, takes text just as well.
        Form::Journal => match journald() {
            Ok(journald) => {
                let spool = Spool::start("journal", journald, tell_dropped)?;
                Journal(JOURNAL.get_or_init(|| spool).clone()).boxed()
            }
            Err(_) => text(lines()?, false),
        },
    })
}

fn text<S, W>(writer: W, coloured: bool) -> BoxedLayer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let style = if coloured {
        Style::Coloured
    } else {
        Style::Plain
    };
    // An internal error would be printed to stderr, and a stderr that cannot be written to would panic.
    fmt::layer()
        .with_ansi(coloured)
        .with_target(false)
        .fmt_fields(fmt::format::debug_fn(write_field).delimited(" "))
        .log_internal_errors(false)
        .with_writer(Lines::new(writer, style))
        .boxed()
}

fn json<S, W>(writer: W) -> BoxedLayer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .log_internal_errors(false)
        .with_writer(Lines::new(writer, Style::Json))
        .boxed()
}

/// The levels by target, and what is wrong with `RUST_LOG`.
fn filter(
    level: LogLevel,
    rust_log: Option<&str>,
) -> (EnvFilter, Option<tracing_subscriber::filter::ParseError>) {
    let configured = directives(level);
    let builder = EnvFilter::builder();
    let parsed = rust_log.map(|more| builder.clone().parse(format!("{configured},{more}")));
    match parsed {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (builder.parse_lossy(configured), Some(error)),
        None => (builder.parse_lossy(configured), None),
    }
}

fn directives(level: LogLevel) -> String {
    let quiet = match level {
        LogLevel::Error => level,
        _ => LogLevel::Warn,
    };
    let talkative = TALKATIVE.map(|target| format!(",{target}={}", quiet.as_str()));
    let error = LogLevel::Error.as_str();
    let repeating = REPEATING_LOG_TARGETS.map(|target| format!(",{target}={error}"));
    format!(
        "{}{}{}",
        level.as_str(),
        talkative.concat(),
        repeating.concat()
    )
}

#[cfg(test)]
mod tests;

//! The choice of form, the levels, and hostile text through every way of formatting a field.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;
use tracing_subscriber::Registry;

use super::*;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What a log holds after `act`, made by `layer` for a writer into memory.
fn logged(layer: impl FnOnce(Memory) -> BoxedLayer<Registry>, act: impl FnOnce()) -> String {
    let memory = Memory::default();
    with_default(
        tracing_subscriber::registry().with(layer(memory.clone())),
        act,
    );
    memory.text()
}

fn text_to(memory: Memory, coloured: bool) -> BoxedLayer<Registry> {
    text(move || memory.clone(), coloured)
}

const HOSTILE: &str = "quota\n2026-01-01T00:00:00Z  INFO redkeep: all is well\r\x1b[2J\x07\u{9b}31m\u{202e}\u{2028}\t";

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

fn log_hostile_text() {
    let error = Refusal(HOSTILE.to_owned());
    let span = tracing::info_span!("span", %error);
    let _entered = span.enter();
    tracing::info!("message {HOSTILE}");
    tracing::info!(field = HOSTILE, "str");
    tracing::info!(%error, "display");
    tracing::info!(?error, "debug");
    tracing::info!(raw = ?format_args!("{HOSTILE}"), "raw debug");
    tracing::info!(error = &error as &dyn std::error::Error, "error");
}

#[test]
fn one_event_is_one_line_of_text_whatever_it_holds() {
    for coloured in [false, true] {
        let log = logged(|memory| text_to(memory, coloured), log_hostile_text);
        assert_eq!(log.lines().count(), 6, "{log}");
        for hostile in [
            "\r", "\x1b[2J", "\x07", "\u{9b}", "\u{202e}", "\u{2028}", "\t",
        ] {
            assert!(!log.contains(hostile), "{hostile:?} in {log:?}");
        }
        assert_eq!(log.contains('\x1b'), coloured, "{log:?}");
    }
}

#[test]
fn one_event_is_one_line_of_json_and_keeps_its_text() {
    let log = logged(|memory| json(move || memory.clone()), log_hostile_text);
    let events: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), 6);
    assert_eq!(events[2]["error"], HOSTILE);
    assert_eq!(events[2]["message"], "display");
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
}

#[test]
fn under_systemd_the_journal_gets_the_log_unless_a_form_is_asked_for() {
    let journal = Surroundings {
        journal: true,
        ..Surroundings::default()
    };
    assert_eq!(form(LogFormat::Auto, &journal), Form::Journal);
    assert_eq!(
        form(LogFormat::Text, &journal),
        Form::Text { coloured: false }
    );
    assert_eq!(form(LogFormat::Json, &journal), Form::Json);
}

#[test]
fn only_a_terminal_is_coloured_and_only_where_colour_is_welcome() {
    let terminal = Surroundings {
        terminal: true,
        ..Surroundings::default()
    };
    let plain = Surroundings {
        no_color: true,
        ..terminal.clone()
    };
    assert_eq!(
        form(LogFormat::Auto, &terminal),
        Form::Text { coloured: true }
    );
    assert_eq!(
        form(LogFormat::Text, &terminal),
        Form::Text { coloured: true }
    );
    assert_eq!(
        form(LogFormat::Auto, &plain),
        Form::Text { coloured: false }
    );
    assert_eq!(
        form(LogFormat::Auto, &Surroundings::default()),
        Form::Text { coloured: false }
    );
}

#[test]
fn the_stream_is_told_by_device_and_inode() {
    let path = std::env::temp_dir().join(format!("redkeep-stream-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    let wanted = format!("{}:{}", metadata.dev(), metadata.ino());
    assert_eq!(device_and_inode(&file), Some(wanted));
    std::fs::remove_file(&path).unwrap();
}

fn messages(level: LogLevel, rust_log: Option<&str>) -> Vec<String> {
    let memory = Memory::default();
    let (filter, _) = filter(level, rust_log);
    let layer = text_to(memory.clone(), false);
    with_default(
        tracing_subscriber::registry().with(layer).with(filter),
        || {
            tracing::info!(target: "redkeep::daemon", "ours-info");
            tracing::debug!(target: "redkeep::daemon", "ours-debug");
            tracing::info!(target: "aws_smithy_runtime::client", "aws-info");
            tracing::warn!(target: "hyper_util::client", "hyper-warn");
            tracing::warn!(target: "aws_smithy_http_client::client", "smithy-warn");
            tracing::warn!(target: "rustls::client", "tls-warn");
            tracing::info!(target: "tokio_cron_scheduler::scheduler", "cron-info");
        },
    );
    let last = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
    memory.text().lines().map(last).collect()
}

#[test]
fn libraries_warn_only_and_not_at_each_attempt_and_rust_log_overrides_what_it_names() {
    assert_eq!(messages(LogLevel::Info, None), ["ours-info", "tls-warn"]);
    assert_eq!(messages(LogLevel::Error, None), [""; 0]);
    assert_eq!(
        messages(LogLevel::Info, Some("debug")),
        ["ours-info", "ours-debug", "tls-warn"]
    );
    let named = messages(LogLevel::Warn, Some("aws_smithy_runtime=info"));
    assert_eq!(named, ["aws-info", "tls-warn"]);
}

#[test]
fn a_rust_log_that_cannot_be_read_is_told_and_changes_nothing() {
    assert!(filter(LogLevel::Info, Some("redkeep=loud")).1.is_some());
    assert_eq!(
        messages(LogLevel::Info, Some("redkeep=loud")),
        ["ours-info", "tls-warn"]
    );
}

/// Writes entries as the journal's layer does, where no journal is.
struct Entries(Memory);

impl<S: tracing::Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.clone().write_all(&journal::entry(event)).unwrap();
    }
}

#[test]
fn an_entry_of_the_journal_has_the_fields_beside_the_message_and_in_it() {
    let log = logged(
        |memory| Entries(memory).boxed(),
        || tracing::info!(pair = %"nightly of dw", attempts = 2, note = "a\nb", "asked"),
    );
    let own = |line: &&str| !line.starts_with("CODE_") && !line.starts_with("TARGET=");
    let lines: Vec<&str> = log.lines().filter(own).collect();
    assert_eq!(
        lines,
        [
            "PRIORITY=6",
            "SYSLOG_IDENTIFIER=redkeep",
            "MESSAGE=asked pair=nightly of dw attempts=2 note=a\\nb",
            "REDKEEP_PAIR=nightly of dw",
            "REDKEEP_ATTEMPTS=2",
            "REDKEEP_NOTE=a\\nb",
        ]
    );
}

#[test]
fn an_entry_of_the_journal_fits_into_a_datagram_and_cannot_be_forged() {
    let long = "ü".repeat(100_000);
    let log = logged(
        |memory| Entries(memory).boxed(),
        || {
            tracing::warn!(a = long, b = long, c = long, d = long, e = long, "asked");
            tracing::error!(field = HOSTILE, "{HOSTILE}");
        },
    );
    let names = log.lines().map(|line| line.split_once('=').unwrap().0);
    assert!(
        names
            .into_iter()
            .all(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    );
    let entries = log.split("PRIORITY=").map(str::len);
    assert!(entries.max().unwrap() < 100_000);
}

/// A pipe that another process has set not to wait.
struct Reluctant(Memory, bool);

impl Write for Reluctant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 = !self.1;
        match self.1 {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.0.write(&bytes[..bytes.len().min(3)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_arrives_whole_also_where_the_pipe_takes_a_piece_at_a_time_and_not_at_once() {
    let memory = Memory::default();
    write_whole(&mut Reluctant(memory.clone(), false), b"one line\n").unwrap();
    assert_eq!(memory.text(), "one line\n");
}

#[test]
fn a_panic_is_a_line_of_the_log_with_its_place() {
    let log = logged(
        |memory| text_to(memory, false),
        || {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(tell_panic));
            let ended = std::panic::catch_unwind(|| assert!(HOSTILE.is_empty(), "{HOSTILE}"));
            std::panic::set_hook(before);
            assert!(ended.is_err());
        },
    );
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.contains("ERROR a thread panicked place=src/logging/tests.rs:"),
        "{log}"
    );
    assert!(log.contains(r#"said="quota\n2026"#), "{log}");
}

//! The log in journald.
//!
//! Owns: what an entry says, in journald's own protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>). The event's fields
//! are beside its message and in it, since `journalctl` shows the message only; fields are `REDKEEP_…`, and a level is what
//! it is for syslog. Never waits for journald: an entry goes into a spool.

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::one_line;
use crate::spool::Spool;
use crate::told::command;

const SOCKET: &str = "/run/systemd/journal/socket";

/// A longer value is cut: an entry has to fit into one datagram, of which Linux takes 208 KiB.
const VALUE_BYTES_MAX: usize = 16 << 10;
/// An entry of this size gets no more fields.
const ENTRY_BYTES_MAX: usize = 64 << 10;

/// The way of an entry to journald.
///
/// # Errors
/// Where there is no journal.
pub(super) fn journald() -> io::Result<impl FnMut(&[u8]) -> io::Result<()> + Send + 'static> {
    let socket = UnixDatagram::unbound()?;
    let send = move |entry: &[u8]| socket.send_to(entry, SOCKET).map(drop);
    // journald throws away what is empty; where nobody listens this fails.
    send(&[])?;
    Ok(send)
}

/// Writes every event as an entry.
pub(super) struct Journal(pub(super) Spool);

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.put(entry(event));
    }
}

/// The entry of an event.
pub(super) fn entry(event: &Event<'_>) -> Vec<u8> {
    let mut told = Told::default();
    event.record(&mut told);
    told.complete_message();
    let mut entry = standard_fields(event.metadata());
    // The message first: nothing that is left out is missed less.
    told.0.sort_by_key(|(field, _)| field.name() != "message");
    for (field, value) in &told.0 {
        let name = match field.name() {
            "message" => "MESSAGE".to_owned(),
            name => format!("REDKEEP_{}", journal_name(name)),
        };
        if entry.len() < ENTRY_BYTES_MAX {
            put(&mut entry, &name, value);
        }
    }
    entry
}

fn standard_fields(metadata: &Metadata<'_>) -> Vec<u8> {
    let priority = match *metadata.level() {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    };
    let mut entry = Vec::with_capacity(512);
    put(&mut entry, "PRIORITY", priority);
    put(&mut entry, "SYSLOG_IDENTIFIER", "redkeep");
    put(&mut entry, "TARGET", metadata.target());
    if let Some(file) = metadata.file() {
        put(&mut entry, "CODE_FILE", file);
    }
    if let Some(line) = metadata.line() {
        put(&mut entry, "CODE_LINE", &line.to_string());
    }
    entry
}

/// journald takes capital letters, digits and underscores.
fn journal_name(name: &str) -> String {
    let allowed = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
        _ => '_',
    };
    name.chars().map(allowed).collect()
}

/// Every value is one line here, so that the short form will do.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(VALUE_BYTES_MAX)];
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'=');
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// An event's fields as text, in the order in which they were given, each on one line.
#[derive(Debug, Default)]
struct Told(Vec<(Field, String)>);

impl Told {
    /// Makes the message what a line of text would be: the message, then every field.
    fn complete_message(&mut self) {
        let fields: String = self
            .0
            .iter()
            .filter(|(field, _)| field.name() != "message" && !field.name().starts_with("log."))
            .map(|(field, value)| format!(" {}={value}", field.name()))
            .collect();
        let message = self
            .0
            .iter_mut()
            .find(|(field, _)| field.name() == "message");
        if let Some((_, message)) = message {
            *message = command::whole(message).into_owned();
            message.push_str(&fields);
        }
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.clone(), one_line(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .push((field.clone(), one_line(&format!("{value:?}"))));
    }
}

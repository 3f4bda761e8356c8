//! The log in journald.
//!
//! Owns: that a journal entry says as much to whoever reads it as a line of text. tracing-journald keeps
//! an event's fields beside its message, where `journalctl` does not show them: here they are in both.

use std::fmt;
use std::io;

use tracing::field::{Field, Value, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::one_line;

/// More fields than this are left out; no event of redkeep's has ten.
const FIELDS_MAX: usize = 32;

/// tracing-journald with whole messages.
pub(super) struct Journal(tracing_journald::Layer);

impl Journal {
    /// Fails where there is no journal. The fields are `REDKEEP_…`, and a level is what it is for syslog.
    pub(super) fn open() -> io::Result<Self> {
        let levels = PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        };
        let layer = tracing_journald::layer()?
            .with_syslog_identifier("redkeep".to_owned())
            .with_field_prefix(Some("REDKEEP".to_owned()))
            .with_priority_mappings(levels);
        Ok(Self(layer))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        told.complete_message();
        let Some((first, _)) = told.0.first() else {
            return;
        };
        let mut values: [(&Field, Option<&dyn Value>); FIELDS_MAX] = [(first, None); FIELDS_MAX];
        for (place, (field, value)) in values.iter_mut().zip(&told.0) {
            *place = (field, Some(value));
        }
        let fields = event.metadata().fields();
        let values = fields.value_set(&values);
        self.0
            .on_event(&Event::new(event.metadata(), &values), context);
    }
}

/// An event's fields as text, in the order in which they were given, each on one line.
#[derive(Debug, Default)]
pub(super) struct Told(pub(super) Vec<(Field, String)>);

impl Told {
    /// Makes the message what a line of text would be: the message, then every field.
    pub(super) fn complete_message(&mut self) {
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

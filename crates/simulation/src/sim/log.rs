//! What happened, as lines that people read and as a hash that two runs of a seed must share.
//!
//! Owns: the hash (FNV-1a, 64 bits) over every line, and the lines themselves where somebody wants them.

use std::fmt::{self, Write as _};

use chrono::{DateTime, Utc};

/// The log of one simulation.
pub struct Log {
    hash: u64,
    line: String,
    lines: Option<Vec<String>>,
    /// A text that no line may contain.
    pub secret: Option<&'static str>,
}

impl Log {
    pub fn new(keeps_lines: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            line: String::new(),
            lines: keeps_lines.then(Vec::new),
            secret: None,
        }
    }

    /// Writes a line: when, who, what.
    pub fn say(&mut self, now: DateTime<Utc>, who: &str, what: fmt::Arguments<'_>) {
        self.line.clear();
        write!(self.line, "{} {who} {what}", now.timestamp_millis()).unwrap();
        for byte in self.line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(secret) = self.secret {
            assert!(!self.line.contains(secret), "I18: a secret is told: {what}");
        }
        if let Some(lines) = &mut self.lines {
            let instant = now.format("%Y-%m-%d %H:%M:%S%.3f");
            lines.push(format!("{instant}  {who:<7} {what}"));
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

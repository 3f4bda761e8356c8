//! `redkeep schema`: the JSON Schema of the policy file.

use std::io::Write;

use clap::Args;

use crate::config;

use super::{Failure, pretty};

/// Prints the JSON Schema (draft-07) of the policy file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep schema > redkeep.schema.json

It accepts whatever \"redkeep check\" accepts. What needs the whole file, such as whether an account that a
policy names is there, only \"redkeep check\" can say.")]
pub struct SchemaArgs {}

pub(super) fn schema(_: &SchemaArgs) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", pretty(&config::schema())?)?;
    Ok(())
}

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

The schema accepts everything that \"redkeep check\" accepts. Only \"redkeep check\" finds errors that need the
whole file, such as a policy that names an account that does not exist.")]
pub struct SchemaArgs {}

pub(super) fn schema(_: &SchemaArgs) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", pretty(&config::schema())?)?;
    Ok(())
}

//! The configuration: one policy file, `conf.d/*.toml` beside it, and `REDKEEP_…` variables, to one
//! valid [`Config`].
//!
//! Owns: the file's keys, their defaults and their checks. Never asks a clock or AWS, never logs, and reads
//! nothing but those files and, through `tzdb`, the time zones: the environment is handed in. Everything is checked here and once, so that
//! whoever holds a `Config` has nothing left to check.
//!
//! The way: `read` the files → `layers` lays them over one another with figment → `secrets` takes
//! credentials out → `extract` gives every key of `raw` its type → `validate` and `policies` give it its
//! meaning. Each step adds to one `report`, so all errors come at once, each with its place from `locate`.
//! `schema` tells editors of the same keys, in the words of `raw` and `keys` and the patterns of `grammar` and `kinds`.

mod accounts;
pub mod ambient;
mod database;
mod error;
mod expected;
mod keys;
mod kinds;
mod layers;
pub mod network;
mod path;
mod policies;
mod raw;
mod read;
mod receivers;
mod regions;
mod report;
mod schema;
mod schema_types;
mod secrets;
mod spans;
mod tiers;
mod trust;
mod typed;
mod validate;
mod values;
pub mod zones;

use std::path::PathBuf;

pub use ambient::Profiles;
pub use error::{ConfigError, ConfigErrors, clean};
pub use redkeep_core::problem::Problem;
pub use redkeep_core::suggest::{did_you_mean, nearest, suggestion};
pub use schema::schema;

pub use redkeep_core::settings::{
    Config, Endpoint, Log, LogFormat, LogLevel, MetricsLabels, PageAccess, Warning,
};

use zones::{Database, Place};

/// What a configuration is made from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The policy file.
    pub file: PathBuf,
    /// The environment, read by whoever starts the program; `REDKEEP_…`,
    /// `STATE_DIRECTORY`, `TZDIR`, and what names credentials, regions, endpoints and proxies matter.
    pub environment: Vec<(String, String)>,
    /// The profiles of AWS's own files.
    pub profiles: Profiles,
}

/// Reads, merges and checks the configuration; the error has everything that is wrong with it.
pub fn load(sources: &Sources) -> Result<Config, ConfigErrors> {
    let (config, report) = checked(&read::read(&sources.file)?, sources);
    report.finish(config)
}

/// As much of a broken configuration as can be told, for commands that only read the history: what is before the
/// first syntax error of each file, without the values that are wrong and the policies that lack something. `None`
/// where the policy file itself cannot be read, or says in vain where the history is.
pub fn salvage(sources: &Sources) -> Option<Config> {
    let files = read::read_what_can_be(&sources.file)?.into_iter();
    let files: Vec<_> = files.map(layers::before_the_error).collect();
    checked(&files, sources).0
}

/// What the files come to, and all that is wrong with them.
fn checked(files: &[read::SourceFile], sources: &Sources) -> (Option<Config>, report::Report) {
    let zones = Database::open(&Place::of(&sources.environment));
    let mut report = report::Report::new(zones);
    let mut tree = layers::merge(files, &sources.environment, &mut report);
    report.learn_names(&tree);
    secrets::purge(&mut tree, files, &mut report);
    let raw = typed::extract(tree, &mut report);
    let config = validate::config(raw, sources, &mut report);
    (config, report)
}

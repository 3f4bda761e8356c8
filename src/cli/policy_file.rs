//! The policy file as a command finds it.
//!
//! Owns: reading it with everything that it depends on, and what is told of it. Never judges it.

use std::io::{self, Write};

use super::database;
use super::failure::invalid;
use super::state_lock::sandbox_address;
use super::{ConfigArgs, Failure};
use crate::aws;
use crate::config::{self, Config, ConfigErrors, Endpoint, Sources};
use crate::told::command;

/// Where the configuration of this process comes from: the file, the environment, AWS's own files.
pub(super) async fn sources(args: &ConfigArgs) -> Sources {
    command::note(&args.config);
    Sources {
        file: args.config.clone(),
        environment: environment(),
        profiles: aws::profiles().await,
    }
}

/// This process's own.
pub(super) fn environment() -> Vec<(String, String)> {
    // One that is not UTF-8 is wrong, and not missing.
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// Reads the policy file, and notes whom a command of the AWS CLI has to ask to reach the same.
pub(super) fn read(sources: &Sources) -> Result<Config, ConfigErrors> {
    let config = config::load(sources)?;
    command::note_endpoint(match &config.endpoint {
        Endpoint::Aws => None,
        Endpoint::Url(url) => Some(url.clone()),
        Endpoint::Sandbox => {
            sandbox_address(&config.state_dir).map(|address| format!("http://{address}"))
        }
    });
    Ok(config)
}

/// Reads the policy file, which must be valid, and has the history of its database at hand.
pub(super) async fn load(args: &ConfigArgs) -> Result<Config, Failure> {
    let sources = sources(args).await;
    let config = read(&sources).map_err(invalid)?;
    database::catch_up(&config, &sources).await;
    Ok(config)
}

/// Reads the policy file, which must be valid, for a command that needs no history.
pub(super) async fn load_alone(args: &ConfigArgs) -> Result<Config, Failure> {
    read(&sources(args).await).map_err(invalid)
}

/// The configuration for a command that only reads the history, and whether it is whole: what a broken policy file
/// cannot say is left out, and that is told.
pub(super) async fn load_to_read(args: &ConfigArgs) -> Result<(Config, bool), Failure> {
    let sources = sources(args).await;
    let errors = match read(&sources) {
        Ok(config) => {
            database::catch_up(&config, &sources).await;
            return Ok((config, true));
        }
        Err(errors) => errors,
    };
    let config = config::salvage(&sources).ok_or_else(|| invalid(errors.clone()))?;
    for error in errors.iter() {
        writeln!(io::stderr(), "warning: {error}")?;
    }
    writeln!(
        io::stderr(),
        "warning: the policy file is not valid; what is shown is from the history in {}",
        config.state_dir.display()
    )?;
    Ok((config, false))
}

/// What a configuration is about, on one line.
pub(super) fn described(args: &ConfigArgs, config: &Config) -> String {
    let count = |number: usize, one: &str, many: &str| {
        format!("{number} {}", if number == 1 { one } else { many })
    };
    let endpoint = match &config.endpoint {
        Endpoint::Aws => "AWS",
        Endpoint::Sandbox => "the embedded sandbox",
        Endpoint::Url(url) => url,
    };
    format!(
        "{}: fine: {}, {}, on {endpoint}",
        args.config.display(),
        count(config.policies.len(), "policy", "policies"),
        count(config.scopes().len(), "scope", "scopes")
    )
}

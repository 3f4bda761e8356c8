//! That no daemon works on the state directory, in words.
//!
//! Owns: how that is found out and said. Never decides what follows from it: an exit code, or nothing.

use std::io::Write;

use crate::config::Config;
use crate::error_chain::with_causes;
use crate::settings::Database;
use crate::slot::rfc3339;
use crate::told::command;
use crate::told::trouble::{self, Trouble};

use crate::store::{Instances, KnownInstance, StoreError};

use super::Failure;
use super::database::server;
use super::output::{Output, Tone, View};
use super::policy_file::environment;
use super::state_lock::{Holder, holder, last_held_at};

/// That no daemon runs, or none of the instances that share the history works, in words; `None` where one does.
pub(super) async fn absence(config: &Config) -> Option<String> {
    let told = match &config.database {
        Some(shared) => unheld(shared).await,
        None => absent(config),
    };
    told.map(|told| command::whole(&told).into_owned())
}

async fn unheld(shared: &Database) -> Option<String> {
    let server = server(shared, &environment());
    let asked = tokio::task::spawn_blocking(move || {
        let instances = Instances::new(server)?;
        Ok::<_, StoreError>((instances.lease()?, instances.list()?))
    });
    let (lease, known) = match asked.await.unwrap_or(Err(StoreError::Closed)) {
        Ok(told) => told,
        Err(error) => {
            let why = with_causes(&error);
            return Some(format!(
                "Redkeep cannot find out whether an instance works: {why}."
            ));
        }
    };
    let is_holder = |one: &KnownInstance| lease.holder.as_deref() == Some(&*one.id);
    let works = known.iter().any(|one| is_holder(one) && one.is_alive());
    let told = "No instance works, and no snapshot is taken; `redkeep instances` shows which ones are alive.";
    (!works).then(|| told.to_owned())
}

fn absent(config: &Config) -> Option<String> {
    let place = config.state_dir.display();
    let advice = "start the service, or `redkeep run`";
    match holder(&config.state_dir) {
        Ok(Holder::Daemon) => None,
        Ok(Holder::Command) => Some(format!(
            "The daemon does not run: only a command uses {place}, and no slot of a schedule starts; {advice}."
        )),
        Ok(Holder::Nobody) => Some(format!(
            "The daemon does not run: no redkeep has used {place}{}, and no snapshot is taken; {advice}.",
            last_held(config)
        )),
        Err(error) => Some(format!(
            "Redkeep cannot find out whether the daemon runs: {place}: {error}; run this as root or as the daemon's \
             user."
        )),
    }
}

/// What the running daemon tells to keep slots from beginning; nothing where none runs.
pub(super) fn troubles(config: &Config) -> Vec<Trouble> {
    match holder(&config.state_dir) {
        Ok(Holder::Daemon) => trouble::read(&config.state_dir),
        _ => Vec::new(),
    }
}

/// When somebody was last there.
fn last_held(config: &Config) -> String {
    last_held_at(&config.state_dir)
        .map(|at| format!(" since about {}", rfc3339(at)))
        .unwrap_or_default()
}

/// Above a table; beside what a program reads.
pub(super) fn tell(absence: &str, view: &View) -> Result<(), Failure> {
    let told = Tone::Bad.paint(absence, view.is_coloured);
    match view.output {
        Output::Table | Output::Wide => writeln!(std::io::stdout(), "{told}\n")?,
        Output::Json | Output::Csv => writeln!(std::io::stderr(), "{absence}")?,
    }
    Ok(())
}

//! The server by which several instances share the history, as the configuration names it.
//!
//! Owns: where its password is found, this process's name among the instances, and bringing the local copy up to date for a
//! command. Never keeps a password: it is read anew for each connection.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::aws;
use crate::clock::SystemClock;
use crate::config::{Config, Sources};
use crate::doctor::Shared;
use crate::error_chain::with_causes;
use crate::notify::text_of;
use crate::settings::{Database, DatabaseAuth};
use crate::store::{Inbox, Instance, Instances, Password, Server, StoreError};

use super::state_lock::{Holder, holder};

/// The name of systemd's credential (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "database-password";
const VARIABLE: &str = "REDKEEP_DATABASE_PASSWORD";

/// The server, with the way to its password.
pub(super) fn server(database: &Database, environment: &[(String, String)]) -> Server {
    let quoted = Database {
        // It may be one of SQL's own words.
        schema: format!("\"{}\"", database.schema),
        ..database.clone()
    };
    Server {
        database: quoted,
        password: password(database, environment),
    }
}

fn password(database: &Database, environment: &[(String, String)]) -> Password {
    let variable = |name: &str| {
        let mut variables = environment.iter();
        let found = variables.find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.clone())
    };
    let given = variable(VARIABLE);
    let credential = variable("CREDENTIALS_DIRECTORY")
        .map(|directory| Path::new(&directory).join(CREDENTIAL))
        .filter(|file| file.exists());
    let file = database.password_file.clone().or(credential);
    if database.auth == DatabaseAuth::Iam {
        return token(database, environment);
    }
    Arc::new(move || {
        let said = match &file {
            Some(file) => first_line(file).map(Some),
            None => Ok(given.clone()),
        };
        Box::pin(async { said })
    })
}

/// A token is good for 15 minutes, and only for connecting: each connection gets its own. It is made on this process's own
/// threads, where its credentials are found.
fn token(database: &Database, environment: &[(String, String)]) -> Password {
    let variable = |name: &str| {
        let mut variables = environment.iter();
        variables.find_map(|(known, value)| (known == name).then(|| value.clone()))
    };
    let region = region_of(database)
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| variable("AWS_DEFAULT_REGION"));
    let (database, runtime) = (database.clone(), tokio::runtime::Handle::current());
    Arc::new(move || {
        let (database, region) = (database.clone(), region.clone());
        let made = runtime.spawn(async move {
            let region = region.ok_or_else(|| {
                "auth = \"iam\" needs a region: the host has none in its name, and AWS_REGION is not set".to_owned()
            })?;
            aws::database_token(&database, &region, Arc::new(SystemClock::new())).await
        });
        Box::pin(async move {
            let made = made.await.unwrap_or_else(|died| Err(died.to_string()));
            made.map(Some)
        })
    })
}

/// The region in a name such as `history.cluster-abc.eu-central-1.rds.amazonaws.com`.
fn region_of(database: &Database) -> Option<String> {
    let (host, _) = database.hosts.first()?;
    let (before, _) = host.split_once(".rds.amazonaws.com")?;
    before.rsplit('.').next().map(str::to_owned)
}

fn first_line(file: &Path) -> Result<String, String> {
    let text = text_of(file).map_err(|error| error.to_string())?;
    let line = text.lines().next().unwrap_or_default();
    Ok(line.to_owned())
}

/// This process, as the other instances know it.
pub(super) fn instance(database: &Database, config: &Config) -> Result<Instance, StoreError> {
    let name = database.instance.clone().unwrap_or_else(host_name);
    Instance::new(name, env!("CARGO_PKG_VERSION"), config.fingerprint())
}

/// Brings the local copy of a shared history up to date, for a command that reads it. A daemon on this machine does that
/// already; where the server does not answer, what is shown is as old as the copy, and that is told.
pub(super) async fn catch_up(config: &Config, sources: &Sources) {
    let Some(database) = &config.database else {
        return;
    };
    if matches!(holder(&config.state_dir), Ok(Holder::Daemon)) {
        return;
    }
    let (server, path) = (server(database, &sources.environment), config.database());
    let done = tokio::task::spawn_blocking(move || Inbox::open_shared(&path, server).map(drop));
    match done.await {
        Ok(Ok(()) | Err(StoreError::Missing { .. })) => {}
        Ok(Err(error)) => tell(&with_causes(&error)),
        Err(died) => tell(&died.to_string()),
    }
}

/// The database as it answers now, and this machine's copy up to date where it does; `None` where there is none.
pub(super) async fn state(
    config: &Config,
    sources: &Sources,
) -> Option<Result<Shared, StoreError>> {
    let shared = config.database.as_ref()?;
    let (server, place) = (server(shared, &sources.environment), shared.place());
    let path = config.database();
    let asked = tokio::task::spawn_blocking(move || {
        Inbox::open_shared(&path, server.clone())?;
        ask(server, place)
    });
    Some(asked.await.unwrap_or(Err(StoreError::Closed)))
}

fn ask(server: Server, place: String) -> Result<Shared, StoreError> {
    let instances = Instances::new(server)?;
    let (lease, known, settings) = (instances.lease()?, instances.list()?, instances.settings()?);
    let setting = |name: &str| {
        let found = settings.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let limits = [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
    ];
    let alive = || known.iter().filter(|one| one.is_alive());
    let configurations: BTreeSet<&str> = alive().map(|one| one.config_hash.as_str()).collect();
    Ok(Shared {
        place,
        version: setting("server_version"),
        unlimited: limits
            .iter()
            .filter(|name| setting(name) == "0")
            .map(|name| (*name).to_owned())
            .collect(),
        works: lease.holder.is_some().then_some(lease.name),
        alive: alive().count(),
        differ: configurations.len() > 1,
    })
}

fn tell(why: &str) {
    // Where there is nobody to tell, nothing is to be done.
    let _ = writeln!(
        io::stderr(),
        "warning: {why}; this output is from this machine's copy of the history, as of the last time that the \
         database was reached"
    );
}

fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// As the kubelet lays a Secret out: a link to a file in a directory that is a link too.
    #[test]
    fn a_password_may_lie_in_a_secret_of_kubernetes() {
        let name = format!("redkeep-password-{}", std::process::id());
        let volume = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&volume);
        fs::create_dir_all(volume.join("..2026_11_30")).unwrap();
        fs::write(volume.join("..2026_11_30/password"), "hunter2\n").unwrap();
        symlink("..2026_11_30", volume.join("..data")).unwrap();
        symlink("..data/password", volume.join("password")).unwrap();
        let read = first_line(&volume.join("password"));
        fs::remove_dir_all(volume).unwrap();
        assert_eq!(read.as_deref(), Ok("hunter2"));
    }
}

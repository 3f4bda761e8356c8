//! Getting through to a server.
//!
//! Owns: which of several hosts is connected to, how the connection is secured, and what opens it. Never keeps a password.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::wire::{ANSWER_TIMEOUT, Answer, Trouble, in_time};
use redkeep_core::settings::Database;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(20);

/// Says the password, each time that one is needed: it may have been renewed. The error is for people.
pub type Password = Arc<dyn Fn() -> Saying + Send + Sync>;
/// The password, when it is found.
pub type Saying = Pin<Box<dyn Future<Output = Result<Option<String>, String>> + Send>>;

/// A server, and how to get in.
#[derive(Clone)]
pub struct Server {
    /// Where it is.
    pub database: Database,
    /// What opens it.
    pub password: Password,
}

/// A connection to the first host that takes writes, beginning with the one of this number, and that host's number.
///
/// Each host has a time limit of its own: one that accepts a connection and then says nothing, as a machine that hangs does,
/// must not keep the others from being asked.
pub(super) async fn connect(server: &Server, first: usize) -> Answer<(Client, usize)> {
    let unreachable = Trouble::Unreachable;
    let password = timeout(PASSWORD_TIMEOUT, (server.password)()).await;
    let password = password.unwrap_or_else(|_| {
        let limit = PASSWORD_TIMEOUT.as_secs();
        Err(format!("no password was found within {limit}s"))
    });
    let password = password.map_err(unreachable)?;
    let config = config(&server.database, password);
    let tls = match server.database.is_here() {
        true => None,
        false => Some(tls(server.database.ca_file.as_deref()).map_err(unreachable)?),
    };
    let hosts = server.database.hosts.iter().enumerate();
    let in_turn = hosts.clone().skip(first).chain(hosts.take(first));
    let mut troubles = Vec::new();
    for (number, (host, port)) in in_turn {
        let mut config = config.clone();
        config.host(host).port(*port);
        match in_time(CONNECT_TIMEOUT, connect_to(config, tls.clone())).await {
            Ok(client) => return Ok((client, number)),
            Err(Trouble::Unreachable(why)) => troubles.push(format!("{host}:{port}: {why}")),
            Err(refused) => return Err(refused),
        }
    }
    Err(Trouble::Unreachable(troubles.join("; ")))
}

async fn connect_to(
    config: Config,
    tls: Option<MakeRustlsConnect>,
) -> Result<Client, tokio_postgres::Error> {
    match tls {
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        }
        Some(tls) => {
            let (client, connection) = config.connect(tls).await?;
            tokio::spawn(connection);
            Ok(client)
        }
    }
}

/// Everything about a connection but the host.
fn config(database: &Database, password: Option<String>) -> Config {
    let mut config = Config::new();
    config
        .user(&database.user)
        .dbname(&database.name)
        .application_name("redkeep")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(ANSWER_TIMEOUT)
        .keepalives_idle(ANSWER_TIMEOUT)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    config.ssl_mode(match database.is_here() {
        true => SslMode::Disable,
        // The driver's default goes on in plain text where the server has no TLS.
        false => SslMode::Require,
    });
    if let Some(password) = password {
        config.password(password);
    }
    config
}

/// Verifies the server's chain and its name, always.
fn tls(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            let place = file.display();
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| format!("cannot read certificates from {place}: {error}"))?;
            for certificate in certificates {
                let added = roots.add(certificate);
                added.map_err(|error| format!("a certificate in {place}: {error}"))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Has the server end what it is asked: it does not see that nobody waits for the answer, and keeps a connection for each.
pub(super) fn cancel(client: &Client, database: &Database) -> impl Future<Output = ()> + use<> {
    let (token, is_here) = (client.cancel_token(), database.is_here());
    let ca_file = database.ca_file.clone();
    let cancelling = timeout(CONNECT_TIMEOUT, async move {
        if is_here {
            return token.cancel_query(NoTls).await;
        }
        match tls(ca_file.as_deref()) {
            Ok(tls) => token.cancel_query(tls).await,
            Err(_) => Ok(()),
        }
    });
    // A server that does not hear that either has gone.
    async move { drop(cancelling.await) }
}

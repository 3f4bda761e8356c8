//! A connection to PostgreSQL, for a thread that waits for each answer.
//!
//! Owns: the connection's own thread, how it is secured, and the time limit of each question. The only code that names the
//! driver. Never tells a statement's outcome that it does not know: after a silence or a broken connection it says
//! [`Trouble::Unreachable`], and the next question connects anew.
//!
//! Every statement names the types of its parameters, because a prepared one does not pass PgBouncer in transaction mode
//! (rust-postgres pull request 1160).

use std::error::Error;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use rusqlite::types::Value;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use redkeep_core::settings::Database;

/// A question without an answer for so long has no known outcome.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a change of the schema, and for the next rows of many.
const LONG_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(20);
/// So many rows are handed on at once.
const CHUNK: usize = 500;

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

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server could not be asked, or did not answer in time: what was asked may have happened or not.
    Unreachable(String),
    /// The server refuses it; nothing happened.
    Refused {
        /// Its SQLSTATE.
        code: String,
        /// Its words.
        message: String,
    },
}

/// A row of an answer, a value for each column.
pub(super) type Values = Vec<Value>;
type Answer<T> = Result<T, Trouble>;

/// A statement, with what is bound to it.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Values,
}

enum Job {
    Ask(Statement, Sender<Answer<Vec<Values>>>),
    Script(String, Sender<Answer<()>>),
    Stream(Vec<Statement>, SyncSender<Answer<Part>>),
}

/// A part of the answers to several questions.
pub(super) struct Part {
    /// Which question, counted from 0.
    pub(super) question: usize,
    pub(super) rows: Vec<Values>,
}

/// A connection, which is made when it is needed.
pub(super) struct Wire {
    jobs: mpsc::UnboundedSender<Job>,
    schema: String,
}

impl Wire {
    /// A connection that is not made yet.
    pub(super) fn new(server: Server) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let schema = server.database.schema.clone();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("redkeep-postgres".to_owned())
            .spawn(move || serve(&runtime, server, waiting))?;
        Ok(Self { jobs, schema })
    }

    /// The schema of redkeep's tables, as statements name it.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Asks one statement in which `{s}` stands for the schema.
    pub(super) fn query(&self, sql: &str, values: Values) -> Answer<Vec<Values>> {
        let sql = sql.replace("{s}", &self.schema);
        self.ask(Statement { sql, values })
    }

    /// Asks one statement, which is a transaction of its own.
    pub(super) fn ask(&self, statement: Statement) -> Answer<Vec<Values>> {
        let (answer, answers) = channel();
        self.send(Job::Ask(statement, answer))?;
        answers.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Carries out several statements without values, in one transaction if they say so.
    pub(super) fn script(&self, sql: String) -> Answer<()> {
        let (answer, answers) = channel();
        self.send(Job::Script(sql, answer))?;
        answers.recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Asks several questions as of one instant. The answer ends with its channel.
    pub(super) fn stream(&self, questions: Vec<Statement>) -> Answer<Receiver<Answer<Part>>> {
        let (parts, answers) = sync_channel(4);
        self.send(Job::Stream(questions, parts))?;
        Ok(answers)
    }

    fn send(&self, job: Job) -> Answer<()> {
        self.jobs.send(job).map_err(|_| ended())
    }
}

fn ended() -> Trouble {
    Trouble::Unreachable("the connection's thread has ended".to_owned())
}

fn serve(runtime: &Runtime, server: Server, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut link = Link {
        server,
        client: None,
    };
    runtime.block_on(async {
        while let Some(job) = jobs.recv().await {
            // Whoever does not wait for the answer does not want it.
            match job {
                Job::Ask(statement, answer) => drop(answer.send(link.ask(&statement).await)),
                Job::Script(sql, answer) => drop(answer.send(link.script(&sql).await)),
                Job::Stream(questions, parts) => {
                    if let Err(trouble) = link.stream(&questions, &parts).await {
                        drop(parts.send(Err(trouble)));
                    }
                }
            }
        }
    });
}

struct Link {
    server: Server,
    client: Option<Client>,
}

impl Link {
    async fn ask(&mut self, statement: &Statement) -> Answer<Vec<Values>> {
        let database = self.server.database.clone();
        let client = self.client().await?;
        let parameters = bound(&statement.values);
        let asked = client.query_typed(&statement.sql, &parameters);
        let answer = in_time(ANSWER_TIMEOUT, asked).await;
        if matches!(answer, Err(Trouble::Unreachable(_))) && !client.is_closed() {
            cancel(client, &database);
        }
        let rows = self.judged(answer)?;
        rows.iter().map(values).collect()
    }

    async fn script(&mut self, sql: &str) -> Answer<()> {
        let client = self.client().await?;
        let answer = in_time(LONG_TIMEOUT, client.batch_execute(sql)).await;
        if answer.is_err() {
            // It may have left a transaction open.
            self.client = None;
        }
        answer
    }

    async fn stream(
        &mut self,
        questions: &[Statement],
        parts: &SyncSender<Answer<Part>>,
    ) -> Answer<()> {
        // The server itself ends a transaction that is left lying, so that it holds nothing up.
        self.script(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET LOCAL idle_in_transaction_session_timeout = '60s'",
        )
        .await?;
        for (question, statement) in questions.iter().enumerate() {
            let streamed = self.stream_one(question, statement, parts).await;
            if streamed.is_err() {
                self.client = None;
            }
            streamed?;
        }
        self.script("COMMIT").await
    }

    async fn stream_one(
        &mut self,
        question: usize,
        statement: &Statement,
        parts: &SyncSender<Answer<Part>>,
    ) -> Answer<()> {
        let client = self.client().await?;
        let parameters = bound(&statement.values)
            .into_iter()
            .map(|(value, kind)| (value as &dyn ToSql, kind));
        let asked = client.query_typed_raw(&statement.sql, parameters);
        let answer = in_time(LONG_TIMEOUT, asked).await;
        let rows = self.judged(answer)?;
        tokio::pin!(rows);
        loop {
            let mut chunk = Vec::new();
            while chunk.len() < CHUNK {
                let next = async { rows.next().await.transpose() };
                match in_time(LONG_TIMEOUT, next).await? {
                    Some(row) => chunk.push(values(&row)?),
                    None => break,
                }
            }
            let is_last = chunk.len() < CHUNK;
            let part = Part {
                question,
                rows: chunk,
            };
            if parts.send(Ok(part)).is_err() || is_last {
                return Ok(());
            }
        }
    }

    async fn client(&mut self) -> Answer<&Client> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = Some(connect(&self.server).await?);
        }
        self.client.as_ref().ok_or_else(ended)
    }

    /// After a question without a known outcome the connection is of no more use.
    fn judged<T>(&mut self, answer: Answer<T>) -> Answer<T> {
        if matches!(answer, Err(Trouble::Unreachable(_))) {
            self.client = None;
        }
        answer
    }
}

/// Has the server end what it is asked: it does not see that nobody waits for the answer, and keeps a connection for each.
fn cancel(client: &Client, database: &Database) {
    let (token, is_here) = (client.cancel_token(), database.is_here());
    let ca_file = database.ca_file.clone();
    tokio::spawn(timeout(CONNECT_TIMEOUT, async move {
        // A server that does not hear that either has gone.
        let _ = match (is_here, tls(ca_file.as_deref())) {
            (true, _) => token.cancel_query(NoTls).await,
            (false, Ok(tls)) => token.cancel_query(tls).await,
            (false, Err(_)) => Ok(()),
        };
    }));
}

async fn in_time<T>(
    limit: Duration,
    question: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Answer<T> {
    match timeout(limit, question).await {
        Ok(answer) => answer.map_err(|error| trouble(&error)),
        Err(_) => {
            let silence = format!("no answer within {}s", limit.as_secs());
            Err(Trouble::Unreachable(silence))
        }
    }
}

/// What an error says of the statement: refused by a server that is well, or anything else.
fn trouble(error: &tokio_postgres::Error) -> Trouble {
    let Some(told) = error.as_db_error() else {
        return Trouble::Unreachable(with_causes(error));
    };
    let code = told.code().code();
    // Connections, passwords, others in the way, resources, an operator's intervention, the system, and a server that takes
    // no writes (postgresql.org/docs/current/errcodes-appendix.html): what passes.
    let passes = ["08", "28", "40", "53", "55", "57", "58", "25006"]
        .iter()
        .any(|class| code.starts_with(class));
    let message = told.message().to_owned();
    match passes {
        true => Trouble::Unreachable(message),
        false => Trouble::Refused {
            code: code.to_owned(),
            message,
        },
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

async fn connect(server: &Server) -> Answer<Client> {
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
    let connecting = async {
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
    };
    // A server with several hosts may need as many times as long.
    let hosts = u32::try_from(server.database.hosts.len()).unwrap_or(1);
    in_time(CONNECT_TIMEOUT * hosts, connecting).await
}

fn config(database: &Database, password: Option<String>) -> Config {
    let Database {
        hosts, user, name, ..
    } = database;
    let mut config = Config::new();
    config
        .user(user)
        .dbname(name)
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
    for (host, port) in hosts {
        config.host(host).port(*port);
    }
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

/// What is bound, by its type.
fn bound(values: &Values) -> Vec<(&(dyn ToSql + Sync), Type)> {
    values.iter().map(bound_one).collect()
}

fn bound_one(value: &Value) -> (&(dyn ToSql + Sync), Type) {
    match value {
        Value::Integer(number) => (number, Type::INT8),
        Value::Text(text) => (text, Type::TEXT),
        // No table has a column of another kind.
        Value::Null | Value::Real(_) | Value::Blob(_) => (&None::<String>, Type::TEXT),
    }
}

/// The columns of a row, which are texts and whole numbers only.
fn values(row: &Row) -> Answer<Values> {
    let one = |(index, column): (usize, &tokio_postgres::Column)| {
        let value = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(index).map(Value::from),
            _ => row.try_get::<_, Option<String>>(index).map(Value::from),
        };
        value.map_err(|error| Trouble::Unreachable(with_causes(&error)))
    };
    row.columns().iter().enumerate().map(one).collect()
}

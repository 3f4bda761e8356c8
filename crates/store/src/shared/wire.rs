//! A connection to PostgreSQL, for a thread that waits for each answer.
//!
//! Owns: the connection's own thread, and the time limit of each question. With `dial` the only code that names the driver.
//! Never tells a statement's outcome that it does not know: after a silence or a broken connection it says
//! [`Trouble::Unreachable`], and the next question connects anew.
//!
//! Every statement names the types of its parameters, because a prepared one does not pass PgBouncer in transaction mode
//! (rust-postgres pull request 1160).

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use rusqlite::types::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::dial::{Server, cancel, connect};
use redkeep_core::error_chain::with_causes;

/// A question without an answer for so long has no known outcome.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a change of the schema, and for the next rows of many.
const LONG_TIMEOUT: Duration = Duration::from_secs(30);
/// How many rows are handed on at once.
const CHUNK: usize = 500;

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
pub(super) type Answer<T> = Result<T, Trouble>;

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
        host: 0,
        cancelling: JoinSet::new(),
    };
    runtime.block_on(async {
        while let Some(job) = jobs.recv().await {
            while link.cancelling.try_join_next().is_some() {}
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
        while link.cancelling.join_next().await.is_some() {}
    });
}

struct Link {
    server: Server,
    client: Option<Client>,
    /// The number of the host that was connected to last.
    host: usize,
    /// What the server is asked no more, until it has heard that.
    cancelling: JoinSet<()>,
}

impl Link {
    async fn ask(&mut self, statement: &Statement) -> Answer<Vec<Values>> {
        let database = self.server.database.clone();
        let client = self.client().await?;
        let parameters = bound(&statement.values);
        let asked = client.query_typed(&statement.sql, &parameters);
        let answer = in_time(ANSWER_TIMEOUT, asked).await;
        if matches!(answer, Err(Trouble::Unreachable(_))) && !client.is_closed() {
            let cancelling = cancel(client, &database);
            self.cancelling.spawn(cancelling);
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
            let (client, host) = connect(&self.server, self.host).await?;
            (self.client, self.host) = (Some(client), host);
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

pub(super) async fn in_time<T>(
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

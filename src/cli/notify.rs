//! `redkeep notify`: whether a receiver hears anything, and what waits for it.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;
use redkeep_core::notify::delivery::{Delivery, Form};
use redkeep_core::notify::test_message;

use crate::aws::OutgoingClient;
use crate::clock::Clock;
use crate::config::did_you_mean;
use crate::names::ReceiverName;
use crate::notify::{Sent, send};
use crate::slot::rfc3339;
use crate::store::{Pending, Reader};
use crate::told::command;

use super::history::unreadable;
use super::output::{Column, View, row, text, write_rows};
use super::view::OutputArgs;
use super::{ConfigArgs, Failure, load, load_to_read};

/// Sends a test to a receiver, or shows which messages wait to be delivered.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep notify --test ops
  redkeep notify --pending
  redkeep notify --pending --output json

--test sends one message at once, also while a daemon runs, and shows the receiver's answer. A healthchecks
receiver gets it as /log, which does not change the state of the check. Only the service has its systemd
credentials; to use one here, run systemd-run -P -p LoadCredential=… redkeep notify --test NAME. Exits with
1 when the receiver did not accept the message, 2 when there is no such receiver.")]
pub struct NotifyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Send a test message to this receiver
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "pending",
        required_unless_present = "pending"
    )]
    test: Option<String>,
    /// Show the messages that wait for a receiver
    #[arg(long)]
    pending: bool,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// A message that waits.
    PendingRow {
        id: String,
        receiver: String,
        event: &'static str,
        state: &'static str,
        severity: &'static str,
        dedup_key: String,
        since: String,
        created_at: String,
        due_at: String,
        policy: Option<String>,
        account: Option<String>,
        region: Option<String>,
        cluster: Option<String>,
        scheduled_at: Option<String>,
        snapshot_id: Option<String>,
        title: String,
        reason: String,
        action: String,
        attempts: u32,
        next_at: String,
        trouble: Option<String>,
    }
}

const COLUMNS: &[Column<PendingRow>] = &[
    Column("created_at", |row| row.created_at.clone()),
    Column("receiver", |row| row.receiver.clone()),
    Column("event", |row| row.event.to_owned()),
    Column("state", |row| row.state.to_owned()),
    Column("title", |row| row.title.clone()),
    Column("attempts", |row| row.attempts.to_string()),
    Column("next_at", |row| row.next_at.clone()),
    Column("trouble", |row| text(&row.trouble)),
];

pub(super) async fn notify(args: &NotifyArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    match &args.test {
        Some(name) => test(args, name, &*clock).await,
        None => pending(args).await,
    }
}

async fn test(args: &NotifyArgs, name: &str, clock: &dyn Clock) -> Result<(), Failure> {
    let config = load(&args.config).await?;
    let mut receivers = config.receivers.iter();
    let Some(receiver) = receivers.find(|one| one.name.as_str() == name) else {
        let known = config.receivers.iter().map(|one| one.name.as_str());
        let hint = did_you_mean(name, known);
        return Err(Failure::Usage(format!(
            "there is no receiver {name:?}{hint}"
        )));
    };
    let now = clock.now();
    let receiver_name: &ReceiverName = &receiver.name;
    let message = test_message(receiver_name, now);
    let delivery = Delivery {
        covers: vec![message.id.clone()],
        messages: vec![message],
        outdated: Vec::new(),
        form: Form::Single,
    };
    let client = OutgoingClient::default();
    match send(&client, receiver, &delivery, &config.namespace, now).await {
        Sent::Delivered(said) => {
            writeln!(io::stdout(), "{name} accepted the message: {said}")?;
            Ok(())
        }
        Sent::Refused(why) | Sent::Failed { why, .. } => Err(Failure::Other(format!(
            "{name} did not accept the message: {why}"
        ))),
    }
}

async fn pending(args: &NotifyArgs) -> Result<(), Failure> {
    let (config, _) = load_to_read(&args.config).await?;
    let reader = Reader::open(&config.database()).map_err(unreadable)?;
    let rows: Vec<PendingRow> = { reader.pending().map_err(unreadable)? }
        .into_iter()
        .map(PendingRow::from)
        .collect();
    let mut out = io::stdout().lock();
    let view = View::plain(&args.output).or_say("No message waits for a receiver.");
    write_rows(&mut out, view, COLUMNS, &rows)?;
    Ok(())
}

impl From<Pending> for PendingRow {
    fn from(pending: Pending) -> Self {
        let Pending {
            message,
            attempts,
            next_at,
            trouble,
        } = pending;
        let severity = message.severity_now().as_str();
        let content = message.content;
        Self {
            id: message.id,
            receiver: message.receiver.to_string(),
            event: message.event.as_str(),
            state: message.state.as_str(),
            severity,
            dedup_key: message.dedup_key,
            since: rfc3339(message.since),
            created_at: rfc3339(message.created_at),
            due_at: rfc3339(message.due_at),
            policy: content.policy,
            account: content.account,
            region: content.region,
            cluster: content.cluster,
            scheduled_at: content.scheduled_at,
            snapshot_id: content.snapshot_id,
            title: content.title,
            reason: content.reason,
            action: command::whole(&content.action).into_owned(),
            attempts,
            next_at: rfc3339(next_at),
            trouble,
        }
    }
}

//! The way to AWS: the product's own steps from a call to its reply, and each request of theirs on the wire.
//!
//! Owns: the client that turns every request into a message, and the calls that wait for answers. A call is a future
//! that nobody but the simulation polls, without a runtime: between any two of its requests the process may die.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::execute::execute;
use redkeep_core::lease::{Fenced, Trust};
use redkeep_core::names::{Region, Retention};
use redkeep_core::plan::Call;
use redkeep_core::redshift::{
    Answer, Cluster, CreateRequest, ErrorClass, Redshift, RedshiftError, ServerDate, SnapshotEvent,
    found_by_name,
};
use redkeep_core::reply::Reply;
use redkeep_core::slot::Scope;
use redkeep_core::snapshot::{Snapshot, SnapshotId};
use redkeep_sandbox::faults::FaultEffect;
use tokio::sync::oneshot;

use super::aws::Aws;
use super::serve::{Served, served};

/// Where the answer to a request goes.
pub type To<T> = oneshot::Sender<Answer<T>>;

/// One request to AWS.
pub enum Request {
    /// DescribeClusters, all pages.
    Clusters(To<Vec<Cluster>>),
    /// DescribeClusterSnapshots, all pages, those of a long listing so far apart.
    Snapshots(To<Vec<Arc<Snapshot>>>, TimeDelta),
    /// DescribeClusterSnapshots of one name.
    Snapshot(SnapshotId, To<Vec<Arc<Snapshot>>>),
    /// CreateClusterSnapshot.
    Create(CreateRequest, To<Arc<Snapshot>>),
    /// ModifyClusterSnapshot.
    KeepFor(SnapshotId, Retention, To<Arc<Snapshot>>),
    /// DeleteClusterSnapshot, with the cluster's name.
    Delete(SnapshotId, String, To<()>),
    /// CreateTags: the ARN, the key and the value.
    Tag(String, String, String, To<()>),
    /// DeleteTags: the ARN and the key.
    Untag(String, String, To<()>),
    /// Any other operation that only looks, and how it is carried out.
    Look(&'static str, Look),
}

/// Carries a look out at AWS, with what it suffers, in a region, at an instant.
pub type Look = Box<dyn FnOnce(&mut Aws, &FaultEffect, &str, DateTime<Utc>) -> Served + Send>;

impl Request {
    /// Whether it asks for all that there is.
    pub fn is_listing(&self) -> bool {
        matches!(self, Self::Clusters(_) | Self::Snapshots(..))
    }

    /// The value of `Action`.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Clusters(_) => "DescribeClusters",
            Self::Snapshots(..) | Self::Snapshot(..) => "DescribeClusterSnapshots",
            Self::Create(..) => "CreateClusterSnapshot",
            Self::KeepFor(..) => "ModifyClusterSnapshot",
            Self::Delete(..) => "DeleteClusterSnapshot",
            Self::Tag(..) => "CreateTags",
            Self::Untag(..) => "DeleteTags",
            Self::Look(operation, _) => operation,
        }
    }
}

/// Redshift as the product's calls see it: whatever is asked waits for the simulation to carry it out.
struct Client {
    requests: mpsc::Sender<Request>,
}

impl Client {
    async fn ask<T>(&self, request: impl FnOnce(To<T>) -> Request) -> Answer<T> {
        let (to, from) = oneshot::channel();
        self.requests.send(request(to)).ok();
        from.await.unwrap_or_else(|_| unanswered())
    }

    /// Asks what AWS finds by `look`; the log says `told` of it, and `what` was looked for where it is refused.
    async fn look<T: Send + 'static>(
        &self,
        operation: &'static str,
        what: String,
        look: impl FnOnce(&mut Aws, &str, DateTime<Utc>) -> T + Send + 'static,
        told: impl FnOnce(&T) -> Option<String> + Send + 'static,
    ) -> Answer<T> {
        let carried_out = |to| -> Look {
            Box::new(move |aws, fault_effect, region, now| {
                let answer = aws.answer(fault_effect, now, |aws| Ok(look(aws, region, now)));
                served(to, answer, &what, told)
            })
        };
        self.ask(|to| Request::Look(operation, carried_out(to)))
            .await
    }
}

/// Nobody hears it: the process has died, and its calls with it.
fn unanswered<T>() -> Answer<T> {
    Answer {
        result: Err(RedshiftError {
            class: ErrorClass::Unknown,
            code: None,
            message: "the simulation has dropped the request".to_owned(),
        }),
        server_date: ServerDate::NoAnswer,
        requests: 1,
    }
}

impl Redshift for Client {
    async fn clusters(&self) -> Answer<Vec<Cluster>> {
        self.ask(Request::Clusters).await
    }

    async fn snapshots(&self, page_pause: Duration) -> Answer<Vec<Arc<Snapshot>>> {
        let pause = TimeDelta::from_std(page_pause).unwrap_or_default();
        self.ask(|to| Request::Snapshots(to, pause)).await
    }

    async fn snapshot(&self, id: &SnapshotId) -> Answer<Vec<Arc<Snapshot>>> {
        let answer = self.ask(|to| Request::Snapshot(id.clone(), to)).await;
        Answer {
            result: found_by_name(answer.result),
            ..answer
        }
    }

    async fn create(&self, request: &CreateRequest) -> Answer<Arc<Snapshot>> {
        self.ask(|to| Request::Create(request.clone(), to)).await
    }

    async fn keep_for(&self, id: &SnapshotId, retention: Retention) -> Answer<Arc<Snapshot>> {
        self.ask(|to| Request::KeepFor(id.clone(), retention, to))
            .await
    }

    async fn delete(&self, id: &SnapshotId, cluster: &str) -> Answer<()> {
        self.ask(|to| Request::Delete(id.clone(), cluster.to_owned(), to))
            .await
    }

    async fn tag(&self, arn: &str, key: &str, value: &str) -> Answer<()> {
        let [arn, key, value] = [arn, key, value].map(str::to_owned);
        self.ask(|to| Request::Tag(arn, key, value, to)).await
    }

    async fn untag(&self, arn: &str, key: &str) -> Answer<()> {
        let [arn, key] = [arn, key].map(str::to_owned);
        self.ask(|to| Request::Untag(arn, key, to)).await
    }

    async fn events(&self, id: &SnapshotId) -> Answer<Vec<SnapshotEvent>> {
        let (what, of, id) = (format!("the events of {id}"), id.clone(), id.clone());
        self.look(
            "DescribeEvents",
            what,
            move |aws, region, now| aws.events(region, id.as_str(), now),
            move |events| Some(format!("tells {} events of {of}", events.len())),
        )
        .await
    }

    async fn account_number(&self) -> Answer<String> {
        self.look(
            "GetCallerIdentity",
            "the account's number".to_owned(),
            |aws, _, _| aws.account.account_id.clone(),
            |_| None,
        )
        .await
    }
}

/// Whether a host may do what only one may do, as its calls see it.
#[derive(Clone, Default)]
struct Faith(Arc<AtomicBool>);

impl Trust for Faith {
    fn is_trusted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A call of a host's process that has not ended.
pub struct UnderWay {
    pub host: usize,
    /// Which life of the host's process makes it.
    pub life: u32,
    pub scope: Scope,
    /// Which account its credentials lead to.
    pub account: usize,
    /// The snapshot that a person asked to be held, released or taken over, and whether it was half on hold before.
    pub acts_on: Option<(SnapshotId, bool)>,
    /// When it began, in true time.
    pub sent_at: DateTime<Utc>,
    /// When its listing of snapshots was carried out, in true time.
    pub looked_at: Option<DateTime<Utc>>,
    /// How many requests it may still send.
    pub budget: u32,
    is_trusted: Faith,
    steps: Pin<Box<dyn Future<Output = Reply> + Send>>,
    requests: mpsc::Receiver<Request>,
}

impl UnderWay {
    pub fn new(
        (host, life): (usize, u32),
        account: usize,
        call: Call,
        (sent_at, began_at): (DateTime<Utc>, DateTime<Utc>),
    ) -> Self {
        let (sender, requests) = mpsc::channel();
        let is_trusted = Faith::default();
        let client = Fenced::new(Client { requests: sender }, is_trusted.clone());
        let client = Arc::new(client);
        Self {
            host,
            life,
            scope: call.scope().clone(),
            account,
            acts_on: None,
            sent_at,
            looked_at: None,
            budget: call.requests(),
            is_trusted,
            steps: Box::pin(execute(call, client, began_at)),
            requests,
        }
    }

    /// Whether its host may do what only one may do, from now on.
    pub fn set_trusted(&self, is_trusted: bool) {
        self.is_trusted.0.store(is_trusted, Ordering::Relaxed);
    }

    /// Goes on as far as the answers that have come lead: new requests, and the reply where it is the end.
    pub fn go_on(&mut self) -> (Vec<Request>, Option<Reply>) {
        let mut context = Context::from_waker(Waker::noop());
        let reply = match self.steps.as_mut().poll(&mut context) {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        };
        (self.requests.try_iter().collect(), reply)
    }
}

/// A request on the wire.
pub struct Wire {
    pub host: usize,
    pub life: u32,
    /// The number of the call that it is for.
    pub call: u64,
    pub account: usize,
    pub region: Region,
    pub sent_at: DateTime<Utc>,
    /// When it gets to AWS, or its answer to the host.
    pub arrives_at: DateTime<Utc>,
    /// For how long AWS holds the answer back.
    pub is_slow_by: TimeDelta,
    pub state: State,
}

/// How far a request has got.
pub enum State {
    /// On its way to AWS.
    Sent(Request),
    /// AWS takes its time.
    Waits(Request, FaultEffect),
    /// Carried out: handing the answer over is all that is left.
    Answered(Answered),
}

/// The answer to a request on its way back.
pub struct Answered {
    pub hand_over: Box<dyn FnOnce() + Send>,
    /// When it was carried out, if it was to list the snapshots.
    pub looked_at: Option<DateTime<Utc>>,
    /// The name that was asked for, if the answer does not say whether AWS makes the snapshot.
    pub leaves_open: Option<String>,
}

impl Wire {
    pub fn is_answered(&self) -> bool {
        matches!(self.state, State::Answered(_))
    }
}

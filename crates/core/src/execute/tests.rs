//! The requests of a call over an AWS that answers as it is told to.
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::history::Extension;
use crate::names::{Namespace, Tags, Tier, Trigger, Writer};
use crate::operations::Why;
use crate::redshift::{Cluster, CreateRequest, SnapshotEvent};
use crate::slot::{Pair, Slot};
use crate::snapshot::{Generation, Label};
use crate::test_fixtures::{at, scope};

const OURS: &str = "111122223333";

/// An AWS that describes what it is told to, and takes every change without showing it.
struct Answering {
    described: Result<Vec<Arc<Snapshot>>, ErrorClass>,
    created: Result<(), ErrorClass>,
    asked: Mutex<Vec<&'static str>>,
}

impl Answering {
    fn describing(described: Result<Vec<Snapshot>, ErrorClass>) -> Arc<Self> {
        Arc::new(Self {
            described: described.map(|all| all.into_iter().map(Arc::new).collect()),
            created: Ok(()),
            asked: Mutex::default(),
        })
    }

    fn answer<T>(&self, operation: &'static str, result: Result<T, ErrorClass>) -> Answer<T> {
        self.asked.lock().unwrap().push(operation);
        let error = |class| RedshiftError {
            class,
            code: None,
            message: "told so".to_owned(),
        };
        Answer {
            result: result.map_err(error),
            server_date: ServerDate::At(now()),
            requests: 1,
        }
    }

    fn asked(&self) -> Vec<&'static str> {
        self.asked.lock().unwrap().clone()
    }
}

impl Redshift for Answering {
    async fn clusters(&self) -> Answer<Vec<Cluster>> {
        self.answer("clusters", Ok(Vec::new()))
    }

    async fn snapshots(&self, _: Duration) -> Answer<Vec<Arc<Snapshot>>> {
        self.answer("snapshots", self.described.clone())
    }

    async fn snapshot(&self, _: &SnapshotId) -> Answer<Vec<Arc<Snapshot>>> {
        self.answer("snapshot", self.described.clone())
    }

    async fn create(&self, _: &CreateRequest) -> Answer<Arc<Snapshot>> {
        self.answer("create", self.created.map(|()| Arc::default()))
    }

    async fn keep_for(&self, _: &SnapshotId, _: Retention) -> Answer<Arc<Snapshot>> {
        self.answer("keep_for", Ok(Arc::default()))
    }

    async fn delete(&self, _: &SnapshotId, _: &str) -> Answer<()> {
        self.answer("delete", Ok(()))
    }

    async fn tag(&self, _: &str, _: &str, _: &str) -> Answer<()> {
        self.answer("tag", Ok(()))
    }

    async fn untag(&self, _: &str, _: &str) -> Answer<()> {
        self.answer("untag", Ok(()))
    }

    async fn events(&self, _: &SnapshotId) -> Answer<Vec<SnapshotEvent>> {
        self.answer("events", Ok(Vec::new()))
    }

    async fn account_number(&self) -> Answer<String> {
        self.answer("account_number", Ok(OURS.to_owned()))
    }
}

fn now() -> DateTime<Utc> {
    at("2026-11-24T12:00:00Z")
}

fn slot() -> Slot {
    Slot {
        pair: Pair {
            policy: "nightly".parse().unwrap(),
            scope: scope("eu-central-1"),
            cluster: "dw".parse().unwrap(),
        },
        scheduled_at: at("2026-11-24T01:30:00Z"),
    }
}

fn namespace() -> Namespace {
    "redkeep".parse().unwrap()
}

fn writer() -> Writer {
    "one".parse().unwrap()
}

fn id() -> SnapshotId {
    SnapshotId::derive(&namespace(), &slot(), Generation::First)
}

/// The snapshot of the slot, of an account.
fn snapshot_of(account: &str) -> Snapshot {
    let (namespace, slot, writer) = (namespace(), slot(), writer());
    let label = Label {
        namespace: &namespace,
        slot: &slot,
        tier: Tier::Base,
        trigger: Trigger::Schedule,
        writer: &writer,
    };
    Snapshot {
        snapshot_identifier: id().to_string(),
        cluster_identifier: Some("dw".to_owned()),
        snapshot_type: Some("manual".to_owned()),
        owner_account: Some(account.to_owned()),
        snapshot_arn: Some(format!(
            "arn:aws:redshift:eu-central-1:{account}:snapshot:dw/{}",
            id()
        )),
        snapshot_retention_start_time: Some(at("2026-11-24T01:30:00Z")),
        manual_snapshot_retention_period: Some(7),
        tags: label.tags(&Tags::new()),
        ..Snapshot::default()
    }
}

fn proof() -> Proof {
    Proof {
        namespace: namespace(),
        writer: writer(),
        scope: scope("eu-central-1"),
        account_number: OURS.to_owned(),
        cluster_created_at: None,
    }
}

/// What comes of a call over it: nothing here ever waits.
fn made(call: Call, aws: &Arc<Answering>) -> Reply {
    let mut steps = pin!(execute(call, Arc::clone(aws), now()));
    match steps.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(reply) => reply,
        Poll::Pending => panic!("it waits"),
    }
}

fn extended(aws: &Arc<Answering>) -> Result<(), ErrorClass> {
    let (from, to) = ("7d".parse().unwrap(), "14d".parse().unwrap());
    let call = Call::Extend {
        id: id(),
        extension: Extension {
            slot: slot(),
            extended_at: now(),
            from,
            to,
            reason: String::new(),
        },
        account_number: Some(OURS.to_owned()),
    };
    match made(call, aws) {
        Reply::Extended(_, answer) => answer.result.map(drop).map_err(|error| error.class),
        other => panic!("{other:?}"),
    }
}

fn removed(aws: &Arc<Answering>, look_at: Option<DateTime<Utc>>) -> Result<Removed, ErrorClass> {
    let removal = Removal {
        slot: slot(),
        id: id(),
        why: Why::Surplus,
        planned_at: now(),
        look_at,
        end: None,
    };
    let call = Call::Remove {
        removal: Box::new(removal),
        proof: Box::new(proof()),
    };
    match made(call, aws) {
        Reply::Removed(_, answer) => answer.result.map_err(|error| error.class),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_create_call_is_one_request_and_its_answer_goes_back_as_it_came() {
    for created in [
        Ok(()),
        Err(ErrorClass::Unknown),
        Err(ErrorClass::AlreadyExists),
    ] {
        let aws = Arc::new(Answering {
            created,
            ..Arc::into_inner(Answering::describing(Ok(Vec::new()))).unwrap()
        });
        let request = CreateRequest {
            snapshot_id: id(),
            cluster: "dw".parse().unwrap(),
            retention: "7d".parse().unwrap(),
            tags: Tags::new(),
        };
        let call = Call::Create {
            slot: slot(),
            request,
        };
        let Reply::Created(_, answer) = made(call, &aws) else {
            panic!("no answer to it");
        };
        assert_eq!(
            answer.result.map(drop).map_err(|error| error.class),
            created
        );
        assert_eq!(aws.asked(), ["create"]);
    }
}

#[test]
fn what_cannot_be_described_is_neither_extended_nor_gone() {
    for (told, wanted) in [
        (ErrorClass::AccessDenied, ErrorClass::AccessDenied),
        (ErrorClass::Throttled, ErrorClass::Throttled),
        // Nothing was sent that changes anything: whatever came of the look, the outcome is clear.
        (ErrorClass::Unknown, ErrorClass::Unsent),
    ] {
        let aws = Answering::describing(Err(told));
        assert_eq!(extended(&aws), Err(wanted));
        assert_eq!(removed(&aws, None), Err(wanted));
        assert_eq!(aws.asked(), ["snapshot", "snapshot"]);
    }
}

#[test]
fn a_snapshot_of_another_account_under_the_same_name_is_nobodys_business() {
    let aws = Answering::describing(Ok(vec![snapshot_of("444455556666")]));
    assert_eq!(extended(&aws), Err(ErrorClass::SnapshotNotFound));
    assert_eq!(removed(&aws, None), Ok(Removed::Absent));
    assert_eq!(removed(&aws, Some(now())), Ok(Removed::Absent));
    assert_eq!(aws.asked(), ["snapshot"; 3]);
}

#[test]
fn a_removal_in_doubt_is_only_looked_for() {
    let aws = Answering::describing(Ok(vec![snapshot_of(OURS)]));
    assert_eq!(removed(&aws, Some(now())), Ok(Removed::Present));
    assert_eq!(aws.asked(), ["snapshot"]);
}

#[test]
fn a_hold_that_aws_takes_and_does_not_show_is_not_told_as_done() {
    let aws = Answering::describing(Ok(vec![snapshot_of(OURS)]));
    let action = SnapshotAction::new(ActionKind::Hold, slot(), id(), now());
    let call = Call::SnapshotAction {
        action: Box::new(action),
        proof: Box::new(proof()),
    };
    let Reply::Done(_, answer) = made(call, &aws) else {
        panic!("no answer to it");
    };
    let told = answer.result.map(drop).map_err(|error| error.message);
    assert_eq!(told, Err(UNSEEN.to_owned()));
    assert_eq!(aws.asked(), ["snapshot", "tag", "keep_for", "snapshot"]);
}

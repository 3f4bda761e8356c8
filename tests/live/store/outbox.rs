//! The outbox: what is written once, what is bounded, and what is known after a restart.

use chrono::TimeDelta;
use redkeep::history::{Change, Renaming};
use redkeep::names::ReceiverName;
use redkeep::outbox::{
    Cause, Condition, ConditionKey, Content, Event, Message, MessageState, Severity, Subject,
};
use redkeep::run::{Outcome, Reason, RunState};
use redkeep::slot::rfc3339;
use redkeep::store::{Delivered, Reader};

use crate::store::change;
use crate::store::sample::{Place, at, pair, run};

fn ops() -> ReceiverName {
    "ops".parse().unwrap()
}

fn message(number: u32) -> Message {
    Message {
        id: format!("{number:032}"),
        receiver: ops(),
        event: Event::Failed,
        state: MessageState::Begun,
        severity: Severity::Critical,
        dedup_key: format!("key {number}"),
        since: at(0),
        created_at: at(0),
        due_at: at(0),
        run_id: None,
        count: 1,
        content: Content {
            title: format!("failure {number}"),
            ..Content::default()
        },
    }
}

fn put(message: Message) -> Change {
    Change::Message(Box::new(message))
}

fn condition(subject: Subject) -> Condition {
    Condition {
        key: ConditionKey {
            receiver: ops(),
            cause: Cause::Failed,
            subject,
        },
        since: at(0),
        told_at: Some(at(60)),
        told_times: 2,
        count: 7,
        content: message(1).content,
        is_over: false,
    }
}

#[tokio::test]
async fn a_message_is_written_once_whoever_commits_it_again_and_stays_delivered() {
    let place = Place::new();
    let store = place.open().store;
    let messages = || vec![put(message(1)), put(message(2))];
    store.commit(messages()).await.unwrap();
    store.commit(messages()).await.unwrap();
    let queue = store.queue(ops(), at(0)).await.unwrap();
    let waiting: Vec<&Message> = queue.waiting.iter().map(|one| &one.message).collect();
    assert_eq!(waiting, [&message(1), &message(2)]);
    let ended = vec![(message(1).id, Delivered::Single)];
    store.end_messages(ops(), ended, at(10)).await.unwrap();
    store.commit(messages()).await.unwrap();
    let trouble = "no answer".to_owned();
    store
        .put_off(vec![message(2).id], at(100), trouble)
        .await
        .unwrap();
    store.close().await.unwrap();
    let queue = place.open().store.queue(ops(), at(20)).await.unwrap();
    assert_eq!(queue.waiting.len(), 1);
    assert_eq!(queue.waiting[0].attempts, 1);
    assert_eq!(queue.waiting[0].next_at, at(100));
    assert_eq!(
        queue.delivered,
        [(Event::Failed, MessageState::Begun, at(10))]
    );
    let told = Reader::open(&place.file()).unwrap().pending().unwrap();
    assert_eq!(told[0].trouble.as_deref(), Some("no answer"));
}

#[tokio::test]
async fn a_thousand_messages_wait_and_of_older_ones_the_number_is_kept_until_a_digest_tells_it() {
    let place = Place::new();
    let store = place.open().store;
    store
        .commit((0..700).map(|n| put(message(n))).collect())
        .await
        .unwrap();
    store
        .commit((700..1_250).map(|n| put(message(n))).collect())
        .await
        .unwrap();
    let queue = store.queue(ops(), at(0)).await.unwrap();
    assert_eq!(queue.waiting.len(), 1_000);
    assert_eq!(queue.waiting[0].message, message(250));
    assert_eq!(queue.dropped[0].count, 250);
    let all = queue.waiting.into_iter().map(|one| one.message.id);
    let ended = all.map(|id| (id, Delivered::Digest)).collect();
    store.end_messages(ops(), ended, at(10)).await.unwrap();
    let queue = store.queue(ops(), at(20)).await.unwrap();
    assert_eq!((queue.waiting.len(), queue.dropped.len()), (0, 0));
    let count = || -> i64 {
        let shell = place.shell();
        shell
            .query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(), 1_000);
    // What ended a week ago is forgotten with the next delivery.
    store.commit(vec![put(message(2_000))]).await.unwrap();
    let later = at(11) + TimeDelta::days(7);
    let ended = vec![(message(2_000).id, Delivered::Single)];
    store.end_messages(ops(), ended, later).await.unwrap();
    assert_eq!(count(), 1);
}

#[tokio::test]
async fn what_a_receiver_knows_is_there_after_a_restart_and_follows_a_renamed_account() {
    let place = Place::new();
    let opened = place.open();
    let subjects = [
        Subject::from(&pair("dw")),
        Subject::from(&run("dw", 60, RunState::Due).slot),
        Subject {
            detail: "breaker".to_owned(),
            ..Subject::from(&pair("dw").policy)
        },
    ];
    let conditions = subjects.map(condition);
    let changes = conditions
        .iter()
        .map(|one| Change::Condition(Box::new(one.clone())));
    opened.store.commit(changes.collect()).await.unwrap();
    opened.store.close().await.unwrap();
    let opened = place.open();
    let wanted = conditions.iter().map(|one| (one.key.clone(), one.clone()));
    assert_eq!(opened.history.conditions, wanted.collect());
    let renaming = Renaming {
        from: pair("dw").scope.account,
        to: "production".parse().unwrap(),
        number: "111122223333".to_owned(),
        renamed_at: at(0),
    };
    let mut history = opened.history;
    let over = Condition {
        is_over: true,
        ..conditions[2].clone()
    };
    for change in [Change::Renamed(renaming), Change::Condition(Box::new(over))] {
        opened.store.commit(vec![change.clone()]).await.unwrap();
        history.apply(change);
    }
    opened.store.close().await.unwrap();
    assert_eq!(place.open().history.conditions, history.conditions);
    assert_eq!(history.conditions.len(), 2);
}

#[tokio::test]
async fn what_is_told_of_a_run_that_had_ended_otherwise_is_not_written() {
    let place = Place::new();
    let store = place.open().store;
    let ended = |outcome| run("dw", 60, RunState::Ended(outcome));
    store
        .commit(vec![change(ended(Outcome::Available))])
        .await
        .unwrap();
    let slot = ended(Outcome::Available).slot;
    let mut told = message(1);
    told.content = Content {
        policy: Some(slot.pair.policy.to_string()),
        account: Some(slot.pair.scope.account.to_string()),
        region: Some(slot.pair.scope.region.to_string()),
        cluster: Some(slot.pair.cluster.to_string()),
        scheduled_at: Some(rfc3339(slot.scheduled_at)),
        ..Content::default()
    };
    let failed = ended(Outcome::Failed(Reason::Config));
    let stay = store
        .commit(vec![change(failed), put(told), put(message(2))])
        .await
        .unwrap();
    assert_eq!(stay.len(), 1);
    let queue = store.queue(ops(), at(0)).await.unwrap();
    assert_eq!(queue.waiting.len(), 1);
    assert_eq!(queue.waiting[0].message, message(2));
}

#[tokio::test]
async fn messages_to_receivers_that_are_gone_are_forgotten() {
    let place = Place::new();
    let store = place.open().store;
    let other = Message {
        receiver: "other".parse().unwrap(),
        ..message(2)
    };
    store
        .commit(vec![put(message(1)), put(other)])
        .await
        .unwrap();
    store
        .retain_receivers(vec!["other".parse().unwrap()])
        .await
        .unwrap();
    assert_eq!(store.queue(ops(), at(0)).await.unwrap().waiting, []);
    store.retain_receivers(Vec::new()).await.unwrap();
    let told = Reader::open(&place.file()).unwrap().pending().unwrap();
    assert_eq!(told, []);
}

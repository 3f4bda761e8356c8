//! What receivers are told, in virtual time.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::delivery::{DIGEST_AFTER, Delivery, Form, LONGEST_WAIT, Next, Queue, Waiting, next};
use super::{UNREACHABLE_AFTER, of_changes, of_standing};
use crate::history::{Change, History};
use crate::names::{Retention, Tier};
use crate::observed::Observed;
use crate::outbox::{Event, Message, MessageState, Receiver, ReceiverKind, Severity, Target};
use crate::plan::{Extent, Facts};
use crate::policy::Policy;
use crate::run::{Missed, Outcome, Reason, Run, RunState};
use crate::schedule::{Blackout, Schedule, Zone};
use crate::settings::Config;
use crate::test_fixtures::{active, at, config, good, policy, scope};

/// An installation with its receivers, and everything that was ever put into its outbox.
struct World {
    config: Config,
    history: History,
    observed: Observed,
    now: DateTime<Utc>,
    outbox: Vec<Message>,
}

fn receiver(name: &str, kind: ReceiverKind) -> Receiver {
    let events = match kind {
        ReceiverKind::Healthchecks => vec![Event::Run],
        _ => Event::TOLD.to_vec(),
    };
    Receiver {
        name: name.parse().unwrap(),
        kind,
        target: Target::Url("https://example.com/x".to_owned()),
        secret: None,
        allow_clear: false,
        policies: None,
        severity: Severity::Info,
        events,
        repeat_after: Receiver::REPEAT_AFTER,
        quiet: None,
        mail: None,
    }
}

fn hourly() -> Policy {
    let retention = "7d".parse::<Retention>().unwrap();
    policy("hourly", "0 * * * *", &["dw", "finance"], retention.into())
}

impl World {
    fn new(receivers: Vec<Receiver>) -> Self {
        let policy = hourly();
        let mut config = config(vec![policy.clone()]);
        config.receivers = receivers;
        let now = at("2026-11-24T00:00:00Z");
        let mut history = History::default();
        for cluster in ["dw", "finance"] {
            let run = good(&policy, cluster, "2026-11-23T23:00:00Z", Tier::Base, 7);
            let state = active(&policy, "2026-11-01T00:00:00Z", "2026-11-23T23:00:00Z");
            history.pairs.insert(run.slot.pair.clone(), state);
            history.insert(run);
        }
        let observed = Observed::nothing([scope("eu-central-1")], now);
        Self {
            config,
            history,
            observed,
            now,
            outbox: Vec::new(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        static WRITER: std::sync::LazyLock<crate::names::Writer> =
            std::sync::LazyLock::new(|| "writer".parse().unwrap());
        Facts {
            config: &self.config,
            observed: &self.observed,
            history: &self.history,
            writer: &WRITER,
            extent: &Extent::Endless,
            is_written: true,
            now: self.now,
        }
    }

    /// Commits changes with what they tell; returns the messages.
    fn commit(&mut self, changes: Vec<Change>) -> Vec<Message> {
        let told = of_changes(self.facts(), &changes);
        self.take(changes.into_iter().chain(told).collect())
    }

    /// Looks what goes on; returns the messages.
    fn look(&mut self) -> Vec<Message> {
        let told = of_standing(self.facts());
        self.take(told)
    }

    fn take(&mut self, changes: Vec<Change>) -> Vec<Message> {
        let mut messages = Vec::new();
        for change in changes {
            if let Change::Message(message) = &change {
                messages.push((**message).clone());
            }
            self.history.apply(change);
        }
        self.outbox.extend(messages.iter().cloned());
        messages
    }

    /// The run of a cluster for the present hour ends so.
    fn ends(&mut self, cluster: &str, outcome: Outcome) -> Vec<Message> {
        let policy = hourly();
        let slot = self.now.format("%Y-%m-%dT%H:00:00Z").to_string();
        let mut run = good(&policy, cluster, &slot, Tier::Base, 7);
        if outcome != Outcome::Available {
            run.snapshot = None;
        }
        run.attempts = 1;
        let due = Run {
            state: RunState::Due,
            snapshot: None,
            attempts: 0,
            ..run.clone()
        };
        let mut told = self.commit(vec![Change::Run(Box::new(due.clone()))]);
        let asking = Run {
            state: RunState::Asking { refusal: None },
            attempts: 1,
            ..due
        };
        told.extend(self.commit(vec![Change::Run(Box::new(asking))]));
        run.state = RunState::Ended(outcome);
        told.extend(self.commit(vec![Change::Run(Box::new(run))]));
        told
    }

    fn fails(&mut self, cluster: &str) -> Vec<Message> {
        self.ends(cluster, Outcome::Failed(Reason::SnapshotFailed))
    }

    fn pass(&mut self, span: TimeDelta) {
        self.now += span;
    }
}

fn states(messages: &[Message]) -> Vec<(&str, &str)> {
    let told = messages.iter();
    told.map(|one| (one.event.as_str(), one.state.as_str()))
        .collect()
}

#[test]
fn what_fails_each_hour_is_one_message_one_reminder_a_day_and_one_recovery() {
    let mut world = World::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    let mut told = Vec::new();
    for _ in 0..30 {
        told.extend(world.fails("dw"));
        told.extend(world.look());
        world.pass(TimeDelta::hours(1));
    }
    told.extend(world.ends("dw", Outcome::Available));
    told.extend(world.look());
    world.pass(TimeDelta::hours(1));
    told.extend(world.ends("dw", Outcome::Available));
    let wanted = [
        ("failed", "begun"),
        ("failed", "repeated"),
        ("failed", "over"),
    ];
    assert_eq!(states(&told), wanted);
    assert_eq!(told[1].count, 25, "the reminder says how often");
    let severities = told.iter().map(Message::severity_now);
    let wanted = [Severity::Critical, Severity::Critical, Severity::Info];
    assert!(severities.eq(wanted), "what is over is not critical");
    let ids: BTreeSet<&str> = told.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    let keys: BTreeSet<&str> = told.iter().map(|one| one.dedup_key.as_str()).collect();
    assert_eq!(keys.len(), 1, "and all have one key");
    assert!(world.history.conditions.is_empty());
}

#[test]
fn a_message_names_policy_cluster_slot_reason_and_what_to_do() {
    let mut world = World::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    let told = world.fails("dw");
    let content = &told[0].content;
    assert_eq!(content.title, "hourly of dw in prod/eu-central-1: failed");
    assert_eq!(content.reason, "snapshot failed");
    assert_eq!(content.action, "redkeep take --policy hourly --cluster dw");
    assert_eq!(
        content.scheduled_at.as_deref(),
        Some("2026-11-24T00:00:00Z")
    );
    assert_eq!(
        content.local_time.as_deref(),
        Some("2026-11-24 01:00:00 Europe/Berlin")
    );
    assert!(content.snapshot_id.is_some());
}

#[test]
fn what_was_ordered_is_not_told_and_two_clusters_are_two_conditions() {
    let mut world = World::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    for missed in [Missed::Blackout, Missed::Disabled, Missed::Paused] {
        assert_eq!(world.ends("dw", Outcome::Missed(missed)), []);
        world.pass(TimeDelta::hours(1));
    }
    assert_eq!(
        states(&world.ends("dw", Outcome::Missed(Missed::Late))).len(),
        1
    );
    assert_eq!(
        states(&world.ends("finance", Outcome::Missed(Missed::Late))).len(),
        1
    );
}

#[test]
fn a_restart_neither_repeats_nor_forgets() {
    let mut world = World::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    world.config.policies[0].rpo = Some(TimeDelta::hours(2));
    world.pass(TimeDelta::hours(4));
    assert_eq!(states(&world.look()).len(), 2, "two clusters are overdue");
    // Nothing is known of AWS, and the conditions are.
    world.observed = Observed::nothing([scope("eu-central-1")], world.now);
    assert_eq!(world.look(), []);
    let over = world.ends("dw", Outcome::Available);
    assert_eq!(over, [], "what is standing is looked at");
    assert_eq!(states(&world.look()), [("overdue", "over")]);
    assert_eq!(world.look(), []);
}

#[test]
fn a_scope_is_told_to_be_out_of_reach_once_it_is_so_for_long_also_over_a_restart() {
    let mut world = World::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    let trouble = |world: &mut World, trouble: Option<&str>| {
        let view = world
            .observed
            .scopes
            .get_mut(&scope("eu-central-1"))
            .unwrap();
        view.trouble = trouble.map(str::to_owned);
        view.reached_at = trouble.is_none().then_some(world.now);
    };
    trouble(&mut world, Some("connection refused"));
    assert_eq!(world.look(), []);
    world.pass(UNREACHABLE_AFTER / 2);
    // A restart: the first listing has not come back yet.
    world.observed = Observed::nothing([scope("eu-central-1")], world.now);
    assert_eq!(world.look(), []);
    trouble(&mut world, Some("connection refused"));
    world.pass(UNREACHABLE_AFTER / 2);
    let told = world.look();
    assert_eq!(states(&told), [("unreachable", "begun")]);
    assert_eq!(told[0].content.reason, "connection refused");
    world.observed = Observed::nothing([scope("eu-central-1")], world.now);
    assert_eq!(world.look(), [], "that it was not looked at is no recovery");
    trouble(&mut world, None);
    assert_eq!(states(&world.look()), [("unreachable", "over")]);
    // One that recovers in time was never told.
    trouble(&mut world, Some("again"));
    assert_eq!(world.look(), []);
    trouble(&mut world, None);
    assert_eq!(world.look(), []);
    assert!(world.history.conditions.is_empty());
}

#[test]
fn who_asks_for_less_hears_less_and_who_is_gone_is_forgotten() {
    let mut critical = receiver("critical", ReceiverKind::Webhook);
    critical.severity = Severity::Critical;
    let mut other = receiver("other", ReceiverKind::Webhook);
    other.policies = Some(vec!["weekly".parse().unwrap()]);
    let mut only = receiver("only", ReceiverKind::Webhook);
    only.events = vec![Event::Missed];
    let mut world = World::new(vec![critical, other, only]);
    let names = |told: &[Message]| -> Vec<String> {
        told.iter().map(|one| one.receiver.to_string()).collect()
    };
    assert_eq!(names(&world.fails("dw")), ["critical"]);
    world.pass(TimeDelta::hours(1));
    assert_eq!(
        names(&world.ends("dw", Outcome::Missed(Missed::Late))),
        ["only"]
    );
    world
        .config
        .receivers
        .retain(|one| one.name.as_str() == "only");
    assert_eq!(world.look(), []);
    assert_eq!(world.history.conditions.len(), 1);
}

#[test]
fn in_quiet_hours_a_message_waits_for_their_end() {
    let mut quiet = receiver("ops", ReceiverKind::Webhook);
    let schedule = Schedule::parse("0 22 * * *", Zone::utc()).unwrap();
    quiet.quiet = Some(std::sync::Arc::new(Blackout {
        name: "night".to_owned(),
        schedule,
        duration: TimeDelta::hours(8),
    }));
    let mut world = World::new(vec![quiet]);
    let told = world.fails("dw");
    assert_eq!(told[0].due_at, at("2026-11-24T06:00:00Z"));
    let queue = queue_of(&told);
    assert_eq!(
        next(ReceiverKind::Webhook, &queue, world.now),
        Next::Wait(at("2026-11-24T06:00:00Z"))
    );
}

#[test]
fn a_policy_s_runs_of_one_instant_are_one_job_of_a_service_of_heartbeats() {
    let mut world = World::new(vec![receiver("hc", ReceiverKind::Healthchecks)]);
    let policy = hourly();
    let due = |cluster: &str| {
        let mut run = good(&policy, cluster, "2026-11-24T00:00:00Z", Tier::Base, 7);
        run.state = RunState::Due;
        run
    };
    let runs = ["dw", "finance"].map(due);
    let changes = runs.iter().map(|run| Change::Run(Box::new(run.clone())));
    assert_eq!(world.commit(changes.collect()), [], "nobody was asked yet");
    let step = |world: &mut World, run: &Run, state: RunState| {
        let run = Run {
            state,
            attempts: 1,
            ..run.clone()
        };
        world.commit(vec![Change::Run(Box::new(run))])
    };
    let asking = || RunState::Asking { refusal: None };
    let started = step(&mut world, &runs[0], asking());
    assert_eq!(states(&started), [("run", "started")]);
    assert_eq!(step(&mut world, &runs[1], asking()), []);
    let available = || RunState::Ended(Outcome::Available);
    assert_eq!(step(&mut world, &runs[0], available()), []);
    let over = step(&mut world, &runs[1], available());
    assert_eq!(states(&over), [("run", "over")]);
    assert_eq!(started[0].run_id, over[0].run_id);
    assert!(world.history.conditions.is_empty());
}

#[test]
fn a_job_fails_once_and_never_succeeds_after_that() {
    let mut world = World::new(vec![receiver("hc", ReceiverKind::Healthchecks)]);
    assert_eq!(
        states(&world.fails("dw")),
        [("run", "started"), ("run", "begun")]
    );
    world.pass(TimeDelta::hours(1));
    let policy = hourly();
    let due = ["dw", "finance"].map(|cluster| {
        let mut run = good(&policy, cluster, "2026-11-24T01:00:00Z", Tier::Base, 7);
        run.state = RunState::Due;
        run
    });
    world.commit(
        due.iter()
            .map(|run| Change::Run(Box::new(run.clone())))
            .collect(),
    );
    let mut told = Vec::new();
    for (run, outcome) in due
        .into_iter()
        .zip([Outcome::Expired(Reason::Quota), Outcome::Available])
    {
        let run = Run {
            state: RunState::Ended(outcome),
            attempts: 1,
            ..run
        };
        told.extend(world.commit(vec![Change::Run(Box::new(run))]));
    }
    assert_eq!(states(&told), [("run", "started"), ("run", "begun")]);
    world.pass(TimeDelta::hours(1));
    let told = world.ends("dw", Outcome::Missed(Missed::Paused));
    assert_eq!(
        states(&told),
        [("run", "started")],
        "what is ordered is no failure"
    );
}

fn queue_of(messages: &[Message]) -> Queue {
    let waiting = messages.iter().map(|message| Waiting {
        message: message.clone(),
        attempts: 0,
        next_at: message.due_at,
    });
    Queue {
        waiting: waiting.collect(),
        ..Queue::default()
    }
}

/// A receiver that is up or not, and what it got.
struct Post {
    kind: ReceiverKind,
    queue: Queue,
    now: DateTime<Utc>,
    got: Vec<Delivery>,
    tries: u32,
    failures: u32,
}

impl Post {
    fn new(kind: ReceiverKind, messages: &[Message], now: DateTime<Utc>) -> Self {
        Self {
            kind,
            queue: queue_of(messages),
            now,
            got: Vec::new(),
            tries: 0,
            failures: 0,
        }
    }

    /// Lives until then as the sender does, with a receiver that is up or down.
    fn live(&mut self, until: DateTime<Utc>, is_up: bool) {
        while self.now < until {
            match next(self.kind, &self.queue, self.now) {
                Next::Idle => self.now = until,
                Next::Wait(at) => self.now = at.min(until),
                Next::Send(delivery) => self.attempt(*delivery, is_up),
            }
        }
    }

    fn attempt(&mut self, delivery: Delivery, is_up: bool) {
        self.tries += 1;
        let ids: BTreeSet<&String> = delivery.covers.iter().chain(&delivery.outdated).collect();
        if is_up || delivery.messages.is_empty() {
            self.failures = 0;
            let now = self.now;
            if delivery.form == Form::Single {
                let told = delivery.messages.iter();
                self.queue
                    .delivered
                    .extend(told.map(|one| (one.event, one.state, now)));
            }
            self.queue
                .waiting
                .retain(|one| !ids.contains(&one.message.id));
            self.got.push(delivery);
            return;
        }
        self.failures += 1;
        let at = self.now + super::delivery::wait_after(self.failures, None, "post");
        for one in &mut self.queue.waiting {
            if delivery.covers.contains(&one.message.id) {
                one.next_at = at;
                one.attempts += 1;
            }
        }
        // The receiver as a whole is left alone.
        self.now = at;
    }

    fn forms(&self) -> Vec<(Form, usize)> {
        let got = self.got.iter();
        got.map(|one| (one.form, one.covers.len())).collect()
    }
}

/// So many failures, each of a cluster of its own.
fn many(count: usize, at: DateTime<Utc>) -> Vec<Message> {
    let mut world = World::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    world.now = at;
    let clusters = (0..count).map(|number| format!("dw-{number}"));
    clusters.flat_map(|cluster| world.fails(&cluster)).collect()
}

#[test]
fn a_receiver_that_was_away_for_three_days_gets_one_digest() {
    let began = at("2026-11-24T00:00:00Z");
    let mut messages = Vec::new();
    for hours in 0..72 {
        messages.extend(
            many(1, began + TimeDelta::hours(hours))
                .into_iter()
                .map(|mut one| {
                    one.id = format!("{hours:032}");
                    one
                }),
        );
    }
    let mut post = Post::new(ReceiverKind::Webhook, &messages, began);
    post.live(began + TimeDelta::hours(72), false);
    assert_eq!(post.got, []);
    assert!(post.tries < 120, "{} tries in three days", post.tries);
    post.live(began + TimeDelta::hours(72) + LONGEST_WAIT * 2, true);
    assert_eq!(post.forms(), [(Form::Digest, 72)]);
    let digest = &post.got[0].messages[0];
    assert!(
        digest.content.title.contains("72 × failed"),
        "{}",
        digest.content.title
    );
    assert_eq!(digest.content.reason.lines().count(), 21);
}

#[test]
fn a_message_is_tried_at_growing_distances_and_goes_out_within_an_hour_of_the_return() {
    let began = at("2026-11-24T00:00:00Z");
    let mut post = Post::new(ReceiverKind::Webhook, &many(1, began), began);
    post.live(began + TimeDelta::hours(20), false);
    assert!(
        (20..60).contains(&post.tries),
        "{} tries in 20 hours",
        post.tries
    );
    let back = post.now;
    post.live(back + LONGEST_WAIT, true);
    assert_eq!(post.forms(), [(Form::Single, 1)]);
}

#[test]
fn many_of_a_kind_at_once_are_one_summary_and_ten_are_ten() {
    let began = at("2026-11-24T00:00:00Z");
    let mut post = Post::new(ReceiverKind::Slack, &many(10, began), began);
    post.live(began + TimeDelta::hours(1), true);
    assert_eq!(post.forms(), [(Form::Single, 1); 10]);
    let mut post = Post::new(ReceiverKind::Slack, &many(214, began), began);
    post.live(began + TimeDelta::hours(1), true);
    assert_eq!(post.forms(), [(Form::Summary, 214)]);
    let title = &post.got[0].messages[0].content.title;
    assert_eq!(title, "redkeep: 214 × failed");
}

#[test]
fn of_many_that_come_one_by_one_the_first_ten_come_at_once_and_the_others_together() {
    let began = at("2026-11-24T00:00:00Z");
    let messages = many(30, began);
    let mut post = Post::new(ReceiverKind::Slack, &[], began);
    for message in &messages {
        post.queue
            .waiting
            .extend(queue_of(std::slice::from_ref(message)).waiting);
        let until = post.now + TimeDelta::seconds(2);
        post.live(until, true);
    }
    assert_eq!(post.forms(), [(Form::Single, 1); 10]);
    post.live(began + TimeDelta::minutes(20), true);
    assert_eq!(post.forms()[10..], [(Form::Summary, 20)]);
    let all: BTreeSet<&String> = post.got.iter().flat_map(|one| &one.covers).collect();
    assert_eq!(all.len(), 30, "none is lost");
}

#[test]
fn a_receiver_with_a_state_gets_messages_in_order_and_of_old_ones_the_last() {
    let mut world = World::new(vec![receiver("pd", ReceiverKind::Pagerduty)]);
    let began = world.now;
    let mut messages = world.fails("dw");
    world.pass(TimeDelta::hours(1));
    messages.extend(world.fails("finance"));
    messages.extend(world.ends("dw", Outcome::Available));
    let mut post = Post::new(ReceiverKind::Pagerduty, &messages, began);
    post.live(began + TimeDelta::hours(2), true);
    let got: Vec<MessageState> = post.got.iter().map(|one| one.messages[0].state).collect();
    use MessageState::{Begun, Over};
    assert_eq!(got[..3], [Begun, Begun, Over]);
    // Down for two days: what began and ended meanwhile is nothing to tell.
    let mut post = Post::new(ReceiverKind::Pagerduty, &messages, began);
    post.live(began + DIGEST_AFTER * 2, false);
    post.live(began + DIGEST_AFTER * 3, true);
    let told: Vec<&Message> = post.got.iter().flat_map(|one| &one.messages).collect();
    let told: Vec<_> = told
        .iter()
        .map(|one| one.content.cluster.as_deref())
        .collect();
    assert_eq!(told[0], Some("finance"));
    assert!(post.queue.waiting.is_empty());
}

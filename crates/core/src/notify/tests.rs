//! What receivers are told, in virtual time.

mod delivery;
mod refused;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use self::delivery::queue_of;
use super::delivery::{Next, next};
use super::{UNREACHABLE_AFTER, of_changes, of_standing};
use crate::history::{Change, History};
use crate::names::{Retention, Tier};
use crate::observed::Observed;
use crate::outbox::{Event, Message, Receiver, ReceiverKind, Severity, Target};
use crate::plan::{Extent, Facts};
use crate::policy::Policy;
use crate::run::{Missed, Outcome, Reason, Run, RunState};
use crate::schedule::{Blackout, Schedule, Zone};
use crate::settings::Config;
use crate::test_fixtures::{active, at, config, good, policy, scope};

/// An installation with its receivers, and everything that was ever put into its outbox.
struct Installation {
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

impl Installation {
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

    /// The run of a cluster for the present hour ends with this outcome.
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
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    let mut told = Vec::new();
    for _ in 0..30 {
        told.extend(here.fails("dw"));
        told.extend(here.look());
        here.pass(TimeDelta::hours(1));
    }
    told.extend(here.ends("dw", Outcome::Available));
    told.extend(here.look());
    here.pass(TimeDelta::hours(1));
    told.extend(here.ends("dw", Outcome::Available));
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
    assert!(here.history.conditions.is_empty());
}

#[test]
fn a_message_names_policy_cluster_slot_reason_and_what_to_do() {
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    let told = here.fails("dw");
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
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    for missed in [Missed::Blackout, Missed::Disabled, Missed::Paused] {
        assert_eq!(here.ends("dw", Outcome::Missed(missed)), []);
        here.pass(TimeDelta::hours(1));
    }
    assert_eq!(
        states(&here.ends("dw", Outcome::Missed(Missed::Late))).len(),
        1
    );
    assert_eq!(
        states(&here.ends("finance", Outcome::Missed(Missed::Late))).len(),
        1
    );
}

#[test]
fn a_restart_neither_repeats_nor_forgets() {
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    here.config.policies[0].rpo = Some(TimeDelta::hours(2));
    here.pass(TimeDelta::hours(4));
    assert_eq!(states(&here.look()).len(), 2, "two clusters are overdue");
    // Nothing is known of AWS, and the conditions are.
    here.observed = Observed::nothing([scope("eu-central-1")], here.now);
    assert_eq!(here.look(), []);
    let over = here.ends("dw", Outcome::Available);
    assert_eq!(over, [], "what is standing is looked at");
    assert_eq!(states(&here.look()), [("overdue", "over")]);
    assert_eq!(here.look(), []);
}

#[test]
fn a_scope_is_told_to_be_out_of_reach_once_it_is_so_for_long_also_over_a_restart() {
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    let trouble = |here: &mut Installation, trouble: Option<&str>| {
        let view = here
            .observed
            .scopes
            .get_mut(&scope("eu-central-1"))
            .unwrap();
        view.trouble = trouble.map(str::to_owned);
        view.reached_at = trouble.is_none().then_some(here.now);
    };
    trouble(&mut here, Some("connection refused"));
    assert_eq!(here.look(), []);
    here.pass(UNREACHABLE_AFTER / 2);
    // A restart: the first listing has not come back yet.
    here.observed = Observed::nothing([scope("eu-central-1")], here.now);
    assert_eq!(here.look(), []);
    trouble(&mut here, Some("connection refused"));
    here.pass(UNREACHABLE_AFTER / 2);
    let told = here.look();
    assert_eq!(states(&told), [("unreachable", "begun")]);
    assert_eq!(told[0].content.reason, "connection refused");
    here.observed = Observed::nothing([scope("eu-central-1")], here.now);
    assert_eq!(here.look(), [], "that it was not looked at is no recovery");
    trouble(&mut here, None);
    assert_eq!(states(&here.look()), [("unreachable", "over")]);
    // One that recovers in time was never told.
    trouble(&mut here, Some("again"));
    assert_eq!(here.look(), []);
    trouble(&mut here, None);
    assert_eq!(here.look(), []);
    assert!(here.history.conditions.is_empty());
}

#[test]
fn who_asks_for_less_hears_less_and_who_is_gone_is_forgotten() {
    let mut critical = receiver("critical", ReceiverKind::Webhook);
    critical.severity = Severity::Critical;
    let mut other = receiver("other", ReceiverKind::Webhook);
    other.policies = Some(vec!["weekly".parse().unwrap()]);
    let mut only = receiver("only", ReceiverKind::Webhook);
    only.events = vec![Event::Missed];
    let mut here = Installation::new(vec![critical, other, only]);
    let names = |told: &[Message]| -> Vec<String> {
        told.iter().map(|one| one.receiver.to_string()).collect()
    };
    assert_eq!(names(&here.fails("dw")), ["critical"]);
    here.pass(TimeDelta::hours(1));
    assert_eq!(
        names(&here.ends("dw", Outcome::Missed(Missed::Late))),
        ["only"]
    );
    here.config
        .receivers
        .retain(|one| one.name.as_str() == "only");
    assert_eq!(here.look(), []);
    assert_eq!(here.history.conditions.len(), 1);
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
    let mut here = Installation::new(vec![quiet]);
    let told = here.fails("dw");
    assert_eq!(told[0].due_at, at("2026-11-24T06:00:00Z"));
    let queue = queue_of(&told);
    assert_eq!(
        next(ReceiverKind::Webhook, &queue, here.now),
        Next::Wait(at("2026-11-24T06:00:00Z"))
    );
}

#[test]
fn a_policy_s_runs_of_one_instant_are_one_job_of_a_service_of_heartbeats() {
    let mut here = Installation::new(vec![receiver("hc", ReceiverKind::Healthchecks)]);
    let policy = hourly();
    let due = |cluster: &str| {
        let mut run = good(&policy, cluster, "2026-11-24T00:00:00Z", Tier::Base, 7);
        run.state = RunState::Due;
        run
    };
    let runs = ["dw", "finance"].map(due);
    let changes = runs.iter().map(|run| Change::Run(Box::new(run.clone())));
    assert_eq!(here.commit(changes.collect()), [], "nobody was asked yet");
    let step = |here: &mut Installation, run: &Run, state: RunState| {
        let run = Run {
            state,
            attempts: 1,
            ..run.clone()
        };
        here.commit(vec![Change::Run(Box::new(run))])
    };
    let asking = || RunState::Asking { refusal: None };
    let started = step(&mut here, &runs[0], asking());
    assert_eq!(states(&started), [("run", "started")]);
    assert_eq!(step(&mut here, &runs[1], asking()), []);
    let available = || RunState::Ended(Outcome::Available);
    assert_eq!(step(&mut here, &runs[0], available()), []);
    let over = step(&mut here, &runs[1], available());
    assert_eq!(states(&over), [("run", "over")]);
    assert_eq!(started[0].run_id, over[0].run_id);
    assert!(here.history.conditions.is_empty());
}

#[test]
fn a_job_fails_once_and_never_succeeds_after_that() {
    let mut here = Installation::new(vec![receiver("hc", ReceiverKind::Healthchecks)]);
    assert_eq!(
        states(&here.fails("dw")),
        [("run", "started"), ("run", "begun")]
    );
    here.pass(TimeDelta::hours(1));
    let policy = hourly();
    let due = ["dw", "finance"].map(|cluster| {
        let mut run = good(&policy, cluster, "2026-11-24T01:00:00Z", Tier::Base, 7);
        run.state = RunState::Due;
        run
    });
    here.commit(
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
        told.extend(here.commit(vec![Change::Run(Box::new(run))]));
    }
    assert_eq!(states(&told), [("run", "started"), ("run", "begun")]);
    here.pass(TimeDelta::hours(1));
    let told = here.ends("dw", Outcome::Missed(Missed::Paused));
    assert_eq!(
        states(&told),
        [("run", "started")],
        "what is ordered is no failure"
    );
}

//! Properties of the pure core, over whatever proptest can think of: identifiers, the state machine of a run,
//! retention and tags, and the timing of slots.

#![expect(
    clippy::unwrap_used,
    reason = "what helpers unwrap is the test's own ground; its failure is the test's failure"
)]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use redkeep::names::{ClusterId, Namespace, Retention, Tags, Writer, tag_fault};
use redkeep::names::{Tier, Trigger};
use redkeep::ownership::{Ownership, ownership};
use redkeep::policy::Policy;
use redkeep::run::{Event, Missed, Outcome, Reason, Run, RunState, SnapshotSpec};
use redkeep::schedule::{Blackout, Schedule};
use redkeep::slot::{Pair, Scope, Slot, rfc3339};
use redkeep::snapshot::{Generation, Label, Snapshot, SnapshotId, tag};
use redkeep::tzdb::bundled;

// Names whose hyphens could be read in several ways when they are joined come up often.
const NAME: &str = "[a-c][a-c0-1]{0,2}(-[a-c0-1]{1,2}){0,3}";

fn name(longest: usize) -> impl Strategy<Value = String> {
    let any = prop_oneof![
        3 => NAME.prop_map(|name| name),
        1 => "[a-z][a-z0-9]{0,70}(-[a-z0-9]{1,20}){0,3}".prop_map(|name| name),
    ];
    any.prop_map(move |mut name| {
        name.truncate(longest);
        name.trim_end_matches('-').to_owned()
    })
}

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    // 1970 to 2200.
    (0_i64..7_258_118_400).prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}

fn slot() -> impl Strategy<Value = Slot> {
    (name(63), name(63), "[a-z]{2}-[a-z]{4,9}-[1-4]", instant()).prop_map(
        |(policy, cluster, region, scheduled_at)| Slot {
            pair: Pair {
                policy: policy.parse().unwrap(),
                scope: Scope {
                    account: "prod".parse().unwrap(),
                    region: region.parse().unwrap(),
                },
                cluster: cluster.parse().unwrap(),
            },
            scheduled_at,
        },
    )
}

fn generation() -> impl Strategy<Value = Generation> {
    prop_oneof![Just(Generation::First), Just(Generation::Second)]
}

proptest! {
    #[test]
    fn an_identifier_keeps_to_the_rules_of_create_cluster_snapshot(
        namespace in name(32), slot in slot(), generation in generation()
    ) {
        let id = SnapshotId::derive(&namespace.parse().unwrap(), &slot, generation);
        let id = id.as_str();
        prop_assert!((1..=255).contains(&id.len()), "{} characters", id.len());
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        prop_assert!(id.bytes().all(allowed), "{id}");
        prop_assert!(id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
        prop_assert!(!id.contains("--") && !id.ends_with('-'), "{id}");
        prop_assert_eq!(id.ends_with("-r1"), generation == Generation::Second);
    }

    #[test]
    fn two_slots_never_share_an_identifier(
        namespaces in (name(32), name(32)), slots in (slot(), slot()),
        same_instant in any::<bool>(), generations in (generation(), generation())
    ) {
        let (one, mut other) = slots;
        if same_instant {
            other.scheduled_at = one.scheduled_at;
        }
        let id = |namespace: &str, slot: &Slot, generation| {
            SnapshotId::derive(&namespace.parse().unwrap(), slot, generation)
        };
        let same = (&namespaces.0, &one, generations.0) == (&namespaces.1, &other, generations.1);
        let ids = (id(&namespaces.0, &one, generations.0), id(&namespaces.1, &other, generations.1));
        prop_assert_eq!(ids.0 == ids.1, same);
    }

    /// The same letters and hyphens, cut into namespace, policy and cluster at other places.
    #[test]
    fn moving_the_hyphens_between_the_names_moves_the_identifier(
        parts in prop::collection::vec("[a-c]{1,2}", 4..8),
        cuts in (1_usize..7, 1_usize..7, 1_usize..7, 1_usize..7), at in instant()
    ) {
        let cut = |one: usize, other: usize| -> Option<(Namespace, Slot)> {
            let (one, other) = (one.min(other), one.max(other));
            if one == other || other >= parts.len() {
                return None;
            }
            let join = |parts: &[String]| parts.join("-");
            let slot = Slot {
                pair: Pair {
                    policy: join(&parts[one..other]).parse().unwrap(),
                    scope: Scope {
                        account: "prod".parse().unwrap(),
                        region: "eu-central-1".parse().unwrap(),
                    },
                    cluster: join(&parts[other..]).parse().unwrap(),
                },
                scheduled_at: at,
            };
            Some((join(&parts[..one]).parse().unwrap(), slot))
        };
        if let (Some(one), Some(other)) = (cut(cuts.0, cuts.1), cut(cuts.2, cuts.3)) {
            let id = |(namespace, slot): &(Namespace, Slot)| {
                SnapshotId::derive(namespace, slot, Generation::First)
            };
            prop_assert_eq!(id(&one) == id(&other), one == other);
        }
    }

    #[test]
    fn what_we_make_is_proven_ours_and_for_no_other_slot(
        namespace in name(32), slots in (slot(), slot()), writer in "[A-Za-z0-9_.-]{1,64}",
        generation in generation()
    ) {
        let namespace: Namespace = namespace.parse().unwrap();
        let writer: Writer = writer.parse().unwrap();
        let made = made(&namespace, &slots.0, &writer, generation);
        let ours = asking(&namespace, &slots.0, &writer, generation);
        let other = asking(&namespace, &slots.1, &writer, generation);
        prop_assert_eq!(ownership(&made, &ours, Some("123"), None), Ownership::Proven);
        let foreign = |ownership| matches!(ownership, Ownership::Foreign(_));
        prop_assert!(foreign(ownership(&made, &ours, Some("456"), None)));
        if slots.0 != slots.1 {
            prop_assert!(foreign(ownership(&made, &other, Some("123"), None)));
        }
        for key in [tag::NAMESPACE, tag::POLICY, tag::CLUSTER, tag::SLOT] {
            let mut changed = made.clone();
            changed.tags.insert(key.to_owned(), "other".to_owned());
            prop_assert!(foreign(ownership(&changed, &ours, Some("123"), None)), "{key}");
            let mut fewer = made.clone();
            fewer.tags.remove(key);
            prop_assert!(foreign(ownership(&fewer, &ours, Some("123"), None)), "{key}");
        }
        let mut bare = made;
        bare.tags.clear();
        prop_assert_eq!(ownership(&bare, &ours, Some("123"), None), Ownership::ByName);
    }

    #[test]
    fn our_tags_win_over_a_policys_own_and_keep_to_the_rules(
        own in prop::collection::btree_map("[a-z]{1,9}|redkeep:[a-z]{4,9}", "[a-z]{0,9}", 0..9),
        namespace in name(32), slot in slot(), writer in "[A-Za-z0-9_.-]{1,64}"
    ) {
        let namespace: Namespace = namespace.parse().unwrap();
        let writer: Writer = writer.parse().unwrap();
        let tags = label(&namespace, &slot, &writer).tags(&own);
        prop_assert_eq!(&tags[tag::SLOT], &rfc3339(slot.scheduled_at));
        prop_assert_eq!(&tags[tag::WRITER], writer.as_str());
        prop_assert!(tags.len() <= own.len() + tag::COUNT);
        for (key, value) in &tags {
            // The one rule that ours may break is the one that reserves their keys.
            let key = key.replacen("redkeep:", "", 1);
            prop_assert_eq!(tag_fault(&key, value), None);
        }
    }

    #[test]
    fn a_retention_is_never_shorter_than_what_was_asked_for(count in 0_u32..5000, unit in 0_usize..4) {
        let (unit, days) = [("d", 1.0), ("w", 7.0), ("mo", 30.4375), ("y", 365.25)][unit];
        let asked = f64::from(count) * days;
        match format!("{count}{unit}").parse::<Retention>() {
            Ok(retention) => {
                let days = f64::from(retention.days_or_minus_one());
                prop_assert!(days >= asked && days < asked + 1.0, "{count}{unit} became {days}");
                let again = Retention::from_days(i64::from(retention.days_or_minus_one()));
                prop_assert_eq!(again, Some(retention));
            }
            Err(_) => prop_assert!(count == 0 || asked.ceil() > 3653.0, "{count}{unit} was refused"),
        }
    }

    #[test]
    fn any_text_is_a_retention_or_an_error(text in ".{0,12}") {
        if let Ok(retention) = text.parse::<Retention>() {
            let days = retention.days_or_minus_one();
            prop_assert!(days == -1 || (1..=3653).contains(&days));
        }
    }
}

fn label<'a>(namespace: &'a Namespace, slot: &'a Slot, writer: &'a Writer) -> Label<'a> {
    Label {
        namespace,
        slot,
        tier: Tier::Base,
        trigger: Trigger::Schedule,
        writer,
    }
}

fn made(namespace: &Namespace, slot: &Slot, writer: &Writer, generation: Generation) -> Snapshot {
    Snapshot {
        snapshot_identifier: SnapshotId::derive(namespace, slot, generation).to_string(),
        cluster_identifier: Some(slot.pair.cluster.to_string()),
        snapshot_type: Some("manual".to_owned()),
        owner_account: Some("123".to_owned()),
        tags: label(namespace, slot, writer).tags(&Tags::new()),
        ..Snapshot::default()
    }
}

// The state machine.

fn due(slot: Slot) -> Run {
    let at = slot.scheduled_at;
    let namespace: Namespace = "redkeep".parse().unwrap();
    let request = SnapshotSpec {
        snapshot_id: SnapshotId::derive(&namespace, &slot, Generation::First),
        retention: Retention::Forever,
        tier: Tier::Base,
        tier_reason: None,
        tags: Default::default(),
        starts_at: at,
        deadline: at + TimeDelta::hours(1),
        completion_window: TimeDelta::hours(24),
        interval: TimeDelta::hours(2),
    };
    Run::due(slot, Trigger::Schedule, request)
}

/// The run that asks for what [`made`] made.
fn asking(namespace: &Namespace, slot: &Slot, writer: &Writer, generation: Generation) -> Run {
    let mut run = due(slot.clone());
    run.request.snapshot_id = SnapshotId::derive(namespace, slot, generation);
    run.request.tags = label(namespace, slot, writer).tags(&Tags::new()).into();
    run
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Missed(Missed::Late)),
        Just(Outcome::Missed(Missed::Coalesced)),
        Just(Outcome::Expired("paused".into())),
        Just(Outcome::Failed("config".into())),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let text = || "[a-z]{1,5}".prop_map(|text| text);
    let status = prop::option::of(prop::sample::select(vec![
        "creating",
        "available",
        "failed",
        "pondering",
        "",
    ]));
    prop_oneof![
        4 => Just(Event::Asked),
        2 => (instant(), text(), text())
            .prop_map(|(retry_at, why, message)| {
                let why = Reason::from(why);
                Event::Refused { retry_at, why, message }
            }),
        2 => (instant(), text()).prop_map(|(look_at, message)| Event::Lost { look_at, message }),
        1 => instant().prop_map(|look_at| Event::StillLost { look_at }),
        1 => instant().prop_map(|retry_at| Event::NotAccepted { retry_at }),
        3 => (status, instant()).prop_map(|(status, look_at)| Event::Seen {
            snapshot: Arc::new(Snapshot {
                status: status.map(str::to_owned),
                ..Snapshot::default()
            }),
            look_at,
        }),
        1 => instant().prop_map(|look_at| Event::NotSeen { look_at }),
        1 => (outcome(), prop::option::of(text()))
            .prop_map(|(verdict, message)| Event::Concluding { verdict, message }),
        1 => Just(Event::Absent),
        1 => text().prop_map(|what| Event::Contradicted { what }),
        1 => Just(Event::Overlapped),
        2 => (text(), prop::option::of(instant()))
            .prop_map(|(message, retry_at)| Event::Explained { message, retry_at }),
        1 => Just(Event::Vanished),
    ]
}

/// What holds for every step of every run.
fn check_step(before: &Run, event: &Event, after: &Run) -> Result<(), TestCaseError> {
    if before.is_ended() {
        prop_assert_eq!(before, after, "an ended run changed");
    }
    prop_assert!(after.attempts >= before.attempts);
    let asked = matches!(event, Event::Asked) && !before.is_ended();
    prop_assert_eq!(after.attempts, before.attempts + u32::from(asked));
    prop_assert_eq!(after.is_ended(), after.ended_at.is_some());
    prop_assert_eq!(after.requested_at.is_some(), after.attempts > 0);
    prop_assert_eq!(&after.slot, &before.slot);
    prop_assert_eq!(after.request.deadline, before.request.deadline);
    if after.is_good() {
        prop_assert!(after.accepted_at.is_some());
        prop_assert!(after.snapshot.is_some());
    }
    let looked = matches!(
        event,
        Event::Absent | Event::Vanished | Event::Explained { .. } | Event::Seen { .. }
    );
    let verdict = matches!(
        &after.state,
        RunState::Ended(Outcome::Missed(_) | Outcome::Expired(_) | Outcome::Failed(_))
    );
    prop_assert!(
        !verdict || before.is_ended() || looked,
        "a verdict without a look: {event:?}"
    );
    Ok(())
}

proptest! {
    #[test]
    fn a_run_takes_any_events_in_any_order_and_its_end_absorbs(
        slot in slot(), events in prop::collection::vec((event(), instant()), 0..40)
    ) {
        let mut run = due(slot);
        let first = run.request.snapshot_id.clone();
        let mut generations = 0;
        for (event, now) in events {
            let before = run.clone();
            match run.clone().apply(event.clone(), now) {
                Some(after) => {
                    check_step(&before, &event, &after)?;
                    run = after;
                }
                None => prop_assert!(!before.is_ended(), "an ended run takes everything"),
            }
            generations += usize::from(before.request.snapshot_id != run.request.snapshot_id);
        }
        prop_assert!(generations <= 1, "more than one further generation");
        let id = &run.request.snapshot_id;
        prop_assert!(*id == first || *id == first.second());
    }
}

// The timing of slots.

fn policy(schedule: &str, zone: usize, window: Option<i64>, jitter: i64, catch_up: bool) -> Policy {
    let zone = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
    ][zone % 4];
    let zone = bundled(zone).unwrap();
    let blackout = Blackout {
        name: "b".to_owned(),
        schedule: Schedule::parse("0 2 * * *", zone.clone()).unwrap(),
        duration: TimeDelta::minutes(90),
    };
    let schedule = Schedule::parse(schedule, zone).unwrap();
    Policy {
        jitter: TimeDelta::seconds(jitter),
        start_window: window.map(TimeDelta::seconds),
        catch_up,
        blackout: if catch_up {
            vec![Arc::new(blackout)]
        } else {
            Vec::new()
        },
        ..Policy::new("p".parse().unwrap(), schedule, Retention::Forever.into())
    }
}

proptest! {
    #[test]
    fn a_slot_starts_between_its_instant_and_its_deadline_and_always_at_the_same_time(
        schedule in prop::sample::select(vec![
            "30 2 * * *", "*/15 * * * *", "0 */6 * * *", "* * * * *", "*/20 * * * * *",
            "0 0 1 * *", "15 3 * * 1-5",
        ]),
        zone in 0_usize..4, window in prop::option::of(60_i64..2_592_000), jitter in 0_i64..86_400,
        catch_up in any::<bool>(), after in instant(), clusters in (name(63), name(63))
    ) {
        let policy = policy(schedule, zone, window, jitter, catch_up);
        let scheduled_at = policy.schedule.next_after(after).unwrap();
        let slot = |cluster: &str| Slot {
            pair: Pair {
                policy: policy.name.clone(),
                scope: Scope {
                    account: "prod".parse().unwrap(),
                    region: "eu-central-1".parse().unwrap(),
                },
                cluster: cluster.parse::<ClusterId>().unwrap(),
            },
            scheduled_at,
        };
        let timing = slot(&clusters.0).timing(&policy);
        prop_assert_eq!(timing, slot(&clusters.0).timing(&policy));
        let width = timing.deadline - scheduled_at;
        prop_assert!(width >= TimeDelta::seconds(60) || width == TimeDelta::seconds(window.unwrap_or(60)));
        if !catch_up {
            prop_assert!(width <= TimeDelta::minutes(5));
        }
        prop_assert_eq!(timing.interval, policy.schedule.next_after(scheduled_at).unwrap() - scheduled_at);
        if let Some(starts_at) = timing.starts_at {
            prop_assert!((scheduled_at..timing.deadline).contains(&starts_at), "{timing:?}");
            prop_assert!(policy.blackout.iter().all(|blackout| blackout.end_at(starts_at).is_none()));
            if policy.blackout.is_empty() {
                let delay = starts_at - scheduled_at;
                prop_assert!(delay.is_zero() || delay < policy.jitter.min(timing.interval).min(width / 2));
            }
        } else {
            prop_assert!(!policy.blackout.is_empty(), "only a blackout takes a whole window");
        }
    }

    #[test]
    fn clusters_are_spread_by_jitter(at in instant()) {
        let policy = policy("0 */6 * * *", 0, None, 3600, false);
        let mut policy = policy;
        policy.start_window = Some(TimeDelta::hours(3));
        policy.catch_up = true;
        let scheduled_at = policy.schedule.next_after(at).unwrap();
        let starts: std::collections::BTreeSet<_> = (0..20)
            .map(|number| {
                let slot = Slot {
                    pair: Pair {
                        policy: policy.name.clone(),
                        scope: Scope {
                            account: "prod".parse().unwrap(),
                            region: "eu-central-1".parse().unwrap(),
                        },
                        cluster: format!("dw-{number}").parse().unwrap(),
                    },
                    scheduled_at,
                };
                slot.timing(&policy).starts_at
            })
            .collect();
        prop_assert!(starts.len() >= 15, "{} different starts of 20 in an hour", starts.len());
    }
}

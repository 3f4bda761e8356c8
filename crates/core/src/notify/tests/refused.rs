//! What receivers are told of a slot that AWS refuses for long, while there is time to do something about it.

use super::*;
use crate::run::Refusal;

/// A run of the present hour that AWS has refused since its beginning; its start window is 40 minutes.
fn refuse(here: &mut Installation, cluster: &str, why: Reason) {
    let slot = here.now.format("%Y-%m-%dT%H:00:00Z").to_string();
    let run = good(&hourly(), cluster, &slot, Tier::Base, 7);
    let since = run.slot.scheduled_at;
    let mut run = Run {
        snapshot: None,
        accepted_at: None,
        requested_at: Some(since),
        asked_at: Some(since),
        attempts: 1,
        message: Some("AWS's words".to_owned()),
        state: RunState::Waiting {
            until: since + TimeDelta::minutes(30),
            refusal: Refusal {
                why,
                times: 1,
                at: Some(since),
            },
        },
        ..run
    };
    run.request.deadline = since + TimeDelta::minutes(40);
    here.commit(vec![Change::Run(Box::new(run))]);
}

fn told(here: &mut Installation) -> Vec<(String, String)> {
    let messages = here.look();
    let states = states(&messages).into_iter();
    states
        .map(|(event, state)| (event.to_owned(), state.to_owned()))
        .collect()
}

fn one(event: &str, state: &str) -> Vec<(String, String)> {
    vec![(event.to_owned(), state.to_owned())]
}

#[test]
fn a_cluster_that_is_refused_for_a_quarter_of_its_window_is_told_before_the_slot_expires() {
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    let paused = || Reason::ClusterState(Some("paused".to_owned()));
    refuse(&mut here, "dw", paused());
    here.pass(TimeDelta::minutes(9));
    assert_eq!(told(&mut here), []);
    here.pass(TimeDelta::minutes(1));
    let begun = here.look();
    assert_eq!(states(&begun), [("refused", "begun")]);
    let content = &begun[0].content;
    assert_eq!(content.cluster.as_deref(), Some("dw"));
    assert!(
        content
            .reason
            .ends_with("for 10 minutes, cluster paused: AWS's words"),
        "{}",
        content.reason
    );
    assert!(
        content.action.starts_with("aws redshift resume-cluster"),
        "{}",
        content.action
    );
    here.pass(TimeDelta::minutes(20));
    assert_eq!(told(&mut here), [], "it is told once");
    here.ends("dw", Outcome::Expired(paused()));
    assert_eq!(
        told(&mut here),
        [],
        "that the slot has ended is no recovery"
    );
    here.pass(TimeDelta::minutes(40));
    let mut accepted = good(&hourly(), "dw", "2026-11-24T01:00:00Z", Tier::Base, 7);
    accepted.accepted_at = Some(here.now);
    here.commit(vec![Change::Run(Box::new(accepted))]);
    assert_eq!(told(&mut here), one("refused", "over"));
}

#[test]
fn what_is_common_to_the_account_and_region_is_one_message() {
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    refuse(&mut here, "dw", Reason::Throttled);
    refuse(&mut here, "finance", Reason::Throttled);
    here.pass(TimeDelta::minutes(10));
    let begun = here.look();
    assert_eq!(states(&begun), [("refused", "begun")]);
    let content = &begun[0].content;
    assert_eq!(
        (content.cluster.as_deref(), content.policy.as_deref()),
        (None, None)
    );
    assert!(
        content.reason.starts_with("2 slots, for 10 minutes"),
        "{}",
        content.reason
    );
}

#[test]
fn a_full_quota_has_its_own_event_from_the_first_refusal_on() {
    let mut here = Installation::new(vec![receiver("ops", ReceiverKind::Webhook)]);
    refuse(&mut here, "dw", Reason::Quota);
    refuse(&mut here, "finance", Reason::Quota);
    assert_eq!(told(&mut here), one("quota_reached", "begun"));
    here.pass(TimeDelta::minutes(30));
    assert_eq!(told(&mut here), []);
}

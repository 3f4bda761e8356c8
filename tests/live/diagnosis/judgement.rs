//! From facts to findings: what `doctor` says of what it has seen.

mod machine;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep::doctor::{
    Asked, Evidence, Finding, Holding, ProbeResult, Question, Severity, deleting, evidence,
    of_scopes,
};
use redkeep::history::{History, PairState};
use redkeep::operations::{Removal, Why};
use redkeep::redshift::{ErrorClass, RedshiftError, ServerDate};
use redkeep::run::{Outcome, Refusal, RunState};

use crate::diagnosis::{at, config, due, pair, scope};

const NOW: &str = "2026-11-24 12:00";

const QUESTIONS: [Question; 4] = [
    Question::Identity,
    Question::Clusters,
    Question::Snapshots,
    Question::Events,
];

fn probe(
    question: Question,
    result: Result<&str, ErrorClass>,
    date: Option<DateTime<Utc>>,
) -> ProbeResult {
    ProbeResult {
        question,
        result: result.map(str::to_owned).map_err(|class| RedshiftError {
            class,
            code: None,
            message: "told".to_owned(),
        }),
        holding: None,
        server_date: date.map_or(ServerDate::NoAnswer, ServerDate::At),
        answered_at: at(NOW),
    }
}

fn asked(place: &str, result: Result<&str, ErrorClass>, date: Option<DateTime<Utc>>) -> Asked {
    let probes = QUESTIONS.map(|question| probe(question, result, date));
    Asked {
        scope: scope(place),
        probes: Some(probes.to_vec()),
        evidence: Evidence::None,
        refused: Vec::new(),
        deleting: None,
        known_number: None,
        quota: 20,
    }
}

fn verdicts(findings: &[Finding], check: &str) -> Vec<Severity> {
    let named = findings.iter().filter(|finding| finding.check == check);
    named.map(|finding| finding.verdict).collect()
}

#[test]
fn aws_is_unreachable_only_when_no_scope_answers() {
    let silent = || asked("prod/us-east-1", Err(ErrorClass::Unsent), None);
    let good = asked("prod/eu-west-1", Ok("1"), Some(at(NOW)));
    let (findings, unreachable) = of_scopes(&[silent(), good]);
    assert!(!unreachable);
    assert_eq!(
        verdicts(&findings, "reachability"),
        [Severity::Failed, Severity::Ok]
    );
    let (findings, unreachable) = of_scopes(&[silent()]);
    assert!(unreachable && findings.len() == 1, "{findings:?}");
    let keyless = asked("prod/us-east-1", Err(ErrorClass::Credentials), None);
    let (findings, unreachable) = of_scopes(&[keyless]);
    assert!(!unreachable, "nothing was sent");
    assert_eq!(verdicts(&findings, "reachability"), [Severity::Warning]);
    assert_eq!(verdicts(&findings, "identity"), [Severity::Failed]);
    assert_eq!(findings.len(), 2, "one cause is told once: {findings:?}");
    let keyless = asked("prod/us-east-1", Err(ErrorClass::Credentials), None);
    let (_, unreachable) = of_scopes(&[keyless, silent()]);
    assert!(unreachable, "nothing answers");
    let nobody = Asked {
        probes: None,
        ..silent()
    };
    let (findings, unreachable) = of_scopes(&[nobody]);
    assert!(!unreachable);
    assert_eq!(verdicts(&findings, "reachability"), [Severity::Warning]);
}

#[test]
fn the_clock_is_judged_by_the_answer_that_is_nearest() {
    for (seconds, wanted) in [
        (2, Severity::Ok),
        (-90, Severity::Warning),
        (301, Severity::Failed),
        (-301, Severity::Failed),
    ] {
        let date = at(NOW) + TimeDelta::seconds(seconds);
        let mut asked = asked("prod/us-east-1", Ok("1"), Some(date));
        asked.probes.as_mut().unwrap()[3].server_date =
            ServerDate::At(date + TimeDelta::seconds(seconds));
        let (findings, _) = of_scopes(&[asked]);
        assert_eq!(
            verdicts(&findings, "clock"),
            [wanted],
            "{seconds}: {findings:?}"
        );
    }
    let mut undated = asked("prod/us-east-1", Ok("1"), None);
    undated.probes.as_mut().unwrap()[0].server_date = ServerDate::Undated;
    let (findings, _) = of_scopes(&[undated]);
    assert_eq!(verdicts(&findings, "clock"), [Severity::Ok]);
}

#[test]
fn each_refusal_is_judged_by_its_class() {
    let check = "redshift:DescribeClusters";
    for (class, wanted) in [
        (ErrorClass::AccessDenied, Severity::Failed),
        (ErrorClass::Throttled, Severity::Warning),
        (ErrorClass::Credentials, Severity::Failed),
        (ErrorClass::Other, Severity::Failed),
    ] {
        let mut asked = asked("prod/us-east-1", Ok("1"), Some(at(NOW)));
        asked.probes.as_mut().unwrap()[1] = probe(Question::Clusters, Err(class), Some(at(NOW)));
        let (findings, _) = of_scopes(&[asked]);
        assert_eq!(verdicts(&findings, check), [wanted], "{class:?}");
    }
    let mut absent = asked("prod/us-east-1", Ok("1"), Some(at(NOW)));
    absent.probes.as_mut().unwrap()[3] = probe(
        Question::Events,
        Err(ErrorClass::SnapshotNotFound),
        Some(at(NOW)),
    );
    let (findings, _) = of_scopes(&[absent]);
    assert_eq!(
        verdicts(&findings, "redshift:DescribeEvents"),
        [Severity::Ok]
    );
}

#[test]
fn two_names_for_one_account_and_region_are_a_finding() {
    let named = |place| asked(place, Ok("111122223333"), Some(at(NOW)));
    let (findings, _) = of_scopes(&[named("a/us-east-1"), named("a/eu-west-1")]);
    assert_eq!(
        verdicts(&findings, "identity"),
        [Severity::Ok, Severity::Ok]
    );
    let (findings, _) = of_scopes(&[named("a/us-east-1"), named("b/us-east-1")]);
    assert_eq!(
        verdicts(&findings, "identity"),
        [Severity::Ok, Severity::Ok, Severity::Failed]
    );
}

#[test]
fn a_full_quota_is_a_finding_whoever_filled_it() {
    let found = |held: usize, own: usize| {
        let mut asked = asked("a/us-east-1", Ok("111122223333"), Some(at(NOW)));
        for probe in asked.probes.iter_mut().flatten() {
            probe.holding =
                (probe.question == Question::Snapshots).then_some(Holding { held, own });
        }
        let (findings, _) = of_scopes(&[asked]);
        let finding = findings.iter().find(|one| one.check == "snapshot_quota");
        finding.map(|one| (one.verdict, one.found.clone())).unwrap()
    };
    assert_eq!(found(18, 18).0, Severity::Ok);
    assert_eq!(found(19, 0).0, Severity::Warning);
    let (verdict, told) = found(20, 10);
    assert_eq!(verdict, Severity::Failed);
    assert_eq!(
        told,
        "AWS has 20 of 20 manual snapshots, 10 of them not redkeep's: AWS refuses new ones"
    );
    assert_eq!(found(31, 0).0, Severity::Failed);
}

#[test]
fn a_name_that_stood_for_another_account_is_a_finding() {
    let named = |number: &str| Asked {
        known_number: Some(number.to_owned()),
        ..asked("a/us-east-1", Ok("111122223333"), Some(at(NOW)))
    };
    let (findings, _) = of_scopes(&[named("111122223333")]);
    assert_eq!(verdicts(&findings, "identity"), [Severity::Ok]);
    let (findings, _) = of_scopes(&[named("444455556666")]);
    assert_eq!(
        verdicts(&findings, "identity"),
        [Severity::Ok, Severity::Failed]
    );
}

fn active_pair() -> PairState {
    PairState {
        active_from: at("2026-11-24 08:00"),
        watermark: at("2026-11-24 10:00"),
        schedule: "@hourly".to_owned(),
        timezone: "UTC".to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: None,
        cluster_gone_at: None,
    }
}

#[test]
fn the_history_tells_whether_creating_is_allowed() {
    let config = config(
        "[[policy]]\nname = \"p\"\nschedule = \"@hourly\"\nclusters = [\"*\"]\nretention = \"7d\"\n",
    );
    let mut history = History::default();
    let here = scope("prod/us-east-1");
    let now = at("2026-11-24 12:00");
    assert_eq!(evidence(&config, &history, &here, now), Evidence::None);
    let mut accepted = due(&config, pair("p", "a"), at("2026-11-24 09:00"));
    accepted.asked_at = Some(at("2026-11-24 09:00"));
    accepted.accepted_at = accepted.asked_at;
    accepted.state = RunState::Ended(Outcome::Available);
    history.insert(accepted.clone());
    assert!(matches!(
        evidence(&config, &history, &here, now),
        Evidence::Accepted { .. }
    ));
    assert_eq!(
        evidence(&config, &history, &scope("prod/eu-west-1"), now),
        Evidence::None
    );
    let mut denied = due(&config, pair("p", "b"), at("2026-11-24 10:00"));
    denied.asked_at = Some(at("2026-11-24 10:00"));
    denied.state = RunState::Waiting {
        until: at("2026-11-24 10:10"),
        refusal: Refusal {
            why: "access denied".into(),
            times: 1,
            at: None,
        },
    };
    history.insert(denied.clone());
    assert!(matches!(
        evidence(&config, &history, &here, now),
        Evidence::Refused { .. }
    ));
    denied.state = RunState::Ended(Outcome::Expired("quota".into()));
    history.insert(denied);
    history.pairs.insert(pair("p", "b"), active_pair());
    let full = evidence(&config, &history, &here, now);
    assert!(
        matches!(&full, Evidence::Refused { why, .. } if why.to_string() == "quota"),
        "its slot is over, and the next one is refused alike: {full:?}"
    );
    let told = Asked {
        evidence: full,
        ..asked("prod/us-east-1", Ok("111122223333"), Some(at(NOW)))
    };
    let (findings, _) = of_scopes(&[told]);
    assert_eq!(
        verdicts(&findings, "redshift:CreateClusterSnapshot"),
        [Severity::Failed]
    );
    let mut later = accepted;
    later.slot.scheduled_at = at("2026-11-24 11:00");
    later.asked_at = Some(at("2026-11-24 11:00"));
    later.accepted_at = later.asked_at;
    history.insert(later);
    assert!(
        matches!(
            evidence(&config, &history, &here, now),
            Evidence::Accepted { .. }
        ),
        "the newest counts"
    );
}

#[test]
fn where_a_policy_deletes_the_history_tells_whether_that_is_allowed() {
    let config = config(
        "[[policy]]\nname = \"p\"\nschedule = \"@hourly\"\nclusters = [\"*\"]\nretention = \"7d\"\n",
    );
    let run = due(&config, pair("p", "a"), at(NOW));
    let open = Removal {
        slot: run.slot.clone(),
        id: run.request.snapshot_id.clone(),
        why: Why::Surplus,
        planned_at: at(NOW),
        look_at: None,
        end: None,
    };
    let ended = |result: Result<&str, &str>| {
        let result = result
            .map(str::to_owned)
            .map_err(|why| why.to_owned().into());
        open.clone().ended(at(NOW), result)
    };
    for (last, wanted) in [
        (None, Severity::Warning),
        (Some(open.clone()), Severity::Warning),
        (Some(ended(Ok("removed"))), Severity::Ok),
        (Some(ended(Err("in use by a cluster"))), Severity::Warning),
        (
            Some(ended(Err("access denied: AccessDenied: no"))),
            Severity::Failed,
        ),
    ] {
        let mut asked = asked("prod/us-east-1", Ok("1"), Some(at(NOW)));
        let check = "redshift:DeleteClusterSnapshot";
        let (findings, _) = of_scopes(std::slice::from_ref(&asked));
        assert_eq!(verdicts(&findings, check), [], "nothing deletes here");
        asked.deleting = Some(deleting(last.as_ref()));
        let (findings, _) = of_scopes(&[asked]);
        assert_eq!(verdicts(&findings, check), [wanted], "{last:?}");
    }
}

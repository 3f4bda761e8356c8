//! Each finding, and what is none.

use super::*;
use crate::names::Tags;
use crate::names::Tier;
use crate::test_fixtures::{config, good, policy, retentions, scope};

fn cluster(id: &str, tags: &[(&str, &str)]) -> Cluster {
    Cluster {
        account_number: None,
        id: id.parse().unwrap(),
        status: "available".to_owned(),
        created_at: None,
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<Tags>(),
    }
}

fn daily(name: &str, clusters: &[&str]) -> Policy {
    policy(name, "30 2 * * *", clusters, retentions("7d", &[]))
}

fn seen(clusters: Vec<Cluster>) -> Seen {
    Seen::from([(scope("eu-central-1"), Ok(clusters))])
}

/// The findings in short: the word, and what it is about.
fn told(config: &Config, history: &History, seen: &Seen) -> Vec<String> {
    let findings = findings(config, history, seen);
    let about = |finding: &Finding| match finding {
        Finding::Unprotected {
            cluster, disabled, ..
        } => format!("{cluster} {disabled:?}"),
        Finding::NoGoodSnapshot(pair) => format!("{} {}", pair.policy, pair.cluster),
        Finding::MatchesNothing(policy) => policy.to_string(),
        Finding::NoSuchCluster(policy, cluster, near) => format!("{policy} {cluster} {near:?}"),
        Finding::NotSeen(scope, why) => format!("{scope} {why}"),
    };
    let line = |finding: &Finding| format!("{} {}", finding.word(), about(finding));
    findings.iter().map(line).collect()
}

#[test]
fn a_cluster_is_protected_by_an_enabled_policy_that_selects_it_with_its_tags() {
    let mut tagged = daily("tagged", &["*"]);
    tagged.selector.cluster_tags = Tags::from([("env".to_owned(), "prod".to_owned())]);
    let mut off = daily("off", &["spare"]);
    off.enabled = false;
    let config = config(vec![tagged.clone(), off]);
    let mut history = History::default();
    history.insert(good(&tagged, "dw", "2026-07-01T00:30:00Z", Tier::Base, 7));
    let clusters = vec![
        cluster("dw", &[("env", "prod")]),
        cluster("test", &[("env", "test")]),
        cluster("spare", &[]),
    ];
    let told = told(&config, &history, &seen(clusters));
    assert_eq!(
        told,
        [
            "unprotected test None",
            "unprotected spare Some(PolicyName(\"off\"))"
        ]
    );
}

#[test]
fn a_policy_that_selects_nothing_and_a_name_that_is_nowhere_are_told_once_all_scopes_were_seen() {
    let mut wide = daily("wide", &["dw", "finanse"]);
    wide.scopes.push(scope("us-east-1"));
    let config = config(vec![wide, daily("vain", &["x-*"])]);
    let mut seen = seen(vec![cluster("dw", &[])]);
    let refused = Err("AccessDenied: no".to_owned());
    seen.insert(scope("us-east-1"), refused);
    let history = History::default();
    let first = told(&config, &history, &seen);
    assert_eq!(
        first,
        [
            "not_seen prod/us-east-1 AccessDenied: no",
            "no_good_snapshot wide dw",
            "matches_nothing vain"
        ]
    );
    seen.insert(scope("us-east-1"), Ok(Vec::new()));
    let second = told(&config, &history, &seen);
    assert_eq!(
        second,
        [
            "no_good_snapshot wide dw",
            "no_such_cluster wide finanse None",
            "matches_nothing vain"
        ]
    );
}

#[test]
fn each_name_that_is_nowhere_is_told_also_where_the_policy_selects_nothing() {
    let mut tagged = daily("tagged", &["finance"]);
    tagged.selector.cluster_tags = Tags::from([("env".to_owned(), "prod".to_owned())]);
    let config = config(vec![daily("typo", &["finence", "zzz"]), tagged]);
    let seen = seen(vec![cluster("finance", &[])]);
    let told = told(&config, &History::default(), &seen);
    assert_eq!(
        told,
        [
            "unprotected finance None",
            "matches_nothing typo",
            "no_such_cluster typo finence Some(ClusterId(\"finance\"))",
            "no_such_cluster typo zzz None",
            "matches_nothing tagged",
            "no_such_cluster tagged finance None",
        ]
    );
}

#[test]
fn a_snapshot_that_is_gone_is_not_good() {
    let policy = daily("p", &["dw"]);
    let mut history = History::default();
    let mut run = good(&policy, "dw", "2026-07-01T00:30:00Z", Tier::Base, 7);
    run.gone = Some(crate::run::Gone {
        at: run.slot.scheduled_at,
        reason: crate::run::GoneReason::Deleted,
    });
    history.insert(run);
    let told = told(
        &config(vec![policy]),
        &history,
        &seen(vec![cluster("dw", &[])]),
    );
    assert_eq!(told, ["no_good_snapshot p dw"]);
}

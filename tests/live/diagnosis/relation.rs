//! Which policies touch a cluster, and what keeps the others away.

use redkeep::explain::{Relation, relations};
use redkeep::history::{History, PairState};
use redkeep::slot::Pair;

use crate::diagnosis::{at, config_of, pair, scope};

const ACCOUNT: &str = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\", \"eu-west-1\"]\n";

fn policy(keys: &str) -> String {
    format!(
        "state_dir = \"state\"\n{ACCOUNT}[[policy]]\nname = \"nightly\"\nschedule = \"30 2 * * *\"\nretention = \"7d\"\n{keys}\n"
    )
}

fn active(closed_at: Option<&str>) -> PairState {
    PairState {
        active_from: at("2026-11-01 00:00"),
        watermark: at("2026-11-01 00:00"),
        schedule: "30 2 * * *".to_owned(),
        timezone: "UTC".to_owned(),
        clocks: None,
        cluster_created_at: None,
        closed_at: closed_at.map(at),
        cluster_gone_at: None,
    }
}

/// Whether `dw-prod` is touched, and the words; a history has these pairs, or there is none.
fn told(keys: &str, pairs: Option<&[(Pair, PairState)]>) -> Vec<(bool, String)> {
    let history = pairs.map(|pairs| {
        let mut history = History::default();
        history.pairs.extend(pairs.iter().cloned());
        history
    });
    let config = config_of(&policy(keys));
    let parts = relations(&config, history.as_ref(), &"dw-prod".parse().unwrap());
    let told = |relation: &Relation| (relation.touches(), relation.words());
    parts.iter().map(|part| told(&part.relation)).collect()
}

#[track_caller]
fn is_told(keys: &str, pairs: Option<&[(Pair, PairState)]>, touches: bool, words: &str) {
    let told = told(keys, pairs);
    let fits = |(is, said): &(bool, String)| *is == touches && said.contains(words);
    assert!(told.iter().any(fits), "{told:?}");
}

fn own(closed_at: Option<&str>) -> [(Pair, PairState); 1] {
    [(pair("nightly", "dw-prod"), active(closed_at))]
}

const GLOB: &str = "clusters = [\"*\"]\n";
const TAGS: &str = "clusters = [\"*\"]\ncluster_tags = { env = \"prod\" }";
const ONE_REGION: &str = "regions = [\"us-east-1\"]\n";

#[test]
fn a_policy_touches_what_it_names_as_far_as_that_can_be_known() {
    let is_touched = |keys: &str, pairs: Option<&[(Pair, PairState)]>, words: &str| {
        is_told(keys, pairs, true, words)
    };
    is_touched(GLOB, None, "not active yet");
    is_touched(GLOB, Some(&own(None)), "active since 2026-11-01T00:00:00Z");
    is_touched(TAGS, Some(&own(None)), "selected by \"*\"");
    let literal = format!("{ONE_REGION}clusters = [\"dw-prod\"]");
    is_touched(
        &literal,
        Some(&[]),
        "selected by \"dw-prod\"; not active yet",
    );
}

#[test]
fn every_small_thing_that_keeps_a_policy_away_is_told() {
    let is_near = |keys: &str, pairs: Option<&[(Pair, PairState)]>, words: &str| {
        is_told(keys, pairs, false, words)
    };
    is_near(GLOB, Some(&[]), "no complete listing has shown");
    let excluded = format!("{GLOB}exclude = [\"*-prod\"]");
    is_near(&excluded, None, "left out by `exclude`: \"*-prod\"");
    is_near(
        &excluded,
        Some(&own(None)),
        "left out by `exclude`: \"*-prod\"",
    );
    is_near(TAGS, None, "only clusters with the tags env=prod");
    let disabled = format!("{GLOB}enabled = false");
    is_near(&disabled, None, "the policy is disabled");
    is_near(&disabled, Some(&own(None)), "the policy is disabled");
    let elsewhere = Pair {
        scope: scope("prod/eu-west-1"),
        ..pair("other", "dw-prod")
    };
    let elsewhere = [(elsewhere, active(None))];
    let one_region = format!("{ONE_REGION}{GLOB}");
    is_near(&one_region, Some(&elsewhere), "seen in prod/eu-west-1");
    let closed = own(Some("2026-11-20 00:00"));
    is_near(GLOB, Some(&closed), "inactive since 2026-11-20T00:00:00Z");
    is_near(
        "clusters = [\"finance\"]",
        Some(&own(None)),
        "no longer selects it",
    );
    for near in ["dw-prd", "wd-prod"] {
        let misspelt = format!("clusters = [\"{near}\"]");
        is_near(
            &misspelt,
            None,
            &format!("names \"{near}\", one letter away"),
        );
    }
}

#[test]
fn a_policy_that_has_nothing_to_do_with_the_cluster_is_left_out() {
    assert!(told("clusters = [\"finance\", \"dw-prd-x\"]", None).is_empty());
}

#[test]
fn a_policy_that_only_the_history_knows_is_told_of() {
    let pairs = [(pair("old", "dw-prod"), active(Some("2026-11-20 00:00")))];
    let told = told("clusters = [\"finance\"]", Some(&pairs));
    assert_eq!(
        told,
        [(false, "the policy is no longer in the file".to_owned())]
    );
}

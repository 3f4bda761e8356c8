//! From a policy as it is written to a [`Policy`].
//!
//! Owns: the checks of a policy and of `[defaults]`, which is checked like a policy that may lack anything.
//! `[defaults]` lies under every policy already (see `raw`), so nothing here knows where a value is from.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::quoted;
use super::expected;
use super::keys::{RawPolicy, plain};
use super::kinds::Span;
use super::path::KeyPath;
use super::raw::RawList;
use super::report::Report;
use super::tiers::retentions;
use super::validate::{items, name, schedule, unique};
use super::values::{self, ClusterPattern};
use redkeep_core::names::{PolicyName, Tags, tag_fault};
use redkeep_core::policy::{Account, ClusterGlob, Policy, Selector};
use redkeep_core::problem::Problem;
use redkeep_core::schedule::Blackout;
use redkeep_core::settings::{scopes_of, written_span};
use redkeep_core::slot::Scope;
use redkeep_core::snapshot::tag;
use redkeep_core::suggest::suggestion;

/// The most tags that AWS puts on one resource.
const MOST_TAGS: usize = 50;
/// Those that are left to a policy.
pub(super) const MOST_OWN_TAGS: usize = MOST_TAGS - tag::COUNT;

/// What policies may refer to.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) accounts: Vec<Account>,
    pub(super) account_names: BTreeSet<String>,
    pub(super) region_names: BTreeSet<String>,
    pub(super) blackouts: BTreeMap<String, Arc<Blackout>>,
    pub(super) blackout_names: BTreeSet<String>,
}

/// Checks `[defaults]` and every policy.
pub(super) fn policies(
    defaults: &RawPolicy,
    raw: &[RawPolicy],
    declared: &Declared,
    report: &mut Report,
) -> Vec<Policy> {
    self::defaults(defaults, declared, report);
    let mut seen = BTreeMap::new();
    let mut policies = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let path = KeyPath::top("policy").item(index);
        unique(&path, raw.name.as_deref(), &mut seen, report);
        policies.extend(policy(&path, raw, declared, report));
    }
    // A daemon without policies is of use on its first day: it serves metrics and takes a reload.
    if raw.is_empty() && !report.incomplete {
        report.warn(
            &KeyPath::root(),
            "there is no [[policy]], so no snapshot will be taken",
        );
    }
    policies
}

/// Checks what stands in `[defaults]`, whether or not a policy uses it.
fn defaults(raw: &RawPolicy, declared: &Declared, report: &mut Report) {
    let path = KeyPath::top("defaults");
    if raw.name.is_some() {
        report.say_at_key(
            &path.key("name"),
            &path.key("name"),
            "each policy has its own name",
        );
    }
    if raw.schedule.is_some() || raw.timezone.is_some() {
        let expression = raw.schedule.as_deref().unwrap_or("@daily");
        schedule(&path, Some(expression), raw.timezone.as_deref(), report);
    }
    if raw.retention.is_some() {
        retentions(&path, raw.retention.as_ref(), report);
    }
    selector(&path, raw, report);
    scopes(&path, raw, declared, report);
    own_tags(&path, raw, report);
    drop(plain(&path, raw, report));
    blackout(&path, raw, declared, report);
}

fn policy(
    path: &KeyPath,
    raw: &RawPolicy,
    declared: &Declared,
    report: &mut Report,
) -> Option<Policy> {
    let name = name::<PolicyName>(path, raw.name.as_deref(), PolicyName::WANTED, report);
    let schedule = schedule(
        path,
        raw.schedule.as_deref(),
        raw.timezone.as_deref(),
        report,
    );
    let retention = retentions(path, raw.retention.as_ref(), report);
    if raw.clusters.is_none() {
        report.missing(path, "clusters", expected::CLUSTERS);
    }
    let plain = plain(path, raw, report);
    let selector = selector(path, raw, report);
    let scopes = scopes(path, raw, declared, report);
    let tags = own_tags(path, raw, report);
    let blackout = blackout(path, raw, declared, report);
    let policy = Policy {
        selector,
        scopes,
        tags,
        blackout,
        ..plain(Policy::new(name?, schedule?, retention?))
    };
    doubt_rpo(path, raw, &policy, report);
    Some(policy)
}

/// Warns of an `rpo` that even a schedule without a failure passes.
fn doubt_rpo(path: &KeyPath, raw: &RawPolicy, policy: &Policy, report: &mut Report) {
    let longest = policy.rpo.and_then(|rpo| {
        let longest = policy.schedule.usual_longest_interval()?;
        (rpo < longest).then_some(longest)
    });
    if let Some((longest, Span(got))) = longest.zip(raw.rpo.as_ref()) {
        let text = format!(
            "got {}, but up to {} lie between two slots: there will be alarms although no slot fails",
            quoted(got),
            written_span(longest)
        );
        let hint = "wanted at least that, plus the time that a snapshot takes";
        report.warn(&path.key("rpo"), Problem::hinted(text, hint));
    }
}

fn selector(path: &KeyPath, raw: &RawPolicy, report: &mut Report) -> Selector {
    let mut selector = Selector {
        cluster_tags: cluster_tags(path, raw, report),
        ..Selector::default()
    };
    for pattern in patterns(&path.key("clusters"), raw.clusters.as_ref(), report) {
        match pattern {
            ClusterPattern::Literal(cluster) => {
                selector.literals.insert(cluster);
            }
            ClusterPattern::Glob(glob) => selector.globs.push(glob),
        }
    }
    for pattern in patterns(&path.key("exclude"), raw.exclude.as_ref(), report) {
        selector.exclude.extend(match pattern {
            // A literal has no character that means anything in a glob.
            ClusterPattern::Literal(cluster) => ClusterGlob::parse(cluster.as_str()).ok(),
            ClusterPattern::Glob(glob) => Some(glob),
        });
    }
    selector
}

fn patterns(path: &KeyPath, list: Option<&RawList>, report: &mut Report) -> Vec<ClusterPattern> {
    let Some(list) = list else { return Vec::new() };
    // An empty `exclude` leaves nothing out; an empty `clusters` would protect nothing.
    if list.is_empty() && path.last_key() == Some("exclude") {
        return Vec::new();
    }
    let mut patterns = Vec::new();
    for (path, text) in items(path, list, expected::CLUSTERS, report) {
        match values::cluster_pattern(&text) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => report.say(&path, why),
        }
    }
    patterns
}

/// Tags of clusters are other people's: AWS's rules hold for them, redkeep's do not.
fn cluster_tags(path: &KeyPath, raw: &RawPolicy, report: &mut Report) -> Tags {
    let tags = raw.cluster_tags.clone().unwrap_or_default();
    for key in tags
        .keys()
        .filter(|key| !(1..=128).contains(&key.chars().count()))
    {
        let path = path.key("cluster_tags").key(key);
        report.say(&path, "no tag has such a key: wanted 1 to 128 characters");
    }
    tags
}

fn own_tags(path: &KeyPath, raw: &RawPolicy, report: &mut Report) -> Tags {
    let path = path.key("tags");
    let tags = raw.tags.clone().unwrap_or_default();
    let most = MOST_OWN_TAGS;
    if tags.len() > most {
        report.say(
            &path,
            format!(
                "got {} tags, wanted at most {most}: AWS allows {MOST_TAGS}, and {} are redkeep's",
                tags.len(),
                tag::COUNT
            ),
        );
    }
    for (key, value) in &tags {
        if let Some(fault) = tag_fault(key, value) {
            report.say(&path.key(key), format!("got {}: {fault}", quoted(value)));
        }
    }
    tags
}

/// The accounts and regions of a policy, by default all, in the order of `[[account]]`.
fn scopes(path: &KeyPath, raw: &RawPolicy, declared: &Declared, report: &mut Report) -> Vec<Scope> {
    let mut read = |key: &str, list: &Option<RawList>, known: &BTreeSet<String>| {
        let list = list.as_ref()?;
        Some(references(
            &path.key(key),
            list,
            key.trim_end_matches('s'),
            known,
            report,
        ))
    };
    let accounts = read("accounts", &raw.accounts, &declared.account_names);
    let regions = read("regions", &raw.regions, &declared.region_names);
    let wanted = |list: &Option<Vec<String>>, name: &str| {
        list.as_ref()
            .is_none_or(|list| list.iter().any(|wanted| wanted == name))
    };
    let scopes: Vec<Scope> = scopes_of(&declared.accounts)
        .filter(|scope| wanted(&accounts, scope.account.as_str()))
        .filter(|scope| wanted(&regions, scope.region.as_str()))
        .collect();
    let both_named = accounts.is_some_and(|list| !list.is_empty())
        && regions.is_some_and(|list| !list.is_empty());
    let spoilt = report.is_spoilt(&path.key("accounts")) || report.is_spoilt(&path.key("regions"));
    if scopes.is_empty() && both_named && !spoilt {
        report.say(
            &path.key("regions"),
            "none of the policy's accounts has one of these regions",
        );
    }
    scopes
}

fn blackout(
    path: &KeyPath,
    raw: &RawPolicy,
    declared: &Declared,
    report: &mut Report,
) -> Vec<Arc<Blackout>> {
    let path = path.key("blackout");
    // Unlike other lists it may be empty: that is how a policy leaves the default's blackouts.
    let Some(list) = raw.blackout.as_ref().filter(|list| !list.is_empty()) else {
        return Vec::new();
    };
    references(&path, list, "blackout", &declared.blackout_names, report)
        .iter()
        .filter_map(|name| declared.blackouts.get(name).cloned())
        .collect()
}

/// The names in a list that are known; any other, and any that comes again, is an error.
pub(super) fn references(
    path: &KeyPath,
    list: &RawList,
    kind: &str,
    known: &BTreeSet<String>,
    report: &mut Report,
) -> Vec<String> {
    let mut names = Vec::new();
    for (path, name) in items(
        path,
        list,
        &format!("at least one {kind}, or no such key for all"),
        report,
    ) {
        if names.contains(&name) {
            report.say(&path, format!("{} is listed twice", quoted(&name)));
        } else if known.contains(&name) {
            names.push(name);
        } else if !report.incomplete {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            report.say(&path, unknown_reference(&name, kind, &known));
        }
    }
    names
}

pub(super) fn unknown_reference(name: &str, kind: &str, known: &[&str]) -> Problem {
    let hint = suggestion(name, known.iter().copied()).unwrap_or_else(|| match known {
        [] => "none is declared".to_owned(),
        _ => format!(
            "wanted one of {}",
            known
                .iter()
                .map(|name| quoted(name))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    });
    Problem::hinted(format!("there is no {kind} {}", quoted(name)), hint)
}

//! What another configuration would change: the slots that come or go, and what follows for snapshots.
//!
//! Owns: the comparison, and the words for what follows. Pure: both configurations are valid already; what the history holds
//! is not looked at, so that the answer is the same wherever it is asked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::names::{ClusterId, PolicyName, Tier};
use crate::policy::Policy;
use crate::settings::{Config, written_span};
use crate::slot::Scope;

/// One thing that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The policy, or `None` where it is of the whole file.
    pub policy: Option<PolicyName>,
    /// Where, and which cluster or pattern; of slots only.
    pub target: Option<(Scope, String)>,
    /// What: a key of the policy file, or `policy`, `account` or `slots`.
    pub what: &'static str,
    /// The value before; `None` where the key was not there.
    pub old: Option<String>,
    /// The value after; `None` where the key would not be there.
    pub new: Option<String>,
    /// What follows from it.
    pub effect: String,
    /// The slots that would come, oldest first.
    pub added: Vec<DateTime<Utc>>,
    /// The slots that would go, oldest first.
    pub removed: Vec<DateTime<Utc>>,
}

impl Difference {
    fn of(policy: &Policy, what: &'static str, old: String, new: String, effect: &str) -> Self {
        Self {
            policy: Some(policy.name.clone()),
            ..Self::of_file(what, Some(old), Some(new), effect)
        }
    }

    fn of_file(what: &'static str, old: Option<String>, new: Option<String>, effect: &str) -> Self {
        Self {
            policy: None,
            target: None,
            what,
            old,
            new,
            effect: effect.to_owned(),
            added: Vec::new(),
            removed: Vec::new(),
        }
    }
}

/// What `new` changes against `old`; slots are compared from `now` on, for so many days.
pub fn differences(old: &Config, new: &Config, now: DateTime<Utc>, days: u16) -> Vec<Difference> {
    let mut found = of_the_file(old, new);
    let names = old.policies.iter().chain(&new.policies);
    let mut seen = BTreeSet::new();
    for name in names.map(|policy| &policy.name) {
        if !seen.insert(name) {
            continue;
        }
        let (was, is) = (old.policy(name), new.policy(name));
        match (was, is) {
            (Some(was), Some(is)) => found.extend(of_policy(was, is)),
            (Some(_), None) => found.push(Difference {
                policy: Some(name.clone()),
                ..Difference::of_file(
                    "policy",
                    Some("there".to_owned()),
                    None,
                    "none of its slots will start; its snapshots stay until they expire",
                )
            }),
            (None, _) => found.push(Difference {
                policy: Some(name.clone()),
                ..Difference::of_file(
                    "policy",
                    None,
                    Some("there".to_owned()),
                    "it becomes active when the daemon reads the file, from that moment on",
                )
            }),
        }
        found.extend(of_slots(was, is, now, now + TimeDelta::days(days.into())));
    }
    found
}

fn of_the_file(old: &Config, new: &Config) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what, was: String, is: String, effect| {
        if was != is {
            found.push(Difference::of_file(what, Some(was), Some(is), effect));
        }
    };
    compare(
        "namespace",
        old.namespace.to_string(),
        new.namespace.to_string(),
        "snapshots made so far are no longer recognised: they are not guarded, not deleted, and do not count",
    );
    compare(
        "state_dir",
        old.state_dir.display().to_string(),
        new.state_dir.display().to_string(),
        "redkeep uses the history there; if there is none, it creates one and rebuilds it from the snapshots' tags",
    );
    compare(
        "writer",
        or_default(old.writer.as_ref()),
        or_default(new.writer.as_ref()),
        "redkeep no longer deletes snapshots of the old writer; `redkeep takeover` changes their writer",
    );
    for account in &old.accounts {
        let is = new.account(&account.name);
        let name = format!("{} ", account.name);
        match is {
            None => found.push(Difference::of_file(
                "account",
                Some(account.name.to_string()),
                None,
                "its clusters get no snapshots, and its open runs end",
            )),
            Some(is) if is.snapshot_quota != account.snapshot_quota => {
                found.push(Difference::of_file(
                    "snapshot_quota",
                    Some(format!("{name}{}", account.snapshot_quota)),
                    Some(format!("{name}{}", is.snapshot_quota)),
                    "`redkeep forecast` and the alarms use it; it does not change AWS's own quota",
                ));
            }
            Some(_) => {}
        }
    }
    let is_new = |name| old.account(name).is_none();
    for account in new.accounts.iter().filter(|account| is_new(&account.name)) {
        found.push(Difference::of_file(
            "account",
            None,
            Some(account.name.to_string()),
            "its clusters are listed; they match the policies that name this account or no account",
        ));
    }
    found
}

fn or_default(value: Option<&impl ToString>) -> String {
    value.map_or("by default".to_owned(), ToString::to_string)
}

/// The keys of a policy that differ.
fn of_policy(old: &Policy, new: &Policy) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what, was: String, is: String, effect: &str| {
        if was != is {
            found.push(Difference::of(new, what, was, is, effect));
        }
    };
    compare(
        "enabled",
        old.enabled.to_string(),
        new.enabled.to_string(),
        match new.enabled {
            true => "it becomes active when the daemon reads the file, from that moment on",
            false => "its slots are missed (disabled); the guard keeps its last good snapshots",
        },
    );
    let closes = "the old schedule ends, with a record of each due slot; the new one is active from the edit on";
    compare(
        "schedule",
        old.schedule.expression().to_owned(),
        new.schedule.expression().to_owned(),
        closes,
    );
    compare(
        "timezone",
        old.schedule.timezone().name().to_owned(),
        new.schedule.timezone().name().to_owned(),
        closes,
    );
    let longer = old
        .retention
        .longer_tiers()
        .chain(new.retention.longer_tiers());
    let tiers: BTreeSet<Tier> = std::iter::once(Tier::Base).chain(longer).collect();
    for tier in tiers {
        compare(
            "retention",
            format!("{} {}", tier.as_str(), old.retention.of(tier)),
            format!("{} {}", tier.as_str(), new.retention.of(tier)),
            "for new snapshots; existing ones keep their period",
        );
    }
    compare(
        "jitter",
        written_span(old.jitter),
        written_span(new.jitter),
        "slots start at other times",
    );
    compare(
        "start_window",
        old.start_window
            .map_or("by default".to_owned(), written_span),
        new.start_window
            .map_or("by default".to_owned(), written_span),
        "for new slots: how long after its instant a slot may still start",
    );
    compare(
        "catch_up",
        old.catch_up.to_string(),
        new.catch_up.to_string(),
        "whether a slot that could not start promptly may start later",
    );
    compare(
        "rpo",
        old.rpo.map_or("none".to_owned(), written_span),
        new.rpo.map_or("none".to_owned(), written_span),
        "`status --check`, `report` and the alarms use it",
    );
    found.extend(of_blackouts(old, new));
    found.extend(of_protection(old, new));
    found
}

fn of_blackouts(old: &Policy, new: &Policy) -> Option<Difference> {
    let told = |policy: &Policy| {
        let one = |blackout: &std::sync::Arc<crate::schedule::Blackout>| {
            let schedule = &blackout.schedule;
            let zone = schedule.timezone().name();
            format!(
                "{} ({} for {} in {zone})",
                blackout.name,
                schedule.expression(),
                written_span(blackout.duration)
            )
        };
        let all: Vec<String> = policy.blackout.iter().map(one).collect();
        match all.is_empty() {
            true => "none".to_owned(),
            false => all.join(", "),
        }
    };
    let (was, is) = (told(old), told(new));
    let effect = "slots inside a blackout start after it, or are missed (blackout)";
    (was != is).then(|| Difference::of(new, "blackout", was, is, effect))
}

/// What the guard and the passes would do otherwise.
fn of_protection(old: &Policy, new: &Policy) -> Vec<Difference> {
    let (was, is) = (old.protection, new.protection);
    let mut found = Vec::new();
    let mut compare = |what, before: String, after: String, effect: String| {
        if before != after {
            found.push(Difference::of(new, what, before, after, &effect));
        }
    };
    compare(
        "guard",
        was.guard.to_string(),
        is.guard.to_string(),
        match is.guard {
            true => format!(
                "the newest {} good snapshots are kept from expiring while no newer one comes",
                is.min_good
            ),
            false => "the last good snapshots may expire although no newer one comes".to_owned(),
        },
    );
    compare(
        "min_good",
        was.min_good.to_string(),
        is.min_good.to_string(),
        format!("the guard and pruning keep at least {}", is.min_good),
    );
    compare(
        "guard_gone",
        written_span(was.guard_gone),
        written_span(is.guard_gone),
        "how long the guard keeps the snapshots of a cluster that no longer exists".to_owned(),
    );
    let count = |keep: Option<usize>| keep.map_or("none".to_owned(), |keep| keep.to_string());
    compare(
        "keep_last",
        count(was.keep_last),
        count(is.keep_last),
        match (was.keep_last, is.keep_last) {
            (_, None) => "redkeep deletes nothing from then on".to_owned(),
            (Some(before), Some(after)) if after < before => format!(
                "up to {} more snapshots of each cluster are deleted, after a first pass that only reports them \
                 and, if they are many, a confirmation",
                before - after
            ),
            (Some(_), Some(_)) => "fewer snapshots are deleted".to_owned(),
            (None, Some(after)) => format!(
                "base-tier snapshots beyond the newest {after} of each cluster are deleted, after a first pass that \
                 only reports them"
            ),
        },
    );
    found
}

type Targets = BTreeMap<(Scope, String), BTreeSet<DateTime<Utc>>>;

/// The slots that come or go, by place and cluster.
fn of_slots(
    old: Option<&Policy>,
    new: Option<&Policy>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<Difference> {
    let slots = |policy: Option<&Policy>| {
        let policy = policy.filter(|policy| policy.enabled);
        policy.map_or_else(Targets::new, |policy| slots(policy, now, until))
    };
    let (was, is) = (slots(old), slots(new));
    let none = BTreeSet::new();
    let targets: BTreeSet<_> = was.keys().chain(is.keys()).collect();
    let mut found = Vec::new();
    for target in targets {
        let (was, is) = (
            was.get(target).unwrap_or(&none),
            is.get(target).unwrap_or(&none),
        );
        let added: Vec<_> = is.difference(was).copied().collect();
        let removed: Vec<_> = was.difference(is).copied().collect();
        if added.is_empty() && removed.is_empty() {
            continue;
        }
        found.push(Difference {
            policy: old.or(new).map(|policy| policy.name.clone()),
            target: Some(target.clone()),
            added,
            removed,
            ..Difference::of_file(
                "slots",
                Some(was.len().to_string()),
                Some(is.len().to_string()),
                "",
            )
        });
    }
    found
}

fn slots(policy: &Policy, now: DateTime<Utc>, until: DateTime<Utc>) -> Targets {
    let instants: BTreeSet<_> = policy.schedule.slots_between(now, until).collect();
    let selector = &policy.selector;
    let literals = selector.unexcluded_literals().map(ClusterId::to_string);
    let globs = selector.globs.iter().map(|glob| glob.pattern().to_owned());
    let names: Vec<String> = literals.chain(globs).collect();
    let mut targets = Targets::new();
    for scope in &policy.scopes {
        for name in &names {
            targets.insert((scope.clone(), name.clone()), instants.clone());
        }
    }
    targets
}

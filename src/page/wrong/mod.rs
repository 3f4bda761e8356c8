//! What is wrong, in words: since when, what it means, and the command that helps.
//!
//! Owns: the words for each alarm, for the daemon's own condition and for what the newest slots came to. Pure. Of many that
//! are alike only the first are told, with a way to the others: a person reads a page once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::board::{Refused, StandingAlarm};
use super::filter::address;
use super::fleet::{Row, Standing};
use crate::http::{Condition, ProbeAnswer};
use crate::metrics::{PairView, View};
use crate::plan::Alarm;
use crate::remedy::{explain, resume, take};
use crate::slot::{Pair, Scope, rfc3339};
use crate::standing::{Concern, LastCounting, lacking};

/// How many findings of a kind are told one by one.
const EACH: usize = 3;

/// Something that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it has in common with others.
    pub(super) kind: &'static str,
    /// Since when, as far as that is known.
    pub(super) since: Option<DateTime<Utc>>,
    /// What is so.
    pub(super) what: String,
    /// What follows from it.
    pub(super) meaning: String,
    /// What tells more, or mends it.
    pub(super) command: String,
}

/// The findings of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The first of them.
    pub(super) told: Vec<Finding>,
    /// How many more there are.
    pub(super) more: usize,
    /// Where they are listed, where the page can do that.
    pub(super) list: Option<String>,
}

/// The findings, those of a kind together, in the order in which each kind came first.
fn grouped(findings: Vec<Finding>) -> Vec<Group> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for finding in findings {
        let place = *places.entry(finding.kind).or_insert(groups.len());
        if place == groups.len() {
            let is_state = Standing::ALL.iter().any(|one| one.word() == finding.kind);
            groups.push(Group {
                list: is_state.then(|| address("/", &[("state", finding.kind)])),
                told: Vec::new(),
                more: 0,
            });
        }
        let group = &mut groups[place];
        match group.told.len() < EACH {
            true => group.told.push(finding),
            false => group.more += 1,
        }
    }
    groups
}

/// What there is to find something wrong in.
pub(super) struct Facts<'a> {
    pub(super) condition: &'a Condition,
    pub(super) alarms: &'a [StandingAlarm],
    /// What AWS refuses now beside that.
    pub(super) refused: &'a [Refused],
    pub(super) view: &'a View,
    pub(super) rows: &'a [Row<'a>],
    /// Why the history cannot be read.
    pub(super) unreadable: Option<&'a str>,
}

/// What is wrong: with the daemon, by its alarms, and by what the newest slots came to.
pub(super) fn all(facts: &Facts<'_>) -> Vec<Group> {
    let mut found = of_daemon(facts);
    found.extend(of_alarms(facts));
    found.extend(facts.refused.iter().map(of_refused));
    found.extend(of_rows(facts.rows));
    grouped(found)
}

/// What is wrong with the daemon itself.
fn of_daemon(facts: &Facts<'_>) -> Vec<Finding> {
    let (condition, reload) = (facts.condition, facts.view.reload);
    let finding = |kind, what: String, meaning: &str, command: &str| Finding {
        kind,
        since: None,
        what,
        meaning: meaning.to_owned(),
        command: command.to_owned(),
    };
    let mut found = Vec::new();
    if let Some(why) = facts.unreadable {
        found.push(finding(
            "history",
            format!("The history cannot be read: {why}"),
            "What became of the slots is not shown below. Snapshots continue.",
            "redkeep doctor",
        ));
    }
    let trouble = condition.history_trouble.as_deref();
    if trouble.is_some() || !facts.view.history_writable {
        let why = trouble.unwrap_or("the last attempt failed");
        found.push(finding(
            "history",
            format!("The history cannot be written: {why}"),
            "Snapshots continue, and redkeep records them when it can write; it deletes nothing until then.",
            "redkeep doctor",
        ));
    }
    if !reload.successful {
        let since = reload
            .succeeded_at
            .map(|at| format!("The configuration read at {} stays in use.", rfc3339(at)));
        found.push(finding(
            "reload",
            "The policy file was not valid when it was last read.".to_owned(),
            &since.unwrap_or_default(),
            "redkeep check",
        ));
    }
    found.extend(condition.unreached.iter().map(|(scope, why)| {
        let what = format!("{scope}: {why}");
        let is_its = |one: &&StandingAlarm| one.alarm == Alarm::Unreachable(scope.clone());
        let alarm = facts.alarms.iter().find(is_its);
        Finding {
            since: alarm.map(|alarm| alarm.since),
            ..finding(
                "unreached",
                what,
                "No snapshot can be taken there.",
                "redkeep doctor",
            )
        }
    }));
    found
}

/// How a dead loop is told; `None` where it turns.
pub(super) fn dead(alive: &ProbeAnswer) -> Option<String> {
    match alive {
        ProbeAnswer::Good => None,
        ProbeAnswer::Bad(reasons) => Some(reasons.join("; ")),
    }
}

/// What the newest slots of the pairs came to, where that is no snapshot.
fn of_rows(rows: &[Row<'_>]) -> Vec<Finding> {
    let lacking = rows.iter().filter(|row| row.standing.is_lacking());
    lacking.filter_map(of_row).collect()
}

fn of_row(row: &Row<'_>) -> Option<Finding> {
    let pair = &row.pair;
    let kind = row.standing.word();
    let command = explain(pair);
    if row.standing == Standing::Overdue {
        // The age of the newest snapshot is an alarm, and told as one.
        let late = row.late_slot?;
        return Some(Finding {
            kind,
            since: Some(late),
            what: format!(
                "{}: the slot of {} was due, and nothing has happened",
                pair,
                rfc3339(late)
            ),
            meaning: "The daemon is stuck, or the clock was set: the slot has not started."
                .to_owned(),
            command,
        });
    }
    let ended = row.ended.as_ref()?;
    if row.standing == Standing::Gone {
        return Some(Finding {
            kind,
            since: Some(ended.at),
            what: format!("{pair}: {kind}"),
            meaning: "The snapshot of its newest slot no longer exists.".to_owned(),
            command,
        });
    }
    let (reason, message) = (ended.reason.as_deref(), ended.message.as_deref());
    let last = LastCounting::of_record(ended.at, ended.kind, reason, message)?;
    let concern = lacking(pair, &last, rfc3339)?;
    Some(of_concern(kind, &pair.to_string(), concern))
}

fn of_refused(refused: &Refused) -> Finding {
    of_concern("refused", &refused.subject, refused.concern.clone())
}

fn of_concern(kind: &'static str, subject: &str, concern: Concern) -> Finding {
    Finding {
        kind,
        since: concern.since,
        what: format!("{subject}: {}", concern.words),
        meaning: concern.meaning,
        command: concern.command,
    }
}

/// What is no error, and yet worth knowing: clusters that nothing protects, or that have no snapshot yet, and what is paused.
pub(super) fn notices(view: &View, rows: &[Row<'_>]) -> Vec<Group> {
    let paused = view.paused.iter().map(|(policy, since)| Finding {
        kind: "paused",
        since: Some(*since),
        what: format!("The policy {policy} is paused."),
        meaning: "Its slots are missed (paused) until it is resumed.".to_owned(),
        command: resume(policy),
    });
    let scopes = view.scopes.iter();
    let unprotected = scopes.filter_map(|gauges| {
        let count = gauges.unprotected_clusters.filter(|count| *count > 0)?;
        let named: Vec<&str> = gauges.unprotected.iter().map(|one| one.as_str()).collect();
        let more = match count.saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Some(Finding {
            kind: "unprotected",
            since: None,
            what: format!(
                "{}: no policy selects {}{more}.",
                gauges.scope,
                named.join(", ")
            ),
            meaning: "redkeep takes no snapshots of these clusters.".to_owned(),
            command: "redkeep coverage".to_owned(),
        })
    });
    let new = rows.iter().filter_map(of_new);
    grouped(unprotected.chain(new).chain(paused).collect())
}

/// That a cluster has no snapshot yet, which is no fault of a policy that has just begun.
fn of_new(row: &Row<'_>) -> Option<Finding> {
    let is_new = |view: &&PairView| view.last_success.is_none() && !view.in_progress;
    let view = row.view.filter(is_new)?;
    if row.standing != Standing::New {
        return None;
    }
    Some(Finding {
        kind: Standing::New.word(),
        since: Some(view.active_since),
        what: format!("{}: it has no snapshot yet.", row.pair),
        meaning: match view.next_run {
            Some(next) => format!("Its first slot is at {}.", rfc3339(next)),
            None => "It has no next slot.".to_owned(),
        },
        command: take(&row.pair),
    })
}

/// What is said where nothing is wrong: all is well only where everything has its snapshot.
pub(super) fn well(view: &View, rows: &[Row<'_>]) -> &'static str {
    let has_none = |row: &Row<'_>| row.view.is_none_or(|view| view.last_success.is_none());
    let are_unprotected = { view.scopes.iter() }
        .any(|gauges| gauges.unprotected_clusters.is_some_and(|count| count > 0));
    if rows.iter().all(|row| row.view.is_none()) {
        "Nothing is protected: no policy selects an existing cluster."
    } else if rows.iter().all(has_none) {
        "Nothing has failed, and nothing is protected yet: no cluster has a snapshot."
    } else if are_unprotected {
        "What the policies select is well. Not every cluster is protected; see below."
    } else if rows.iter().any(has_none) {
        "Nothing has failed. Not every cluster has a snapshot yet; see below."
    } else {
        "All is well."
    }
}

/// The alarms, in words. A scope that is not reached is told as such, and not once more for its listing; what is refused now
/// is told from the first refusal on, and not once more when it has lasted.
fn of_alarms(facts: &Facts<'_>) -> Vec<Finding> {
    let breaches = facts.rows.iter();
    let breaches: BTreeMap<&Pair, DateTime<Utc>> = breaches
        .filter_map(|row| Some((&row.pair, row.breached_since?)))
        .collect();
    let unreached = |scope: &Scope| {
        facts
            .condition
            .unreached
            .iter()
            .any(|(one, _)| one == scope)
    };
    let alarms = facts.alarms.iter();
    alarms
        .filter(|one| match &one.alarm {
            Alarm::Unreachable(scope) => !unreached(scope),
            Alarm::SlotRefused(_) | Alarm::SlotsRefused(..) => false,
            _ => true,
        })
        .map(|one| {
            let since = match &one.alarm {
                Alarm::RpoBreach(pair) => breaches.get(pair).copied(),
                _ => None,
            };
            of_alarm(one, since.unwrap_or(one.since))
        })
        .collect()
}

fn of_alarm(one: &StandingAlarm, since: DateTime<Utc>) -> Finding {
    let words = &one.words;
    let what = format!("{}: {}", words.subject, words.what);
    Finding {
        kind: words.kind,
        since: Some(since),
        what: match one.said.is_empty() {
            true => what,
            false => format!("{what}: {}", one.said),
        },
        meaning: words.meaning.to_owned(),
        command: words.command.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_well_only_where_everything_has_its_snapshot() {
        use crate::page::fleet;
        use crate::page::samples::{pair, pair_view};
        let scope = pair("a").scope;
        let gauges = |unprotected: &[&str]| crate::metrics::ScopeGauges {
            scope: scope.clone(),
            manual_snapshots: None,
            unprotected_clusters: Some(unprotected.len()),
            unprotected: unprotected
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
            quota: 20,
            clock_skew: None,
            request_rate_limit: None,
        };
        let told = |clusters: &[(&str, bool)], unprotected: &[&str]| {
            let pairs = clusters.iter().map(|(name, has_snapshot)| {
                let mut view = pair_view(name);
                view.last_success = has_snapshot.then_some(DateTime::UNIX_EPOCH);
                view
            });
            let view = View {
                pairs: pairs.collect(),
                scopes: vec![gauges(unprotected)],
                ..View::default()
            };
            let rows = fleet::rows(
                fleet::pairs(&view, &[]),
                Vec::new(),
                &[],
                DateTime::UNIX_EPOCH,
            );
            let notices = notices(&view, &rows);
            let told = notices.iter().flat_map(|group| &group.told);
            let told: Vec<String> = told.map(|one| one.what.clone()).collect();
            (well(&view, &rows), told)
        };
        assert_eq!(told(&[("a", true)], &[]), ("All is well.", vec![]));
        let (nothing, named) = told(&[], &["finance"]);
        assert!(nothing.starts_with("Nothing is protected:"), "{nothing}");
        assert_eq!(named, ["prod/eu-central-1: no policy selects finance."]);
        let (new, named) = told(&[("a", false), ("b", false)], &[]);
        assert!(new.contains("nothing is protected yet"), "{new}");
        assert_eq!(named.len(), 2);
        let (some, _) = told(&[("a", false), ("b", true)], &[]);
        assert!(some.contains("Not every cluster has a snapshot"), "{some}");
        let (some, _) = told(&[("b", true)], &["finance"]);
        assert!(some.contains("Not every cluster is protected"), "{some}");
    }

    #[test]
    fn many_of_a_kind_are_told_by_the_first_of_them_and_where_the_others_are() {
        let finding = |kind: &'static str, number: usize| Finding {
            kind,
            since: None,
            what: number.to_string(),
            meaning: String::new(),
            command: String::new(),
        };
        let mut findings: Vec<Finding> = (0..9).map(|number| finding("failed", number)).collect();
        findings.insert(3, finding("clock", 0));
        let groups = grouped(findings);
        let told: Vec<_> = groups
            .iter()
            .map(|group| (group.told.len(), group.more))
            .collect();
        assert_eq!(told, [(3, 6), (1, 0)]);
        assert_eq!(groups[0].list.as_deref(), Some("/?state=failed"));
        assert_eq!(groups[1].list, None);
        assert_eq!(groups[0].told[2].what, "2");
    }
}

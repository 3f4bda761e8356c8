//! What AWS answered in each scope.
//!
//! Owns: what an answer, a refusal or a silence says of reachability, the clock, the identity and the permissions.
//! There is no dry run of CreateClusterSnapshot, and AWS does not document that it checks the permission before the
//! rest of a request: the history is what tells whether AWS has accepted one.

mod evidence;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

pub use self::evidence::{Evidence, deleting, evidence, refused_now};

use self::evidence::{creating, deletes, slots};
use super::Finding;
use crate::explain::span;
use crate::names::Region;
use crate::observed::SKEW_LIMIT;
use crate::redshift::{ErrorClass, Operation, RedshiftError, ServerDate};
use crate::run::Reason;
use crate::slot::Scope;
use crate::standing::Concern;

/// What a scope is asked, all of it without side effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// STS GetCallerIdentity, which needs no permission.
    Identity,
    /// DescribeClusters.
    Clusters,
    /// DescribeClusterSnapshots.
    Snapshots,
    /// DescribeEvents.
    Events,
}

impl Question {
    fn check(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Clusters => Operation::DescribeClusters.action(),
            Self::Snapshots => Operation::DescribeClusterSnapshots.action(),
            Self::Events => Operation::DescribeEvents.action(),
        }
    }
}

/// What became of a question.
#[derive(Debug, Clone)]
pub struct ProbeResult {
    /// What was asked.
    pub question: Question,
    /// What the answer says, for people; for [`Question::Identity`] the account's number.
    pub result: Result<String, RedshiftError>,
    /// What AWS holds, where [`Question::Snapshots`] was answered.
    pub holding: Option<Holding>,
    /// The answer's date.
    pub server_date: ServerDate,
    /// When the answer came, by this machine's clock.
    pub answered_at: DateTime<Utc>,
}

/// A scope, and what became of the questions there.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The scope.
    pub scope: Scope,
    /// The answers; `None` where the embedded sandbox is not running, so that there is nobody to ask.
    pub probes: Option<Vec<ProbeResult>>,
    /// What the history says about creating.
    pub evidence: Evidence,
    /// What AWS refuses now beside that, and of whom.
    pub refused: Vec<(String, Concern)>,
    /// What it says about deleting; `None` where no policy deletes.
    pub deleting: Option<Evidence>,
    /// The number that the account's name has stood for, by the history.
    pub known_number: Option<String>,
    /// How many manual snapshots the account may hold there, by the configuration.
    pub quota: u32,
}

/// The manual snapshots that AWS holds in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// All of them.
    pub held: usize,
    /// Those whose tags say that they are of this namespace.
    pub own: usize,
}

/// What is to be said of the scopes, and whether AWS answered in none of those that were asked.
pub fn findings(asked: &[Asked]) -> (Vec<Finding>, bool) {
    let mut numbers = BTreeMap::new();
    let findings = asked
        .iter()
        .flat_map(|asked| of_scope(asked, &mut numbers))
        .collect();
    let mut ways = asked
        .iter()
        .filter_map(|asked| asked.probes.as_deref())
        .map(way);
    let is_unreachable = ways.clone().any(|way| way == Reachability::Silent)
        && ways.all(|way| way != Reachability::Open);
    (findings, is_unreachable)
}

/// The scopes by the account's number and the region, as far as they are known.
type Numbers = BTreeMap<(String, Region), Scope>;

fn of_scope(asked: &Asked, numbers: &mut Numbers) -> Vec<Finding> {
    let findings = match asked.probes.as_deref().map(|probes| (probes, way(probes))) {
        None => vec![Finding::warning(
            "reachability",
            "the embedded sandbox runs inside `redkeep run`, and none is running: nothing was asked",
            "start `redkeep run`",
        )],
        Some((probes, Reachability::Silent)) => vec![unreachable(probes)],
        Some((probes, Reachability::Keyless)) => keyless(probes, &asked.scope),
        Some((probes, Reachability::Open)) => {
            let mut findings = vec![Finding::ok("reachability", "AWS answers")];
            findings.extend(clock(probes));
            findings.extend(probes.iter().map(|probe| answered(probe, &asked.scope)));
            findings.extend(barred(probes, asked, numbers));
            findings.extend(quota(probes, asked.quota));
            findings.push(creating(asked));
            findings.extend(slots(&asked.refused));
            let deleting = asked.deleting.as_ref();
            findings.extend(deleting.map(|evidence| deletes(evidence, &asked.scope)));
            findings
        }
    };
    let at = |finding: Finding| finding.at(&asked.scope);
    findings.into_iter().map(at).collect()
}

/// Whether a scope can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reachability {
    /// An answer came.
    Open,
    /// None did, and without credentials nothing could be sent.
    Keyless,
    /// None did.
    Silent,
}

fn way(probes: &[ProbeResult]) -> Reachability {
    let is_told =
        |probe: &ProbeResult| probe.result.is_ok() || probe.server_date != ServerDate::NoAnswer;
    let lacks_keys = |probe: &ProbeResult| {
        let error = probe.result.as_ref().err();
        error.is_some_and(|error| error.class == ErrorClass::Credentials)
    };
    if probes.iter().any(is_told) {
        Reachability::Open
    } else if probes.iter().any(lacks_keys) {
        Reachability::Keyless
    } else {
        Reachability::Silent
    }
}

fn unreachable(probes: &[ProbeResult]) -> Finding {
    let error = probes.iter().find_map(|probe| probe.result.as_ref().err());
    Finding::failed(
        "reachability",
        error.map_or_else(
            || "no request got an answer".to_owned(),
            RedshiftError::told,
        ),
        "check the network (name resolution, routes, proxy, firewall, VPC endpoint), `endpoint` and the region",
    )
}

/// The permissions are not told of: they are all as unknown as the identity.
fn keyless(probes: &[ProbeResult], scope: &Scope) -> Vec<Finding> {
    let way = Finding::warning(
        "reachability",
        "nothing could be sent without credentials",
        "fix the credentials first",
    );
    let identity = probes
        .iter()
        .find(|probe| probe.question == Question::Identity);
    let identity = identity.map(|probe| answered(probe, scope));
    std::iter::once(way).chain(identity).collect()
}

/// The smallest difference, since a slow answer makes one greater.
fn clock(probes: &[ProbeResult]) -> Option<Finding> {
    const CHECK: &str = "clock";
    let dated = probes.iter().filter_map(|probe| match probe.server_date {
        ServerDate::At(date) => Some(probe.answered_at - date),
        ServerDate::NoAnswer | ServerDate::Undated => None,
    });
    let Some(skew) = dated.min_by_key(TimeDelta::abs) else {
        let is_undated = |probe: &ProbeResult| probe.server_date == ServerDate::Undated;
        return probes.iter().any(is_undated).then(|| {
            Finding::ok(
                CHECK,
                "the endpoint sends no date, so its clock cannot be compared",
            )
        });
    };
    let direction = if skew < TimeDelta::zero() {
        "behind"
    } else {
        "ahead of"
    };
    let found = format!("{} {direction} AWS's", span(skew.abs()));
    let advice = "set this machine's clock, and keep it set (chrony, systemd-timesyncd)";
    Some(if skew.abs() > SKEW_LIMIT {
        Finding::failed(CHECK, found, advice)
    } else if skew.abs() > SKEW_LIMIT / 5 {
        Finding::warning(CHECK, found, advice)
    } else {
        Finding::ok(CHECK, found)
    })
}

fn answered(probe: &ProbeResult, scope: &Scope) -> Finding {
    let check = probe.question.check();
    match (&probe.result, probe.question) {
        (Ok(number), Question::Identity) => Finding::ok(check, format!("account {number}")),
        (Ok(told), _) => Finding::ok(check, told.clone()),
        // The question was about a snapshot that need not be there.
        (Err(error), Question::Events) if error.class == ErrorClass::SnapshotNotFound => {
            Finding::ok(check, "AWS answers")
        }
        (Err(error), _) => refused(check, error, scope),
    }
}

fn refused(check: &'static str, error: &RedshiftError, scope: &Scope) -> Finding {
    let found = format!("{}: {}", Reason::from(error.class), error.told());
    match error.class {
        ErrorClass::Throttled => {
            Finding::warning(check, found, "try again; redkeep itself asks more slowly")
        }
        ErrorClass::AccessDenied => Finding::failed(
            check,
            found,
            format!(
                "allow it to the identity of this account; `redkeep iam-policy --account {}` prints what it needs",
                scope.account
            ),
        ),
        ErrorClass::Credentials => Finding::failed(
            check,
            found,
            "check the account's `profile` and `role_arn`, and the environment: this command has its own, not the \
             service's; to use the service's file, set AWS_SHARED_CREDENTIALS_FILE=/etc/credstore/aws",
        ),
        ErrorClass::ClockSkew => Finding::failed(check, found, "set this machine's clock"),
        ErrorClass::Unknown | ErrorClass::Unsent => Finding::failed(
            check,
            found,
            "try again; if it fails again, check the network and AWS's health page",
        ),
        _ => Finding::failed(
            check,
            found,
            "look up AWS's error code; redkeep's log has more",
        ),
    }
}

/// What keeps the daemon from working in a scope: its account's name has stood for another account, or two names
/// stand for one account and region, of which the first works.
fn barred(probes: &[ProbeResult], asked: &Asked, numbers: &mut Numbers) -> Option<Finding> {
    let scope = &asked.scope;
    let identity = probes
        .iter()
        .find(|probe| probe.question == Question::Identity)?;
    let number = identity.result.as_ref().ok()?;
    if let Some(known) = asked.known_number.as_ref().filter(|known| *known != number) {
        return Some(Finding::failed(
            "identity",
            format!("in the history this account's name belongs to the AWS account {known}"),
            "give the account its former credentials, or give the other AWS account a name of its own",
        ));
    }
    let place = (number.clone(), scope.region.clone());
    let first = numbers.entry(place).or_insert_with(|| scope.clone());
    (first != scope).then(|| {
        Finding::failed(
            "identity",
            format!("the same AWS account and region as {first}"),
            "give each account of the file the credentials of another AWS account, or take one out",
        )
    })
}

/// AWS counts the manual snapshots of everybody in the account and region.
fn quota(probes: &[ProbeResult], quota: u32) -> Option<Finding> {
    const CHECK: &str = "snapshot_quota";
    const ADVICE: &str =
        "delete some, keep fewer, or have AWS raise the quota and set `snapshot_quota`";
    let Holding { held, own } = probes.iter().find_map(|probe| probe.holding)?;
    let others = held - own;
    let found =
        format!("AWS has {held} of {quota} manual snapshots, {others} of them not redkeep's");
    Some(match (quota as usize).saturating_sub(held) {
        0 => Finding::failed(CHECK, format!("{found}: AWS refuses new ones"), ADVICE),
        left if left * 10 < quota as usize => Finding::warning(CHECK, found, ADVICE),
        _ => Finding::ok(CHECK, found),
    })
}

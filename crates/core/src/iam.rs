//! The least that IAM must allow for a configuration.
//!
//! Owns: which action redkeep needs for what, on which snapshots, and under which conditions. Pure, and made from the
//! configuration alone: what only AWS knows (an account's number) is a wildcard unless it is given. Never allows a wildcard in an action, because each one here was weighed.
//!
//! The service authorization reference says what can be narrowed: the Describe calls to no resource, creating
//! and changing to the snapshot's ARN, which has the cluster and the name in it. Tags of a *cluster* and
//! exclusions cannot be said there, so the policy is a little wider than the selection.
//!
//! An account with a role has two identities: the role works in it, and the one that redkeep begins with needs
//! nothing but to assume the role.

mod document;
mod resources;

use std::collections::{BTreeMap, BTreeSet};

pub use document::Document;
pub use resources::wildcard;

use document::{Conditions, Statement};
use resources::snapshots;

use crate::names::Region;
use crate::policy::{Account, Policy, Role};
use crate::redshift::Operation;
use crate::settings::{Config, DatabaseAuth};
use crate::snapshot::tag;

/// The most characters that a managed policy may have; white space does not count ("IAM and AWS STS quotas").
pub const MANAGED_POLICY_CHARACTERS: usize = 6_144;

/// The most managed policies that a role may have by default ("IAM and AWS STS quotas").
pub const MANAGED_POLICIES_OF_A_ROLE: usize = 10;

/// What is allowed beyond looking and taking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Lengthening the retention of redkeep's own snapshots.
    pub guard: bool,
    /// Deleting redkeep's own snapshots.
    pub prune: bool,
    /// Holding and releasing redkeep's own snapshots.
    pub hold: bool,
    /// Becoming the writer of another installation's snapshots.
    pub takeover: bool,
}

impl Beyond {
    /// What the daemon does by this configuration; holds and takeovers are a person's.
    pub fn needed(config: &Config) -> Self {
        Self {
            guard: config.policies.iter().any(is_guarded),
            prune: config.policies.iter().any(is_pruned),
            ..Self::default()
        }
    }
}

fn is_guarded(policy: &Policy) -> bool {
    policy.protection.guard
}

fn is_pruned(policy: &Policy) -> bool {
    policy.prunes()
}

/// An identity, by what it is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The accounts that it works in.
    accounts: Vec<&'a Account>,
    /// The roles that it assumes.
    roles: Vec<&'a Role>,
    /// Whether it is the one that connects to the database of the history.
    connects: bool,
}

impl<'a> Holder<'a> {
    /// The identity that redkeep begins with: of the SDK's default chain, or of a profile.
    pub fn base(config: &'a Config, profile: Option<&str>) -> Self {
        let own = config.accounts.iter();
        let own = own.filter(|account| account.identity.profile.as_deref() == profile);
        let (assumed, direct): (Vec<&Account>, _) =
            own.partition(|account| account.identity.role.is_some());
        Self {
            accounts: direct,
            roles: assumed
                .iter()
                .filter_map(|account| account.identity.role.as_ref())
                .collect(),
            connects: profile.is_none(),
        }
    }

    /// The identity that works in an account: its role, where it has one.
    pub fn of(account: &'a Account) -> Self {
        Self {
            accounts: vec![account],
            roles: Vec::new(),
            connects: false,
        }
    }
}

/// What an identity needs. Where it works in an account whose number its role does not tell, `number` stands,
/// and any number where that is not given.
pub fn document(
    config: &Config,
    holder: &Holder<'_>,
    number: Option<&str>,
    beyond: Beyond,
) -> Document {
    let mut statement = Vec::new();
    statement.extend(read(&holder.accounts));
    let of = |which: fn(&Policy) -> bool| snapshots(config, &holder.accounts, number, which);
    let create = allowed(
        "Create",
        &[
            Operation::CreateClusterSnapshot.action(),
            Operation::CreateTags.action(),
        ],
        of(|_| true),
    );
    let tagged = equals("aws:RequestTag", tag::NAMESPACE, config.namespace.as_str());
    let create = Statement {
        condition: conditions([tagged]),
        ..create
    };
    let changes = changing(config, beyond, of);
    let narrowed = std::iter::once(create).chain(changes);
    statement.extend(narrowed.filter(|statement| !statement.resource.is_empty()));
    statement.extend(assume(&holder.roles));
    statement.extend(connect(config).filter(|_| holder.connects));
    Document {
        version: "2012-10-17",
        statement,
    }
}

/// What changes snapshots that are there; all of it wants redkeep's own tag on them.
fn changing(
    config: &Config,
    beyond: Beyond,
    snapshots: impl Fn(fn(&Policy) -> bool) -> BTreeSet<String>,
) -> Vec<Statement> {
    let own = || equals("aws:ResourceTag", tag::NAMESPACE, config.namespace.as_str());
    // Where no policy does it, and it is asked for all the same, it is for all of them.
    let those = |which: fn(&Policy) -> bool| match config.policies.iter().any(which) {
        true => snapshots(which),
        false => snapshots(|_| true),
    };
    let all = || snapshots(|_| true);
    let mut changing = Vec::new();
    let mut allow = |sid, action, resource, condition| {
        changing.push(Statement {
            condition,
            ..allowed(sid, action, resource)
        });
    };
    if beyond.guard {
        let action = const { &[Operation::ModifyClusterSnapshot.action()] };
        allow("Guard", action, those(is_guarded), conditions([own()]));
    }
    if beyond.prune {
        let writer = config.writer.as_ref();
        let writer = writer.map(|writer| equals("aws:ResourceTag", tag::WRITER, writer.as_str()));
        let mut condition = conditions([own()].into_iter().chain(writer));
        // What is on hold cannot be deleted, whoever asks for it in redkeep's name.
        let held = (
            format!("aws:ResourceTag/{}", tag::HOLD),
            vec!["true".to_owned()],
        );
        condition.insert("Null", BTreeMap::from([held]));
        let action = const { &[Operation::DeleteClusterSnapshot.action()] };
        allow("Prune", action, those(is_pruned), condition);
    }
    if beyond.hold {
        let action = const { &[Operation::ModifyClusterSnapshot.action()] };
        allow("Hold", action, all(), conditions([own()]));
        let action = const {
            &[
                Operation::CreateTags.action(),
                Operation::DeleteTags.action(),
            ]
        };
        allow("HoldTags", action, all(), only_tag(own(), tag::HOLD));
    }
    if beyond.takeover {
        let action = const { &[Operation::CreateTags.action()] };
        allow("Takeover", action, all(), only_tag(own(), tag::WRITER));
    }
    changing
}

/// On snapshots that meet `own`, this tag and no other.
fn only_tag(own: (String, Vec<String>), tag: &str) -> Conditions {
    let mut condition = conditions([own]);
    let only = ("aws:TagKeys".to_owned(), vec![tag.to_owned()]);
    condition.insert("ForAllValues:StringEquals", BTreeMap::from([only]));
    condition
}

/// The Describe calls, which IAM ties to no resource but which a condition ties to the regions.
fn read(accounts: &[&Account]) -> Option<Statement> {
    let regions: BTreeSet<&Region> = accounts
        .iter()
        .flat_map(|account| &account.regions)
        .collect();
    let regions: Vec<String> = regions.into_iter().map(Region::to_string).collect();
    let looks = Operation::ALL.into_iter().filter(|one| one.is_look());
    let mut action: Vec<&str> = looks.map(Operation::action).collect();
    // As AWS lists them, where DescribeClusters comes before DescribeClusterSnapshots.
    action.sort_by_key(|action| action.to_lowercase());
    (!regions.is_empty()).then(|| Statement {
        condition: conditions([("aws:RequestedRegion".to_owned(), regions)]),
        ..allowed("Read", &action, BTreeSet::from(["*".to_owned()]))
    })
}

/// Assuming the roles, those that want the same external id in one statement.
fn assume(roles: &[&Role]) -> Vec<Statement> {
    let mut by_id: BTreeMap<Option<&str>, BTreeSet<String>> = BTreeMap::new();
    for role in roles {
        let arns = by_id.entry(role.external_id.as_deref()).or_default();
        arns.insert(role.arn.clone());
    }
    let statements = by_id.into_iter().zip(1..).map(|((id, arns), nth)| {
        let id = id.map(|id| ("sts:ExternalId".to_owned(), vec![id.to_owned()]));
        Statement {
            condition: id.map_or_else(BTreeMap::new, |id| conditions([id])),
            ..allowed(&format!("Assume{nth}"), &["sts:AssumeRole"], arns)
        }
    });
    statements.collect()
}

/// What connecting to the history's database takes, where IAM lets redkeep in there ("Creating and using an IAM policy for
/// IAM database access"). The database's own id and account are not in the policy file.
fn connect(config: &Config) -> Option<Statement> {
    let database = config.database.as_ref()?;
    let user = &database.user;
    let arn = format!("arn:*:rds-db:*:*:dbuser:*/{user}");
    let needs = database.auth == DatabaseAuth::Iam;
    needs.then(|| {
        allowed(
            "ConnectDatabase",
            &["rds-db:connect"],
            BTreeSet::from([arn]),
        )
    })
}

fn allowed(sid: &str, action: &[&'static str], resource: BTreeSet<String>) -> Statement {
    Statement {
        sid: sid.to_owned(),
        effect: "Allow",
        action: action.to_vec(),
        resource,
        condition: BTreeMap::new(),
    }
}

fn equals(kind: &str, tag: &str, value: &str) -> (String, Vec<String>) {
    (format!("{kind}/{tag}"), vec![value.to_owned()])
}

/// Conditions that must all hold.
fn conditions(keys: impl IntoIterator<Item = (String, Vec<String>)>) -> Conditions {
    BTreeMap::from([("StringEquals", keys.into_iter().collect())])
}

//! The filters that every command about policies and clusters has, and what a name that does not exist is told.
//!
//! Owns: which names there are: those of the policy file, and those that the history knows. Never guesses: it suggests, and
//! the command ends.

use std::collections::BTreeSet;

use clap::Args;

use crate::config::Config;
use crate::names::{AccountName, ClusterId, PolicyName, Region};
use crate::policy::ClusterGlob;
use crate::slot::{Pair, PairFilter};
use crate::store::{Reader, RunFilter};
use crate::suggest::did_you_mean;

use super::Failure;
use super::history::unreadable;

/// Which policies and clusters are shown.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct FilterArgs {
    /// Only this policy; may be given more than once
    #[arg(long, short, value_name = "NAME", value_delimiter = ',')]
    pub(super) policy: Vec<PolicyName>,
    /// Only this account; may be given more than once
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) account: Vec<AccountName>,
    /// Only this region; may be given more than once
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    pub(super) region: Vec<Region>,
    /// Only this cluster, or those that a pattern such as 'dw-*' matches; may be given more than once
    #[arg(long, value_name = "ID", value_delimiter = ',', value_parser = ClusterArg::read)]
    pub(super) cluster: Vec<ClusterArg>,
}

/// A cluster, or a pattern of clusters.
#[derive(Debug, Clone)]
pub(super) enum ClusterArg {
    Id(ClusterId),
    Pattern(ClusterGlob),
}

impl std::fmt::Display for ClusterArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Id(id) => id.as_str(),
            Self::Pattern(pattern) => pattern.pattern(),
        })
    }
}

impl ClusterArg {
    fn read(text: &str) -> Result<Self, String> {
        match text.contains(['*', '?', '[', '{']) {
            true => ClusterGlob::parse(text)
                .map(Self::Pattern)
                .map_err(|error| error.to_string()),
            false => text
                .parse()
                .map(Self::Id)
                .map_err(|error: <ClusterId as std::str::FromStr>::Err| error.to_string()),
        }
    }
}

impl FilterArgs {
    /// What is asked for, when there are all the names.
    pub(super) fn checked(
        &self,
        config: &Config,
        reader: Option<&Reader>,
    ) -> Result<PairFilter, Failure> {
        self.checked_with(config, reader, BTreeSet::new())
    }

    /// What is asked for, where AWS has `listed` these clusters: they exist whether or not a policy names them.
    pub(super) fn checked_with(
        &self,
        config: &Config,
        reader: Option<&Reader>,
        listed: BTreeSet<String>,
    ) -> Result<PairFilter, Failure> {
        let mut names = Names::new(config, reader);
        names.listed = listed;
        for policy in &self.policy {
            names.check(Kind::Policy, policy.as_str())?;
        }
        for account in &self.account {
            names.check(Kind::Account, account.as_str())?;
        }
        for region in &self.region {
            names.check(Kind::Region, region.as_str())?;
        }
        let mut clusters = Vec::new();
        for cluster in &self.cluster {
            match cluster {
                ClusterArg::Id(cluster) => {
                    names.check_cluster(cluster)?;
                    clusters.push(cluster.clone());
                }
                ClusterArg::Pattern(pattern) => clusters.extend(names.matching(pattern)?),
            }
        }
        Ok(PairFilter {
            policies: self.policy.clone(),
            accounts: self.account.clone(),
            regions: self.region.clone(),
            clusters,
        })
    }
}

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Policy,
    Account,
    Region,
    Cluster,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Account => "account",
            Self::Region => "region",
            Self::Cluster => "cluster",
        }
    }

    fn of_pair(self, pair: &Pair) -> &str {
        match self {
            Self::Policy => pair.policy.as_str(),
            Self::Account => pair.scope.account.as_str(),
            Self::Region => pair.scope.region.as_str(),
            Self::Cluster => pair.cluster.as_str(),
        }
    }
}

/// The names that there are.
pub(super) struct Names<'a> {
    config: &'a Config,
    reader: Option<&'a Reader>,
    /// The history's, once they were needed: of a large one that takes a moment.
    pairs: Option<BTreeSet<Pair>>,
    /// The clusters that AWS has listed for the command.
    listed: BTreeSet<String>,
}

impl<'a> Names<'a> {
    pub(super) fn new(config: &'a Config, reader: Option<&'a Reader>) -> Self {
        Self {
            config,
            reader,
            pairs: None,
            listed: BTreeSet::new(),
        }
    }

    pub(super) fn check(&mut self, kind: Kind, name: &str) -> Result<(), Failure> {
        if in_file(self.config, kind).contains(name) {
            return Ok(());
        }
        let known = self.all(kind)?;
        match known.contains(name) {
            true => Ok(()),
            false => Err(unknown(kind, name, &known)),
        }
    }

    /// A cluster that the history does not know may be one that a glob names; where there is a history, it would have it.
    pub(super) fn check_cluster(&mut self, cluster: &ClusterId) -> Result<(), Failure> {
        let checked = self.check(Kind::Cluster, cluster.as_str());
        let is_new = self.pairs.as_ref().is_none_or(BTreeSet::is_empty);
        let may_be =
            { self.config.policies.iter() }.any(|policy| policy.selector.may_select(cluster));
        match checked {
            Err(_) if is_new && may_be => Ok(()),
            checked => checked,
        }
    }

    /// The known clusters that a pattern matches.
    fn matching(&mut self, pattern: &ClusterGlob) -> Result<Vec<ClusterId>, Failure> {
        let known = self.all(Kind::Cluster)?;
        let ids = known.iter().filter_map(|name| name.parse().ok());
        let matching: Vec<ClusterId> = ids.filter(|id| pattern.matches(id)).collect();
        match matching.is_empty() {
            true => Err(unknown(Kind::Cluster, pattern.pattern(), &known)),
            false => Ok(matching),
        }
    }

    /// All names of the kind, of the file and of the history.
    pub(super) fn all(&mut self, kind: Kind) -> Result<BTreeSet<String>, Failure> {
        let mut names: BTreeSet<String> = { in_file(self.config, kind).into_iter() }
            .map(str::to_owned)
            .collect();
        if let (Some(reader), None) = (self.reader, &self.pairs) {
            let pairs = reader.pairs(&RunFilter::default()).map_err(unreadable)?;
            self.pairs = Some(pairs);
        }
        let pairs = self.pairs.iter().flatten();
        names.extend(pairs.map(|pair| kind.of_pair(pair).to_owned()));
        if kind == Kind::Cluster {
            names.extend(self.listed.iter().cloned());
        }
        Ok(names)
    }
}

fn in_file(config: &Config, kind: Kind) -> BTreeSet<&str> {
    let (policies, accounts) = (config.policies.iter(), config.accounts.iter());
    match kind {
        Kind::Policy => policies.map(|one| one.name.as_str()).collect(),
        Kind::Account => accounts.map(|one| one.name.as_str()).collect(),
        Kind::Region => accounts
            .flat_map(|one| one.regions.iter().map(Region::as_str))
            .collect(),
        Kind::Cluster => policies
            .flat_map(|one| one.selector.unexcluded_literals().map(ClusterId::as_str))
            .collect(),
    }
}

/// How many names are told of those that there are.
const MOST_TOLD: usize = 20;

/// That there is no such name, those that there are, and the one that may be meant.
pub(super) fn unknown<'a>(
    kind: Kind,
    got: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> Failure {
    let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
    let word = kind.word();
    let wanted = match known.len() {
        0 => format!("and there is no {word} yet"),
        count if count > MOST_TOLD => format!(
            "wanted one of: {}, and {} more",
            known[..MOST_TOLD].join(", "),
            count - MOST_TOLD
        ),
        _ => format!("wanted one of: {}", known.join(", ")),
    };
    let meant = did_you_mean(got, known.iter().copied());
    let unprotected = match kind {
        Kind::Cluster if got.parse::<ClusterId>().is_ok() => {
            format!("; nothing protects {got}: no policy selects a cluster of that name")
        }
        _ => String::new(),
    };
    Failure::Usage(format!(
        "got the {word} {got:?}, {wanted}{meant}{unprotected}"
    ))
}

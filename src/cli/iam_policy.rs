//! `redkeep iam-policy`: the IAM permissions that redkeep needs.

use std::io::Write;

use clap::{Args, ValueEnum};

use crate::config::Config;
use crate::iam::{self, Beyond, Holder, MANAGED_POLICIES_OF_A_ROLE, MANAGED_POLICY_CHARACTERS};
use crate::names::AccountName;

use super::filter::{Kind, unknown};
use super::{ConfigArgs, Failure, load_alone, pretty};

/// Prints the least-privilege IAM policy for the configuration, as JSON.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep iam-policy --account-number 111122223333 > redkeep-policy.json
  redkeep iam-policy --account prod
  redkeep iam-policy --without guard
  redkeep iam-policy --with hold --with takeover

The IAM policy allows guarding if a policy has `guard` on, as it is by default, and deleting if a policy has
`keep_last`. If it is too long for one managed policy, a list of several is printed, all of which must be
attached; --part prints one of them. A glob that IAM does not know becomes a wider one: [a-z] becomes ?, and
{a,b} becomes *. Asks AWS nothing.")]
pub struct IamPolicyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the IAM policy for the identity that redkeep uses in this account of the policy file: its role, if it
    /// has one
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// Print the IAM policy for the identity of this profile; by default for that of the SDK's default chain
    #[arg(long, value_name = "NAME", conflicts_with = "account")]
    profile: Option<String>,
    /// The number of the AWS account; by default that of the role, or any number
    #[arg(long, value_name = "NUMBER", value_parser = account_number)]
    account_number: Option<String>,
    /// Also allow this, although no policy needs it; may be given more than once
    #[arg(long, value_name = "WHAT")]
    with: Vec<What>,
    /// Do not allow this, although a policy needs it; may be given more than once
    #[arg(long, value_name = "WHAT")]
    without: Vec<What>,
    /// Print only this part of an IAM policy that is split because it is too long
    #[arg(long, value_name = "N")]
    part: Option<usize>,
}

/// What there is beyond looking and taking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Extending the retention period of redkeep's own snapshots
    Guard,
    /// Deleting redkeep's own snapshots
    Prune,
    /// Holding and releasing redkeep's own snapshots
    Hold,
    /// Making this installation the writer of another installation's snapshots
    Takeover,
}

pub(super) async fn iam_policy(args: &IamPolicyArgs) -> Result<(), Failure> {
    let config = load_alone(&args.config).await?;
    let holder = holder(args, &config)?;
    let beyond = beyond(args, &config);
    let document = iam::document(&config, &holder, args.account_number.as_deref(), beyond);
    if document.is_empty() {
        return Err(Failure::Other(
            "no account uses these credentials; name an account with --account, or a profile with --profile"
                .to_owned(),
        ));
    }
    let parts = document.split();
    for note in notes(args, &config, beyond, parts.len()) {
        writeln!(std::io::stderr(), "{note}")?;
    }
    let printed = match (args.part, parts.as_slice()) {
        (None, [whole]) => pretty(whole)?,
        (None, parts) => pretty(&parts)?,
        (Some(part), parts) => pretty(
            part.checked_sub(1)
                .and_then(|at| parts.get(at))
                .ok_or_else(|| {
                    Failure::Usage(format!(
                        "there is no part {part}: the number of policies is {}",
                        parts.len()
                    ))
                })?,
        )?,
    };
    writeln!(std::io::stdout(), "{printed}")?;
    Ok(())
}

fn beyond(args: &IamPolicyArgs, config: &Config) -> Beyond {
    let needed = Beyond::needed(config);
    let is =
        |what, needed: bool| !args.without.contains(&what) && (needed || args.with.contains(&what));
    Beyond {
        guard: is(What::Guard, needed.guard),
        prune: is(What::Prune, needed.prune),
        hold: is(What::Hold, needed.hold),
        takeover: is(What::Takeover, needed.takeover),
    }
}

fn holder<'a>(args: &IamPolicyArgs, config: &'a Config) -> Result<Holder<'a>, Failure> {
    let Some(name) = &args.account else {
        return Ok(Holder::base(config, args.profile.as_deref()));
    };
    let account = config.account(name).ok_or_else(|| {
        let names = config
            .accounts
            .iter()
            .map(|account| account.name.to_string());
        let names: Vec<String> = names.collect();
        unknown(Kind::Account, name.as_str(), &names)
    })?;
    Ok(Holder::of(account))
}

/// What the document cannot say of itself.
fn notes(args: &IamPolicyArgs, config: &Config, beyond: Beyond, parts: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if args.account.is_none() {
        let others = config.accounts.iter().filter_map(|account| {
            let profile = account.identity.profile.as_deref();
            (profile != args.profile.as_deref()).then_some(account.name.as_str())
        });
        let others: Vec<&str> = others.collect();
        if !others.is_empty() {
            let others = others.join(", ");
            notes.push(format!(
                "note: other credentials are used for {others}; see --account and --profile"
            ));
        }
    }
    if beyond.prune && config.writer.is_none() {
        notes.push(
            "note: the statement Prune applies to every installation of this namespace: this one's id \
             (redkeep:writer) is in its history, not in the configuration; set `writer` to narrow it"
                .to_owned(),
        );
    }
    if parts > 1 && args.part.is_none() {
        notes.push(format!(
            "note: {parts} policies in a list, since a managed policy may have {MANAGED_POLICY_CHARACTERS} characters; \
             attach all of them, --part 1 prints the first; globs instead of cluster names need fewer"
        ));
    }
    if parts > MANAGED_POLICIES_OF_A_ROLE {
        notes.push(format!(
            "warning: {parts} policies, and a role may have {MANAGED_POLICIES_OF_A_ROLE} unless AWS raises that quota; \
             name clusters by globs"
        ));
    }
    notes
}

fn account_number(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("wanted the twelve digits of an AWS account".to_owned())
    }
}

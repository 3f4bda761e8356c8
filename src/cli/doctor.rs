//! `redkeep doctor`: looks at everything that an installation needs.

mod ask;
mod look;

use std::io::Write;
use std::sync::Arc;

use clap::Args;

use crate::clock::Clock;
use crate::config::{Config, ConfigErrors};
use crate::doctor::{
    Asked, Evidence, Finding, Severity, Shared, deleting, evidence, of_host, of_receivers,
    of_scopes, of_zones, refused_now,
};
use crate::logging::one_line;
use crate::slot::Scope;
use crate::store::{EndpointKind, Reader, StoreError};
use crate::told::command;

use super::database;
use super::output::{Tone, View, row, write_rows};
use super::policy_file::read;
use super::scopes::connector;
use super::view::OutputArgs;
use super::wiring::endpoint_kind;
use super::{ConfigArgs, Failure, described, sources};

/// Checks the configuration, this machine and AWS, and says what to do about what it finds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  redkeep doctor
  redkeep doctor --output json

Changes nothing, here or at AWS. Exits with 0 when there are at most warnings, 1 when a check failed, 69
when AWS did not answer in any account and region, 78 when the configuration has an error.")]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
}

row! {
    /// What one check found.
    FindingRow {
        check: &'static str,
        account: Option<String>,
        region: Option<String>,
        result: &'static str,
        found: String,
        advice: Option<String>,
    }
}

const CONFIGURATION: &str = "configuration";

pub(super) async fn doctor(args: &DoctorArgs, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let sources = sources(&args.config).await;
    match read(&sources) {
        Ok(config) => {
            let kind = endpoint_kind(&config, &sources.environment);
            let database = database::state(&config, &sources).await;
            examine(args, &config, (kind, database), clock).await
        }
        Err(errors) => {
            tell(&args.output, &of_errors(&errors))?;
            Err(Failure::Config("the configuration is not valid".to_owned()))
        }
    }
}

async fn examine(
    args: &DoctorArgs,
    config: &Config,
    (kind, database): (EndpointKind, Option<Result<Shared, StoreError>>),
    clock: Arc<dyn Clock>,
) -> Result<(), Failure> {
    let host = look::host(config, (kind, database), clock.now());
    let mut findings = of_config(args, config);
    findings.push(of_zones(&config.zone_data, clock.now()));
    findings.extend(of_host(&host, clock.now()));
    findings.extend(receivers(config));
    let asked = asked(config, &clock).await;
    let (of_scopes, is_unreachable) = of_scopes(&asked);
    findings.extend(of_scopes);
    tell(&args.output, &findings)?;
    let is_failed = |finding: &Finding| finding.verdict == Severity::Failed;
    if is_unreachable {
        Err(Failure::Unreachable(
            "AWS did not answer in any account and region".to_owned(),
        ))
    } else if findings.iter().any(is_failed) {
        Err(Failure::Finding)
    } else {
        Ok(())
    }
}

fn of_errors(errors: &ConfigErrors) -> Vec<Finding> {
    errors
        .iter()
        .map(|error| bad_configuration(&error.to_string()))
        .collect()
}

fn bad_configuration(error: &str) -> Finding {
    Finding::failed(
        CONFIGURATION,
        error,
        "fix it; `redkeep check` says whether it is valid",
    )
}

fn of_config(args: &DoctorArgs, config: &Config) -> Vec<Finding> {
    let fine = Finding::ok(CONFIGURATION, described(&args.config, config));
    let warnings = config.warnings.iter().map(|warning| {
        Finding::warning(
            CONFIGURATION,
            warning.to_string(),
            "change it, or leave it if you meant it",
        )
    });
    std::iter::once(fine).chain(warnings).collect()
}

/// What the messages that wait tell of the receivers.
fn receivers(config: &Config) -> Vec<Finding> {
    let reader = Reader::open(&config.database()).ok();
    let pending = reader.and_then(|reader| reader.pending().ok());
    let names = config.receivers.iter().map(|one| &one.name);
    of_receivers(names, &pending.unwrap_or_default())
}

/// Asks every scope, unless there is nobody to ask.
async fn asked(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Asked> {
    let mut answers = match connector(config, clock) {
        Some(connector) => Some(ask::scopes(config, &connector, clock).await),
        None => None,
    };
    let reader = Reader::open(&config.database());
    let history = reader
        .as_ref()
        .ok()
        .and_then(|reader| reader.history().ok());
    let history = history.as_ref();
    let is_pruned = |scope: &Scope| {
        let mut policies = config.policies.iter();
        policies.any(|policy| policy.prunes() && policy.scopes.contains(scope))
    };
    config
        .scopes()
        .into_iter()
        .map(|scope| Asked {
            probes: answers
                .as_mut()
                .map(|answers| answers.remove(&scope).unwrap_or_default()),
            deleting: is_pruned(&scope).then(|| {
                let last = reader.as_ref().ok();
                let last = last.and_then(|reader| reader.last_removal(&scope).ok().flatten());
                deleting(last.as_ref())
            }),
            evidence: history.map_or(Evidence::None, |history| {
                evidence(config, history, &scope, clock.now())
            }),
            refused: history.map_or_else(Vec::new, |history| {
                refused_now(history, &scope, clock.now())
            }),
            quota: config.quota(&scope),
            known_number: history
                .and_then(|history| history.account_numbers.get(&scope.account))
                .cloned(),
            scope,
        })
        .collect()
}

fn tell(output: &OutputArgs, findings: &[Finding]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let view = View::plain(output);
    if view.output.is_table() {
        let mut write = |finding| write_text(&mut out, finding, view.is_coloured);
        return findings.iter().try_for_each(&mut write);
    }
    let rows: Vec<FindingRow> = findings.iter().map(row).collect();
    write_rows(&mut out, view, &[], &rows)?;
    Ok(())
}

fn row(finding: &Finding) -> FindingRow {
    let scope = finding.scope.as_ref();
    FindingRow {
        check: finding.check,
        account: scope.map(|scope| scope.account.to_string()),
        region: scope.map(|scope| scope.region.to_string()),
        result: finding.verdict.as_str(),
        found: command::whole(&finding.found).into_owned(),
        advice: finding
            .advice
            .as_deref()
            .map(|advice| command::whole(advice).into_owned()),
    }
}

fn write_text(out: &mut impl Write, finding: &Finding, is_coloured: bool) -> Result<(), Failure> {
    let place = finding.scope.as_ref();
    let place = place.map_or_else(String::new, |scope| format!("{scope}: "));
    let verdict = finding.verdict.as_str();
    let found = one_line(&command::whole(&finding.found));
    let tone = match finding.verdict {
        Severity::Ok => Tone::Good,
        Severity::Warning => Tone::Warning,
        Severity::Failed => Tone::Bad,
    };
    let verdict = tone.paint(&format!("{verdict:<7}"), is_coloured);
    writeln!(out, "{verdict}  {place}{}: {found}", finding.check)?;
    if let Some(advice) = &finding.advice {
        writeln!(out, "         → {}", one_line(&command::whole(advice)))?;
    }
    Ok(())
}

//! The command line: one file a command.
//!
//! Owns: arguments, help, exit codes. Data goes to stdout, talk to stderr. Never decides what is due.

mod absence;
mod alone;
mod check;
mod completions;
mod coverage;
mod database;
mod diff;
mod doctor;
mod explain;
mod failure;
mod filter;
mod forecast;
mod history;
mod iam_policy;
mod import;
mod instances;
mod listed_engine;
mod man;
mod meaning;
mod migrate;
mod notify;
mod operations;
mod output;
mod pause;
mod plan;
mod policy_file;
mod progress;
mod prune;
mod report;
mod run;
mod runs;
mod sandbox;
mod schema;
mod scopes;
mod show;
mod signals;
mod snapshots;
mod standby;
mod state_lock;
mod status;
mod table;
mod take;
mod times;
mod view;
mod wiring;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::Serialize;

use crate::clock::Clock;
use crate::told::command::DEFAULT_CONFIG;

pub use failure::Failure;
pub use view::{Output, OutputArgs};

use failure::invalid;
use policy_file::{described, load, load_alone, load_to_read, sources};
/// Takes manual snapshots of Amazon Redshift clusters on cron schedules, and records what became of each.
#[derive(Debug, Parser)]
#[command(
    name = "redkeep",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  redkeep check --config redkeep.toml        what is wrong with a policy file
  redkeep plan --count 5                     the next five snapshots, without asking AWS
  redkeep run                                the daemon, as systemd starts it
  redkeep history --since 7d --output json   what became of every slot of a week
  redkeep explain dw-prod                    why a cluster got its snapshots, or did not
  redkeep doctor                             what is wrong, and how to fix it
  redkeep take --policy p --cluster dw       one snapshot now

Exit codes: 0 success, 1 failure or finding, 2 wrong command line, 69 AWS cannot be reached, 75 another
redkeep uses the state directory, 78 error in the configuration."
)]
pub struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: take snapshots as the policies say, until stopped
    Run(run::RunArgs),
    /// Check the configuration and list what is wrong with it
    #[command(aliases = ["validate", "lint", "test", "verify"])]
    Check(check::CheckArgs),
    /// Show what another policy file would change
    Diff(diff::DiffArgs),
    /// List the next slots and the names of their snapshots
    Plan(plan::PlanArgs),
    /// Forecast how many snapshots there will be, and compare that with the quota
    Forecast(forecast::ForecastArgs),
    /// List the clusters that no policy protects, and the policies that protect nothing
    Coverage(coverage::CoverageArgs),
    /// Report on a period: missing snapshots, gaps, breaches of rpo, and differences from AWS
    Report(report::ReportArgs),
    /// List what became of every slot
    History(history::HistoryArgs),
    /// List the snapshots that exist now
    #[command(visible_aliases = ["ls", "list"])]
    Snapshots(snapshots::SnapshotsArgs),
    /// Show what is wrong, and for each policy and cluster the last good snapshot and the next slot
    Status(status::StatusArgs),
    /// Explain why a cluster got its snapshots, did not get them, or will get them
    Explain(explain::ExplainArgs),
    /// Check the configuration, this machine and AWS, and say how to fix what is wrong
    Doctor(doctor::DoctorArgs),
    /// Show everything about one snapshot, and how to restore it
    #[command(alias = "describe")]
    Show(show::ShowArgs),
    /// Take one snapshot now
    Take(take::TakeArgs),
    /// Pause a policy: none of its slots starts until it is resumed
    Pause(pause::PauseArgs),
    /// Resume a paused policy
    Resume(pause::ResumeArgs),
    /// Show which snapshots `keep_last` deletes, and confirm a plan
    Prune(prune::PruneArgs),
    /// Put a snapshot on hold: it is kept until it is released
    Hold(operations::HoldArgs),
    /// End the hold of a snapshot
    Release(operations::HoldArgs),
    /// Make this installation the writer of another installation's snapshots
    Takeover(operations::TakeoverArgs),
    /// Send a test message to a receiver, or show the messages that wait
    Notify(notify::NotifyArgs),
    /// List the instances that share the history, and which one works
    Instances(instances::InstancesArgs),
    /// Let another instance take over
    Yield(instances::YieldArgs),
    /// Move the history into a database, or back
    Migrate(migrate::MigrateArgs),
    /// Run an embedded Redshift, to try policies and clients without AWS
    Sandbox(sandbox::SandboxArgs),
    /// Print the IAM policy with the least permissions that this configuration needs
    ///
    /// By default the IAM policy is for the identity that redkeep starts with: what it needs in the accounts without
    /// a role, and the permission to assume the roles of the other accounts. With --account it is for that account's
    /// role.
    ///
    /// It always allows redkeep to list clusters and snapshots and to take snapshots. What changes or deletes a
    /// snapshot has a statement of its own, which is printed only if a policy or --with needs it.
    IamPolicy(iam_policy::IamPolicyArgs),
    /// Print a policy file made from a crontab, or from schedules of AWS
    Import(import::ImportArgs),
    /// Print the JSON Schema of the policy file, for editors
    ///
    /// An editor with a TOML language server such as taplo reads the schema if the policy file starts with "#:schema
    /// ./redkeep.schema.json". The editor then completes keys, explains them and marks errors.
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print names, for the scripts of the shells
    #[command(name = "__names", hide = true)]
    Names(completions::NamesArgs),
    /// Print the version
    #[command(hide = true)]
    Version(VersionArgs),
    /// Write the manual pages
    Man(man::ManArgs),
}

/// `redkeep version`, as other programs have it.
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// The policy file
    #[arg(
        long,
        short,
        global = true,
        env = "REDKEEP_CONFIG",
        default_value = DEFAULT_CONFIG,
        value_name = "FILE"
    )]
    pub config: PathBuf,
}

impl Cli {
    /// What the command line asks for, as `arguments` have it; the first is the program's name.
    ///
    /// # Errors
    /// clap's, with what may be meant instead, where that is known.
    pub fn read<T: Into<OsString> + Clone>(
        arguments: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let mut program = Self::program();
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let line = arguments.iter().skip(1);
        let line: Vec<String> = line
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let read = program
            .try_get_matches_from_mut(arguments)
            .and_then(|matches| {
                refuse_useless(&mut program, &matches)?;
                Self::from_arg_matches(&matches)
            });
        let read = read.map_err(without_far_fetched);
        read.map_err(|error| match meaning::advice(&error, &line) {
            Some(advice) => {
                let said = error.render().to_string();
                let said = said.trim_start_matches("error: ").trim_end();
                clap::Error::raw(error.kind(), with(said, &advice))
            }
            None => error,
        })
    }

    /// The command line's grammar. The options of all commands stand before or behind the command; what prints no rows takes
    /// their form so that [`Cli::read`] can refuse it in words, and does not offer it.
    pub fn program() -> clap::Command {
        let program = Self::command();
        let everywhere: Vec<Arg> = program.get_arguments().cloned().collect();
        let names: Vec<String> = { program.get_subcommands() }
            .map(|command| command.get_name().to_owned())
            .collect();
        names.into_iter().fold(program, |program, name| {
            program.mut_subcommand(name, |command| {
                let has = |arg: &Arg| {
                    command
                        .get_arguments()
                        .any(|its| its.get_id() == arg.get_id())
                };
                let lacking: Vec<Arg> = { everywhere.iter() }
                    .filter(|arg| !has(arg))
                    .map(|arg| arg.clone().hide(true))
                    .collect();
                command.args(lacking)
            })
        })
    }

    /// Does what the command line asks for.
    ///
    /// # Errors
    /// [`Failure`], with a message for stderr and an exit code.
    pub async fn execute(self, clock: std::sync::Arc<dyn Clock>) -> Result<(), Failure> {
        match self.command {
            Command::Run(args) => run::run(args, clock).await,
            Command::Check(args) => check::check(&args, clock.now()).await,
            Command::Plan(args) => plan::plan(&args, clock.now()).await,
            Command::Forecast(args) => forecast::forecast(&args, clock.now()).await,
            Command::Coverage(args) => coverage::coverage(&args, clock).await,
            Command::Report(args) => report::report(&args, clock).await,
            Command::History(args) => history::history(&args, clock.now()).await,
            Command::Snapshots(args) => snapshots::snapshots(&args, clock.now()).await,
            Command::Status(args) => status::status(&args, clock).await,
            Command::Explain(args) => explain::explain(&args, clock.now()).await,
            Command::Doctor(args) => doctor::doctor(&args, clock).await,
            Command::Show(args) => show::show(&args).await,
            Command::Take(args) => take::take(args, clock).await,
            Command::Pause(args) => pause::pause(&args, clock).await,
            Command::Resume(args) => pause::resume(&args, clock).await,
            Command::Prune(args) => prune::prune(args, clock).await,
            Command::Hold(args) => operations::hold(args, clock).await,
            Command::Release(args) => operations::release(args, clock).await,
            Command::Takeover(args) => operations::takeover(args, clock).await,
            Command::Notify(args) => notify::notify(&args, clock).await,
            Command::Instances(args) => instances::instances(&args).await,
            Command::Yield(args) => instances::yield_lease(&args).await,
            Command::Migrate(args) => migrate::migrate(&args, clock).await,
            Command::Sandbox(args) => sandbox::sandbox(args, clock).await,
            Command::IamPolicy(args) => iam_policy::iam_policy(&args).await,
            Command::Import(args) => import::import(&args),
            Command::Schema(args) => schema::schema(&args),
            Command::Completions(args) => completions::completions(&args),
            Command::Names(args) => completions::names(&args).await,
            Command::Version(_) => Ok(writeln!(
                io::stdout(),
                "redkeep {}",
                env!("CARGO_PKG_VERSION")
            )?),
            Command::Diff(args) => diff::diff(&args, clock.now()).await,
            Command::Man(args) => man::man(&args),
        }
    }
}

/// Without the commands that clap finds near by their letters, and that nobody means.
fn without_far_fetched(mut error: clap::Error) -> clap::Error {
    let text = |value: Option<&ContextValue>| match value {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(many)) => many.clone(),
        _ => Vec::new(),
    };
    let got = text(error.get(ContextKind::InvalidSubcommand));
    let near = text(error.get(ContextKind::SuggestedSubcommand));
    if let Some(got) = got.first()
        && !near.iter().any(|one| meaning::is_near(got, one))
    {
        error.remove(ContextKind::SuggestedSubcommand);
    }
    error
}

/// The advice behind what is wrong, and before how to use it.
fn with(said: &str, advice: &str) -> String {
    match said.split_once("\n\nUsage") {
        Some((wrong, usage)) => {
            // What is near by spelling only is not what this word means.
            let wrong = wrong.split("\n\n").next().unwrap_or(wrong);
            format!("{wrong}\n\n{advice}\n\nUsage{usage}\n")
        }
        None => format!("{said}\n\n{advice}\n"),
    }
}

/// Refuses a form of output for a command that has none.
fn refuse_useless(
    program: &mut clap::Command,
    matches: &clap::ArgMatches,
) -> Result<(), clap::Error> {
    let Some((name, of_command)) = matches.subcommand() else {
        return Ok(());
    };
    let is_given = of_command.value_source("output") == Some(ValueSource::CommandLine);
    let is_hidden = |one: &Arg| one.get_id() == "output" && one.is_hide_set();
    let command = program.find_subcommand(name);
    match command.is_some_and(|command| is_given && command.get_arguments().any(is_hidden)) {
        true => Err(program.error(
            ErrorKind::UnknownArgument,
            format!("`{name}` prints no rows, and has no --output"),
        )),
        false => Ok(()),
    }
}

fn pretty(document: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document);
    text.map_err(|error| Failure::Other(format!("output cannot be made: {error}")))
}

//! `redkeep import`: a policy file out of what people have now.
//!
//! Owns: reading the file. What is carried over is `import`'s. Asks AWS nothing.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::import::{crontab, eventbridge, native, policy_file};

use super::Failure;

/// Prints a policy file made from a crontab or from what the AWS CLI exports, with remarks on what cannot be carried over.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crontab -l | redkeep import crontab - > redkeep.toml
  redkeep import native schedules.json > redkeep.toml
  redkeep import eventbridge schedule.json > redkeep.toml

eventbridge reads what `aws scheduler get-schedule` or `aws events list-rules` prints, also several in one
list; native reads what `aws redshift describe-snapshot-schedules` prints; crontab reads lines that call
`aws redshift create-cluster-snapshot`, or a script with redshift or snapshot in its name. `redkeep check`
accepts the printed file. Follow the remarks that start with CHANGE THIS before you use it.")]
pub struct ImportArgs {
    /// The kind of file
    kind: ImportKind,
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ImportKind {
    /// Amazon EventBridge schedules or rules
    Eventbridge,
    /// Redshift's own snapshot schedules
    Native,
    /// A crontab
    Crontab,
}

/// The most that is read.
const LARGEST: u64 = 4 * 1024 * 1024;

pub(super) fn import(args: &ImportArgs) -> Result<(), Failure> {
    let text = read(&args.file).map_err(|error| {
        Failure::Other(format!("{} cannot be read: {error}", args.file.display()))
    })?;
    let (imported, word) = match args.kind {
        ImportKind::Eventbridge => (eventbridge(&text), "eventbridge"),
        ImportKind::Native => (native(&text), "native"),
        ImportKind::Crontab => (crontab(&text), "crontab"),
    };
    let imported =
        imported.map_err(|error| Failure::Other(format!("{}: {error}", args.file.display())))?;
    write!(io::stdout(), "{}", policy_file(&imported, word))?;
    writeln!(
        io::stderr(),
        "{} carried over, {} left out; read the remarks, then `redkeep check FILE`",
        imported.drafts.len(),
        imported.left_out.len()
    )?;
    Ok(())
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    match file == Path::new("-") {
        true => io::stdin().take(LARGEST).read_to_string(&mut text)?,
        false => std::fs::File::open(file)?
            .take(LARGEST)
            .read_to_string(&mut text)?,
    };
    Ok(text)
}

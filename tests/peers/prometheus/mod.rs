//! Alert rules and dashboard against what redkeep exports, and against Prometheus and Alertmanager themselves.
//!
//! `.ci/run` installs them. Without them these tests say that they are skipped; with
//! `REDKEEP_REQUIRE_PEERS=1` their absence is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says why it is skipped"
)]

mod causes;
mod dashboard;
mod exported;
mod journey;
mod rules;
pub mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::process::finish_with;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const RULES: &str = "config/prometheus/redkeep.rules.yml";
const DASHBOARD: &str = "config/grafana/redkeep.json";

/// The text of a file of the repository.
fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// The first of these programs that is installed; `None`, with the reason on stderr, where none is.
pub fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|directory| names.iter().map(move |name| directory.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        let wanted = format!(
            "{} is not installed: .ci/run installs it (apt)",
            names.join(" or ")
        );
        assert!(
            std::env::var_os("REDKEEP_REQUIRE_PEERS").is_none(),
            "{wanted}"
        );
        eprintln!("skipped, because {wanted}");
    }
    found
}

fn promtool() -> Option<PathBuf> {
    program(&["promtool"])
}

/// Runs a program to its end with `input`.
fn told(program: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(program);
    finish_with(command.args(arguments).current_dir(ROOT), input)
}

fn assert_success(output: &Output) {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_exposition_is_as_prometheus_wants_it() {
    let Some(promtool) = promtool() else { return };
    let golden = read("tests/golden/metrics.txt");
    assert_success(&told(&promtool, &["check", "metrics"], &golden));
    let nameless = golden.replace("# HELP redkeep_sandbox ", "# HELP redkeep_other ");
    let judged = told(&promtool, &["check", "metrics"], &nameless);
    assert!(
        !judged.status.success(),
        "a metric without help is let through"
    );
}

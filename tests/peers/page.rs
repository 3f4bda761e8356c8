//! A real browser looks at the page: Chromium, driven by Playwright, with axe as the judge of accessibility.
//!
//! Without them this test says that it is skipped; with `REDKEEP_REQUIRE_PEERS=1` their absence is a failure.
#![expect(
    clippy::print_stderr,
    reason = "whoever reads its output is to know who judged, and what is skipped"
)]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::past;
use crate::support::{Daemon, Dir, Sandbox, eventually, finish, in_state};

const SOON: Duration = Duration::from_secs(60);

/// A program; `None`, with the reason on stderr, where it is not installed.
fn peer(program: PathBuf, advice: &str) -> Option<PathBuf> {
    if program.exists() {
        return Some(program);
    }
    let required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
    let said = format!("{} is not installed: {advice}", program.display());
    assert!(!required, "{said}");
    eprintln!("skipped, because {said}");
    None
}

fn look(base: &str, paths: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/peers/bin/python");
    let install = "run tests/peers/install.sh";
    let (Some(python), Some(chromium)) = (
        peer(python, install),
        peer("/usr/bin/chromium".into(), "apt-get install chromium"),
    ) else {
        return;
    };
    let mut command = Command::new(python);
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(root.join("tests/peers/page.py"))
        .arg(chromium)
        .args(["check", base])
        .args(paths);
    let output = finish(&mut command);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{complained}");
    eprint!("{told}");
}

#[tokio::test]
async fn a_browser_has_nothing_to_complain_of_where_everything_is_wrong() {
    let dir = Dir::new();
    let config = past::make(&dir).await;
    let daemon = Daemon::start_with(&dir, &config, past::port(&config));
    eventually("it listens", SOON, || {
        TcpStream::connect(daemon.listen).is_ok()
    });
    let snapshot = format!("/snapshot?id={}", past::hostile_id());
    let scope = "/scope?account=prod&region=us-east-1";
    let base = format!("http://{}", daemon.listen);
    look(
        &base,
        &[
            "/",
            "/cluster?name=dw",
            &snapshot,
            scope,
            "/?state=splendid",
        ],
    );
}

#[test]
fn a_browser_has_nothing_to_complain_of_in_the_sandbox_where_all_is_well() {
    let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
    let policy = "rpo = \"1h\"\ntimezone = \"Europe/Berlin\"\n";
    let policies = crate::support::EACH_FIVE_SECONDS.to_owned() + policy;
    let daemon = Daemon::start(&dir, &sandbox.url, &policies);
    daemon.wait("a first snapshot", SOON, |rows| {
        in_state(rows, "available").next().is_some()
    });
    look(
        &format!("http://{}", daemon.listen),
        &["/", "/cluster?name=dw"],
    );
}

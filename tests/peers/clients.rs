//! Real clients judge the sandbox: boto3 and the AWS CLI run against `redkeep sandbox`, and every answer is checked
//! against AWS's API model, of which `tests/clients/redshift-model.json` is the part that is served.
//!
//! `tests/peers/install.sh` installs them. Without them these tests say that they are skipped; with
//! `REDKEEP_REQUIRE_PEERS=1` their absence is a failure.
#![expect(
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and whoever reads its output is to know who judged"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Dir, REDKEEP, Sandbox, finish};

/// A program of the peers; `None`, with the reason on stderr, where it is not installed.
fn peer(name: &str) -> Option<PathBuf> {
    let program = root().join("target/peers/bin").join(name);
    if program.exists() {
        return Some(program);
    }
    let required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
    assert!(
        !required,
        "{name} is not installed: run tests/peers/install.sh"
    );
    eprintln!("skipped, because {name} is not installed: run tests/peers/install.sh");
    None
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A sandbox with `dw-00` to `dw-44`, in which a change takes a second.
fn fleet(snapshot_seconds: &str) -> Sandbox {
    let names: Vec<String> = (0..45).map(|number| format!("dw-{number:02}")).collect();
    let clusters = names.iter().flat_map(|name| ["--cluster", name]);
    let more = ["--quota", "100", "--snapshot-seconds", snapshot_seconds];
    let arguments: Vec<&str> = clusters.chain(more).collect();
    let sandbox = Sandbox::start(&arguments);
    sandbox.control("PUT", "/_sandbox/limits", r#"{"cluster_seconds":1}"#);
    sandbox
}

/// Runs one of the scripts with the peers' Python.
fn script(python: &Path, name: &str, arguments: &[&str]) {
    let mut python = Command::new(python);
    python
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(root().join("tests/clients").join(name))
        .args(arguments);
    let output = finish(&mut python);
    assert!(output.status.success(), "{name}: {}", told(&output));
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn boto3_is_content_with_every_answer() {
    let Some(python) = peer("python") else { return };
    let sandbox = fleet("1");
    script(&python, "boto.py", &[&sandbox.url]);
}

#[test]
fn the_aws_cli_is_content_with_every_answer() {
    let (Some(python), Some(aws)) = (peer("python"), peer("aws")) else {
        return;
    };
    let sandbox = fleet("12");
    script(&python, "cli.py", &[aws.to_str().unwrap(), &sandbox.url]);
}

#[test]
fn the_copy_of_the_model_is_what_the_installed_botocore_has() {
    let Some(python) = peer("python") else { return };
    script(&python, "model.py", &["check"]);
}

#[test]
fn a_fault_plan_from_a_file_is_in_force_from_the_first_request_on() {
    let dir = Dir::new();
    let rules = r#"[{"operation": "*", "times": 1, "fault": {"kind": "html", "status": 502}}]"#;
    let file = dir.write("faults.json", rules);
    let sandbox = Sandbox::start(&["--faults", file.to_str().unwrap()]);
    assert_eq!(
        sandbox.control("GET", "/_sandbox/faults", "")[0]["fault"]["status"],
        502
    );
    let ask = || sandbox.aws("AKIAEXAMPLE", "DescribeClusters").status;
    assert_eq!([ask(), ask()], [502, 200]);
}

#[test]
fn a_fault_plan_that_cannot_be_used_ends_the_command_with_its_reason() {
    let dir = Dir::new();
    for (text, reason) in [
        (
            r#"[{"operation": "*", "fault": {"kind": "explode"}}]"#,
            "explode",
        ),
        (
            r#"[{"operation": "*", "fault": {"kind": "html", "status": 200}}]"#,
            "the status 200 is not from 400 to 599",
        ),
    ] {
        let file = dir.write("faults.json", text);
        let mut command = Command::new(REDKEEP);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--faults"]);
        let output = finish(command.arg(&file));
        let told = told(&output);
        assert!(!output.status.success(), "{told}");
        assert!(
            told.contains("faults.json") && told.contains(reason),
            "{told}"
        );
    }
}

#[test]
fn an_option_changes_its_own_limit_and_leaves_those_of_the_state_file() {
    let dir = Dir::new();
    let file = dir.0.join("state.json");
    let state = ["--state", file.to_str().unwrap()];
    let first = Sandbox::start(&[&state[..], &["--snapshot-seconds", "7"]].concat());
    first.control("PUT", "/_sandbox/limits", r#"{"cluster_seconds":3}"#);
    drop(first);
    let second = Sandbox::start(&[&state[..], &["--quota", "50"]].concat());
    let limits = &second.control("GET", "/_sandbox/state", "")["limits"];
    let wanted = [
        ("manual_snapshots", 50),
        ("snapshot_seconds", 7),
        ("cluster_seconds", 3),
        ("clusters", 1_000),
    ];
    for (name, wanted) in wanted {
        assert_eq!(limits[name], wanted, "{limits}");
    }
}

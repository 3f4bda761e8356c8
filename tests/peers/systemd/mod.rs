//! The unit as systemd judges it, and the package in a system that was really booted.
//!
//! The second needs root, some programs of Debian's, `cargo-deb`, and a Debian mirror once. Where it can it runs, and
//! where it cannot it says why not; with `REDKEEP_BOOT=1` that is a failure, and with `REDKEEP_BOOT=0` it is not tried.
//! `REDKEEP_BOOT_SUITE` names another Debian than bookworm.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says why it is skipped"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::deadline::Deadline;
use crate::support::process::finish;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROGRAM: &str = env!("CARGO_BIN_EXE_redkeep");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// A directory of one test's own, empty.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("systemd")
        .join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn has_systemd_analyze() -> bool {
    let there = is_installed("systemd-analyze");
    let required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
    assert!(there || !required, "systemd-analyze is not installed");
    if !there {
        eprintln!("skipped, because systemd-analyze is not installed");
    }
    there
}

/// Runs `systemd-analyze` on a unit of this text; whether it had nothing to say against it, and what it said.
fn analyze(name: &str, arguments: &[&str], unit: &str) -> (bool, String) {
    let file = scratch(name).join("redkeep.service");
    fs::write(&file, unit).unwrap();
    let mut analyze = Command::new("systemd-analyze");
    let output = finish(analyze.args(arguments).arg(&file));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    (output.status.success(), said)
}

#[test]
fn systemd_knows_every_key_and_value_of_the_unit() {
    if !has_systemd_analyze() {
        return;
    }
    // What it starts must be there, and the page that it names need not.
    let unit = read("systemd/redkeep.service").replace("/usr/bin/redkeep", PROGRAM);
    let arguments = ["verify", "--man=no"];
    // It ends with success whatever it finds: what counts is that it is silent.
    let (success, said) = analyze("verify", &arguments, &unit);
    assert!(success && said.is_empty(), "{said}");
    let unknown = unit.replace("WatchdogSec=", "WatchdogSecs=");
    let (_, said) = analyze("verify", &arguments, &unknown);
    assert!(said.contains("WatchdogSecs"), "{said}");
}

#[test]
fn systemd_rates_the_exposure_of_the_unit_at_1_1_or_less() {
    if !has_systemd_analyze() {
        return;
    }
    let unit = read("systemd/redkeep.service");
    let arguments = ["security", "--offline=yes", "--no-pager", "--threshold=11"];
    let (low, said) = analyze("security", &arguments, &unit);
    assert!(low, "{said}");
    let (low, _) = analyze(
        "security",
        &arguments,
        &unit.replace("PrivateUsers=yes\n", ""),
    );
    assert!(!low, "a unit with less confinement passes too");
}

/// The drop-in that the page shows for `key`.
fn drop_in(key: &str) -> String {
    let page = read("docs/install.md");
    let mut blocks = page
        .split("```ini\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let found = blocks.find(|block| block.contains(key));
    found.unwrap_or_else(|| panic!("{key}")).to_owned()
}

/// Runs a program of the repository, whose output is the test's own; whether it succeeded.
fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(Path::new(ROOT).join(program))
        .args(arguments)
        .current_dir(ROOT)
        .status();
    status.unwrap().success()
}

fn run(program: &str, arguments: &[&str]) {
    assert!(succeeds(program, arguments), "{program} {arguments:?}");
}

/// The package of the program under test, with a revision of its own.
fn package(revision: &str, into: &Path) {
    let into = format!("{}/", into.display());
    let version = format!("{VERSION}-{revision}");
    let directory = Path::new(PROGRAM).parent().and_then(Path::file_name);
    let profile = match directory.unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let options = ["--fast", "--deb-version", &version, "--output", &into];
    let arguments = [&["--no-build", profile], &options[..]].concat();
    run("packaging/build.sh", &arguments);
}

/// Has lintian judge the first package: no errors, no warnings, no overrides.
fn judge(packages: &Path) {
    let mut files = fs::read_dir(packages)
        .unwrap()
        .map(|file| file.unwrap().path());
    let package = files
        .find(|file| file.to_string_lossy().contains("-0redkeep1_"))
        .unwrap();
    let mut lintian = Command::new("lintian");
    lintian.args(["--pedantic", "--fail-on", "error,warning"]);
    let output = finish(lintian.arg(package));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_packages_changelog_begins_with_this_version() {
    let changelog = read("packaging/debian/changelog");
    let wanted = format!("redkeep ({VERSION}-0redkeep1) ");
    assert!(changelog.starts_with(&wanted), "{changelog}");
    assert!(!read("Cargo.toml").contains("lintian-overrides"));
}

/// The directory of a Debian that boots here, or why there is none.
fn bootable(suite: &str) -> Result<String, String> {
    for program in ["mmdebstrap", "systemd-nspawn", "cargo-deb", "lintian"] {
        if !is_installed(program) {
            return Err(format!("{program} is not installed"));
        }
    }
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Err("it takes root".to_owned());
    }
    let base = Path::new(ROOT).join(format!("target/boot-{suite}"));
    let base = base.to_str().unwrap().to_owned();
    if !succeeds("tests/systemd/base.sh", &[suite, &base]) {
        return Err(format!("no base of {suite} can be made"));
    }
    let probe = scratch("probe");
    fs::write(probe.join("nothing.sh"), "#!/bin/sh\n").unwrap();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(probe.join("nothing.sh"), executable).unwrap();
    let arguments = [&base, probe.to_str().unwrap(), "nothing.sh"];
    match succeeds("tests/systemd/boot.sh", &arguments) {
        true => Ok(base),
        false => Err("systemd-nspawn boots nothing here".to_owned()),
    }
}

#[test]
fn the_package_lives_its_whole_life_in_a_booted_system() {
    Deadline::allow(Duration::from_secs(3_600));
    let _deadline = Deadline::begin(None);
    let wish = std::env::var("REDKEEP_BOOT").unwrap_or_default();
    let suite = std::env::var("REDKEEP_BOOT_SUITE").unwrap_or("bookworm".to_owned());
    let found = match wish.as_str() {
        "0" => Err("REDKEEP_BOOT=0 says so".to_owned()),
        _ => bootable(&suite),
    };
    let base = match found {
        Ok(base) => base,
        Err(why) => {
            assert!(wish != "1", "{why}");
            // Around the harness, which shows nothing of a test that passes.
            writeln!(std::io::stderr(), "the boot test is skipped, because {why}").unwrap();
            return;
        }
    };
    let files = scratch("files");
    for revision in ["0redkeep1", "0redkeep2"] {
        package(revision, &files);
    }
    judge(&files);
    let inside = Path::new(ROOT).join("tests/systemd/inside.sh");
    fs::copy(inside, files.join("inside.sh")).unwrap();
    for (name, key) in [
        ("credential-process.conf", "ExecPaths="),
        ("vpc-endpoints.conf", "IPAddressAllow="),
    ] {
        fs::write(files.join(name), drop_in(key)).unwrap();
    }
    let files = files.to_str().unwrap();
    run("tests/systemd/boot.sh", &[&base, files, "inside.sh"]);
}

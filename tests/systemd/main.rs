//! The unit as systemd judges it, and the package in a system that was really booted.
//!
//! The second needs root, `mmdebstrap`, `systemd-nspawn`, `cargo-deb`, `lintian` and a few minutes, and runs where `REDKEEP_BOOT=1`
//! asks for it; else it says that it is skipped.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says why it is skipped"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(&file)
        .output()
        .unwrap();
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

/// Runs a program of the repository, whose output is the test's own.
fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(Path::new(ROOT).join(program))
        .args(arguments)
        .current_dir(ROOT)
        .status()
        .unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// The package of this version, with a revision.
fn package(revision: &str, into: &Path) {
    let into = format!("{}/", into.display());
    let version = format!("{VERSION}-{revision}");
    let arguments = [
        "dev",
        "--fast",
        "--deb-version",
        &version,
        "--output",
        &into,
    ];
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
    let output = Command::new("lintian")
        .args(["--pedantic", "--fail-on", "error,warning"])
        .arg(package)
        .output()
        .unwrap();
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

#[test]
fn the_package_lives_its_whole_life_in_a_booted_system() {
    if std::env::var_os("REDKEEP_BOOT").is_none() {
        eprintln!("skipped, because it takes minutes, root and 200 MB: set REDKEEP_BOOT=1");
        return;
    }
    for program in ["mmdebstrap", "systemd-nspawn", "cargo-deb", "lintian"] {
        assert!(is_installed(program), "{program} is not installed");
    }
    let base = Path::new(ROOT).join("target/boot-bookworm");
    let base = base.to_str().unwrap();
    run("tests/systemd/base.sh", &["bookworm", base]);
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
    run("tests/systemd/boot.sh", &[base, files, "inside.sh"]);
}

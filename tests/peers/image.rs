//! The image of Debian's packages, and the program in it.
//!
//! It takes root, Debian's umoci and a mirror of Debian. Without them the test says that it is skipped; with
//! `REDKEEP_REQUIRE_PEERS=1` their absence is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and one that is skipped says so"
)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Dir, REDKEEP, finish};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What `packaging/image.sh` ends with where no packages can be had.
const NO_PACKAGES: i32 = 69;

fn skipped(why: &str) {
    let required = std::env::var_os("REDKEEP_REQUIRE_PEERS").is_some();
    assert!(!required, "{why}");
    eprintln!("skipped, because {why}");
}

/// What is missing to make an image.
fn missing() -> Option<&'static str> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Some("an image takes root");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| {
        let mut directories = std::env::split_paths(&path);
        directories.any(|directory| directory.join(program).is_file())
    };
    let wanted = [
        ("umoci", "umoci is not installed (Debian: umoci)"),
        ("apt-get", "this is not Debian: there is no apt-get"),
        ("dpkg-deb", "this is not Debian: there is no dpkg-deb"),
    ];
    let mut wanted = wanted.iter();
    wanted.find_map(|(program, why)| (!is_there(program)).then_some(*why))
}

/// Runs the program of an unpacked image, as its user and with nothing of this machine.
fn inside(root: &Path, arguments: &[&str]) -> Output {
    let mut chroot = Command::new("/usr/sbin/chroot");
    chroot
        .env_clear()
        .arg("--userspec=65532:65532")
        .arg(root)
        .arg("/usr/bin/redkeep")
        .args(arguments);
    finish(&mut chroot)
}

fn told(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(said).unwrap()
}

#[test]
fn the_image_has_all_that_the_program_needs() {
    if let Some(why) = missing() {
        return skipped(why);
    }
    let dir = Dir::new();
    let mut script = Command::new(format!("{ROOT}/packaging/image.sh"));
    let made = finish(script.arg(REDKEEP).arg(&dir.0));
    if made.status.code() == Some(NO_PACKAGES) {
        return skipped(&format!("no packages can be had: {}", told(&made)));
    }
    assert!(made.status.success(), "{}", told(&made));
    let said = told(&made);
    eprint!("{said}");
    let image = String::from_utf8(made.stdout).unwrap();
    let bundle = dir.0.join("bundle");
    let mut unpack = Command::new("umoci");
    unpack.args(["unpack", "--image", image.lines().last().unwrap()]);
    let unpacked = finish(unpack.arg(&bundle));
    assert!(unpacked.status.success(), "{}", told(&unpacked));

    let process: Value =
        serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
    assert_eq!(process["process"]["user"]["uid"], 65532);
    assert_eq!(process["process"]["args"][0], "/usr/bin/redkeep");
    assert_eq!(process["process"]["args"][1], "run");
    runs_in(&bundle.join("rootfs"));
}

/// The program starts, and accepts the policy files of Kubernetes.
fn runs_in(root: &Path) {
    let version = inside(root, &["--version"]);
    let wanted = format!("redkeep {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(told(&version), wanted);
    for overlay in ["single", "ha"] {
        let file = format!("{ROOT}/packaging/kubernetes/{overlay}/redkeep.toml");
        fs::copy(file, root.join("etc/redkeep/redkeep.toml")).unwrap();
        let checked = inside(root, &["check"]);
        assert!(
            checked.status.success() && told(&checked).contains("fine: 1 policy"),
            "{overlay}: {}",
            told(&checked)
        );
    }
    let state = fs::metadata(root.join("var/lib/redkeep")).unwrap();
    assert_eq!((state.uid(), state.mode() & 0o777), (65532, 0o700));
    let authorities = fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(authorities.matches("BEGIN CERTIFICATE").count() > 100);
}

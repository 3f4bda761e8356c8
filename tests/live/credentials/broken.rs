//! Sources that do not work.

use std::fs;
use std::path::Path;

use crate::credentials::{ROLE, Sources, Way, doctor, identity, sandbox};
use crate::support::sources::Mood;
use crate::support::{Daemon, Dir, EACH_TWO_SECONDS, MINUTE, eventually};

#[test]
fn a_source_that_is_broken_is_told_by_its_name_and_nothing_else_is_used() {
    let sources = Sources::start();
    let ways = sources.ways();
    let told = |name: &str, more: &[(&'static str, &str)]| {
        let way = ways.iter().find(|way| way.name == name).unwrap();
        let mut environment = way.environment.clone();
        environment.extend(
            more.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let way = Way {
            account: way.account.clone(),
            environment,
            ..*way
        };
        let (result, found) = sources.identity(&way);
        assert_eq!(result, "failed", "{name}: {found}");
        found
    };
    for (mood, words) in [
        (Mood::Broken(500, "<html>"), "HTTP status 500"),
        (Mood::Broken(200, "<html>"), "invalid JSON"),
    ] {
        sources.container.be(mood);
        let found = told("container", &[]);
        assert!(
            found.contains("the container credentials service"),
            "{found}"
        );
        assert!(found.contains(words), "{found}");
    }
    sources.instance.be(Mood::Broken(500, "<html>"));
    let found = told("instance", &[]);
    assert!(found.contains("the instance metadata service"), "{found}");
    let found = told("token", &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent")]);
    assert!(
        found.contains("the file of AWS_WEB_IDENTITY_TOKEN_FILE cannot be read"),
        "{found}"
    );
    let denied = format!(r#"{{"denied":["{ROLE}"]}}"#);
    sources.sandbox.control("PUT", "/_sandbox/roles", &denied);
    let found = told("chained", &[]);
    assert!(
        found.contains(&format!("the role {ROLE} cannot be assumed: AccessDenied")),
        "{found}"
    );
    for (script, words) in [
        (
            "echo nothing to see >&2; exit 3\n",
            "exit status: 3 and says: nothing to see",
        ),
        ("echo hello\n", "did not print JSON"),
        ("echo '{\"Version\":1}'\n", "printed no AccessKeyId"),
        (
            "cat <<'END'\n{\"Version\":1,\"AccessKeyId\":\"a\\nb\",\"SecretAccessKey\":\"s\"}\nEND\n",
            "has a line break in it",
        ),
        ("yes | head -c 100000\n", "printed more than 64 KiB"),
    ] {
        sources.dir.write("process.sh", script);
        let way = ways.iter().find(|way| way.name == "process").unwrap();
        let (_, found) = sources.identity(way);
        assert!(
            found.contains("credential_process of the profile \"process\""),
            "{found}"
        );
        assert!(found.contains(words), "{found}");
    }
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// How many children a process has, zombies too.
fn children(pid: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let children =
        tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    children.map(|list| list.split_whitespace().count()).sum()
}

#[test]
fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let pids = dir.0.join("pids");
    let script = format!(
        "sleep 1000 & echo $! $$ >> {}; sleep 1000\n",
        pids.display()
    );
    let script = dir.write("hang.sh", &script);
    let config = format!(
        "[profile hang]\ncredential_process = sh {}\n",
        script.display()
    );
    let config = dir.write("aws-config", &config).display().to_string();
    let environment = [("AWS_CONFIG_FILE", config.as_str())];
    let started = || {
        let text = fs::read_to_string(&pids).unwrap_or_default();
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let output = doctor(&dir, &sandbox.url, "profile = \"hang\"", &environment);
    let (_, found) = identity(&output);
    assert!(
        found.contains("no credentials came within 20s from the credential_process"),
        "{found}"
    );
    assert!(started().len() >= 2);
    eventually("nothing is left of doctor's", MINUTE, || {
        !started().iter().any(|pid| is_alive(pid))
    });
    let account = "[[account]]\nname = \"one\"\nregions = [\"us-east-1\"]\nprofile = \"hang\"\n";
    let policies = format!(
        "endpoint = \"{}\"\n{account}{EACH_TWO_SECONDS}",
        sandbox.url
    );
    let mut daemon = Daemon::start_among(&dir, &policies, &environment);
    let before = started().len();
    eventually("two tries", MINUTE * 2, || started().len() >= before + 4);
    let first: Vec<String> = started()[before..before + 2].to_vec();
    eventually("the first is ended and waited for", MINUTE, || {
        !first.iter().any(|pid| is_alive(pid))
    });
    assert!(children(daemon.process.0.id()) <= 2, "no zombies");
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(MINUTE), Some(0));
    eventually("nothing is left of the daemon's", MINUTE, || {
        !started().iter().any(|pid| is_alive(pid))
    });
}

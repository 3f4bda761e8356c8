//! Accounts and roles: the real binary against a sandbox with several accounts.
#![expect(
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and the tests of the real binary live in real time"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::support::{Daemon, Dir, Sandbox, assert_prompt, eventually, http, in_state, redkeep};
use chrono::Utc;
use serde_json::Value;

const GOOD: &str = "arn:aws:iam::111111111111:role/redkeep";
const BROKEN: &str = "arn:aws:iam::222222222222:role/redkeep";

fn sandbox() -> Sandbox {
    let numbers = ["000000000000", "111111111111", "222222222222"];
    let accounts = numbers.map(|number| ["--account", number]).concat();
    Sandbox::taking("1", &["dw"], &accounts)
}

fn policies() -> String {
    format!(
        r#"
[[account]]
name = "good"
regions = ["us-east-1"]
role_arn = "{GOOD}"
external_id = "night-watch"
session_name = "watchman"

[[account]]
name = "broken"
regions = ["us-east-1"]
role_arn = "{BROKEN}"

[[policy]]
name = "often"
schedule = "*/5 * * * * *"
clusters = ["dw"]
retention = "7d"
"#
    )
}

fn available(rows: &[Value], account: &str) -> usize {
    in_state(rows, "available")
        .filter(|row| row["account"] == account)
        .count()
}

#[test]
fn a_broken_role_delays_no_other_account_and_is_taken_up_when_it_is_mended() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let roles = format!(r#"{{"denied":["{BROKEN}"],"external_ids":{{"{GOOD}":"night-watch"}}}}"#);
    sandbox.control("PUT", "/_sandbox/roles", &roles);
    let daemon = Daemon::start(&dir, &sandbox.url, &policies());
    let minute = Duration::from_secs(60);
    let rows = daemon.wait("three in the good account", minute, |rows| {
        available(rows, "good") >= 3
    });
    assert_eq!(available(&rows, "broken"), 0, "{rows:#?}");
    for row in in_state(&rows, "available") {
        assert_eq!(row["snapshot"]["owner_account"], "111111111111");
        assert_eq!(row["attempts"], 1);
    }
    assert_prompt(in_state(&rows, "available"));
    let ready = http(daemon.listen, "GET", "/readyz", "");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("broken/us-east-1"), "{}", ready.body);
    let log = daemon.log();
    let told = log.lines().filter(|line| line.contains("AccessDenied"));
    assert_eq!(told.count(), 1, "{log}");
    sandbox.control("PUT", "/_sandbox/roles", r#"{"denied":[]}"#);
    daemon.wait("the mended account too", Duration::from_secs(120), |rows| {
        available(rows, "broken") >= 1
    });
    eventually("ready", minute, || {
        http(daemon.listen, "GET", "/readyz", "").status == 200
    });
}

const REGIONS: [&str; 3] = ["ap-southeast-2", "eu-central-1", "us-east-1"];
const HANGING: &str = "eu-central-1";

/// A dozen clusters over three regions, the same in each of four accounts.
fn wide_sandbox() -> Sandbox {
    let names: Vec<String> = (1..=4).map(|number| format!("dw-{number:02}")).collect();
    let accounts = [
        "000000000000",
        "111111111111",
        "222222222222",
        "333333333333",
    ];
    let mut arguments = vec!["--snapshot-seconds", "1", "--quota", "10000"];
    arguments.extend(accounts.iter().flat_map(|number| ["--account", number]));
    arguments.extend(REGIONS.iter().flat_map(|region| ["--region", region]));
    arguments.extend(names.iter().flat_map(|name| ["--cluster", name]));
    Sandbox::start(&arguments)
}

/// For each cluster how many of its slots, of those that count, have their snapshot.
fn slots(rows: &[Value], counts: impl Fn(&Value) -> bool) -> BTreeMap<[String; 3], usize> {
    let mut slots = BTreeMap::new();
    for row in in_state(rows, "available").filter(|row| counts(row)) {
        let place = ["account", "region", "cluster"].map(|field| row[field].to_string());
        *slots.entry(place).or_default() += 1;
    }
    slots
}

#[test]
fn a_broken_role_and_a_hanging_region_delay_no_slot_elsewhere() {
    let (dir, sandbox) = (Dir::new(), wide_sandbox());
    sandbox.control(
        "PUT",
        "/_sandbox/roles",
        &format!(r#"{{"denied":["{BROKEN}"]}}"#),
    );
    let accounts = [
        ("good", GOOD),
        ("second", "arn:aws:iam::333333333333:role/redkeep"),
        ("broken", BROKEN),
    ];
    let accounts = accounts.map(|(name, arn)| {
        format!("[[account]]\nname = \"{name}\"\nregions = {REGIONS:?}\nrole_arn = \"{arn}\"\n")
    });
    let policy = "[[policy]]\nname = \"often\"\nschedule = \"*/6 * * * * *\"\nclusters = [\"dw-*\"]\n\
                  retention = \"7d\"\n";
    let daemon = Daemon::start(
        &dir,
        &sandbox.url,
        &format!("{}{policy}", accounts.concat()),
    );
    let minutes = Duration::from_secs(120);
    daemon.wait(
        "a slot everywhere but in the broken account",
        minutes,
        |rows| slots(rows, |_| true).len() == 2 * 3 * 4,
    );

    let hang = format!(r#"[{{"operation":"*","region":"{HANGING}","fault":{{"kind":"hang"}}}}]"#);
    sandbox.control("PUT", "/_sandbox/faults", &hang);
    let since = Utc::now().to_rfc3339();
    let elsewhere = |row: &Value| row["region"] != HANGING && row["account"] != "broken";
    let rows = daemon.wait("six slots elsewhere since", minutes, |rows| {
        let fresh = |row: &Value| elsewhere(row) && row["scheduled_at"].as_str() > Some(&since);
        let slots = slots(rows, fresh);
        slots.len() == 2 * 2 * 4 && slots.values().all(|count| *count >= 6)
    });
    assert_prompt(rows.iter().filter(|row| elsewhere(row)));
    assert!(
        !rows
            .iter()
            .any(|row| elsewhere(row) && row["result"] == "missed"),
        "{rows:#?}"
    );
    eventually(
        "the hanging region and the broken role are told",
        minutes,
        || {
            let log = daemon.log();
            ["good", "second"].iter().all(|account| {
                let failed = |line: &str| {
                    line.contains("listing failed")
                        && line.contains(&format!("{account}/{HANGING}"))
                };
                log.lines().any(failed)
            }) && log
                .lines()
                .any(|line| line.contains("broken/us-east-1") && line.contains("AccessDenied"))
        },
    );

    sandbox.control("PUT", "/_sandbox/faults", "[]");
    let healed = Utc::now().to_rfc3339();
    daemon.wait("the region is back", minutes, |rows| {
        let fresh =
            |row: &Value| row["region"] == HANGING && row["scheduled_at"].as_str() > Some(&healed);
        slots(rows, fresh).len() == 2 * 4
    });
}

#[test]
fn credentials_that_expire_are_renewed_and_no_slot_is_lost() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    sandbox.control("PUT", "/_sandbox/roles", r#"{"session_seconds":12}"#);
    let daemon = Daemon::start(&dir, &sandbox.url, &policies());
    let started = Instant::now();
    let rows = daemon.wait(
        "half a minute of snapshots",
        Duration::from_secs(120),
        |rows| started.elapsed() > Duration::from_secs(30) && available(rows, "good") >= 5,
    );
    assert!(in_state(&rows, "failed").next().is_none(), "{rows:#?}");
    assert!(in_state(&rows, "expired").next().is_none(), "{rows:#?}");
    assert!(!daemon.log().contains("secret-that-must-not-leak"));
    assert!(sandbox.requests("AssumeRole").len() >= 2);
    let all = sandbox.control("GET", "/_sandbox/requests", "");
    let late = |request: &Value| request["outcome"] == "ExpiredToken";
    assert!(!all.as_array().unwrap().iter().any(late), "{all:#}");
}

#[test]
fn the_credentials_of_a_profile_are_used_and_not_those_of_the_environment() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let profile = |name: &str, key: &str| {
        format!("[profile {name}]\naws_access_key_id = {key}\naws_secret_access_key = x\n")
    };
    let file = profile("plain", "111111111111") + &profile("base", "222222222222");
    let file = dir.write("aws-config", &file);
    let policies = format!(
        r#"
endpoint = "{}"

[[account]]
name = "direct"
regions = ["us-east-1"]
profile = "plain"

[[account]]
name = "assumed"
regions = ["us-east-1"]
profile = "base"
role_arn = "arn:aws:iam::000000000000:role/redkeep"

[[policy]]
name = "often"
schedule = "*/5 * * * * *"
clusters = ["dw"]
retention = "7d"
"#,
        sandbox.url
    );
    let environment = [("AWS_CONFIG_FILE", file.to_str().unwrap())];
    let daemon = Daemon::start_among(&dir, &policies, &environment);
    daemon.wait("one in each", Duration::from_secs(60), |rows| {
        [("direct", "111111111111"), ("assumed", "000000000000")]
            .iter()
            .all(|(account, owner)| {
                in_state(rows, "available").any(|row| {
                    row["account"] == *account && row["snapshot"]["owner_account"] == *owner
                })
            })
    });
    let assumed = sandbox.requests("AssumeRole");
    assert!(
        assumed
            .iter()
            .all(|request| request["account"] == "222222222222"),
        "{assumed:#?}"
    );
}

#[test]
fn two_names_for_the_same_account_and_region_do_not_book_a_snapshot_twice() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let other = "arn:aws:iam::111111111111:role/other";
    let daemon = Daemon::start(&dir, &sandbox.url, &policies().replace(BROKEN, other));
    let rows = daemon.wait("three", Duration::from_secs(60), |rows| {
        available(rows, "broken") >= 3
    });
    let log = daemon.log();
    let twice = rows.iter().any(|row| row["account"] != "broken");
    assert!(!twice, "the first by name works:\n{log}");
    assert!(
        log.contains("the same AWS account and region is in the policy file twice"),
        "{log}"
    );
}

#[test]
fn the_embedded_sandbox_has_clusters_wherever_the_policy_file_works() {
    let dir = Dir::new();
    let policies = format!(
        r#"
endpoint = "sandbox"

[[account]]
name = "good"
regions = ["us-east-1", "eu-central-1"]
role_arn = "{GOOD}"

[[account]]
name = "broken"
regions = ["ap-southeast-2"]
role_arn = "{BROKEN}"

[[account]]
name = "own"
regions = ["us-east-1"]

[[policy]]
name = "often"
schedule = "*/5 * * * * *"
clusters = ["*"]
retention = "7d"
"#
    );
    let daemon = Daemon::start_among(&dir, &policies, &[]);
    let wanted = BTreeSet::from([
        ("good", "us-east-1", "111111111111"),
        ("good", "eu-central-1", "111111111111"),
        ("broken", "ap-southeast-2", "222222222222"),
        ("own", "us-east-1", "000000000000"),
    ]);
    daemon.wait(
        "three clusters in each scope",
        Duration::from_secs(60),
        |rows| {
            wanted.iter().all(|(account, region, owner)| {
                let clusters: BTreeSet<_> = in_state(rows, "available")
                    .filter(|row| row["account"] == *account && row["region"] == *region)
                    .filter(|row| row["snapshot"]["owner_account"] == *owner)
                    .filter_map(|row| row["cluster"].as_str())
                    .collect();
                clusters == BTreeSet::from(["analytics", "dw-prod", "finance"])
            })
        },
    );
}

/// The instants of an account's complete snapshots, and their names.
fn complete(rows: &[Value], account: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    in_state(rows, "available")
        .filter(|row| row["account"] == account)
        .map(|row| (text(&row["scheduled_at"]), text(&row["snapshot_id"])))
        .collect()
}

#[test]
fn of_two_accounts_with_equal_clusters_each_keeps_its_own_through_a_lost_history_and_a_new_name() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let (minute, both) = (Duration::from_secs(60), ["good", "broken"]);
    let mut daemon = Daemon::start(&dir, &sandbox.url, &policies());
    let before = daemon.wait("three in each", minute, |rows| {
        both.iter().all(|account| available(rows, account) >= 3)
    });
    daemon.kill_9();
    let state = dir.0.join("state");
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("history.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    daemon.restart(&dir);
    let has_all = |rows: &[Value], of: &str, account: &str| {
        let (then, now) = (complete(&before, of), complete(rows, account));
        then.keys().all(|slot| now.contains_key(slot))
    };
    let rows = daemon.wait("what each had", minute, |rows| {
        both.iter().all(|account| has_all(rows, account, account))
    });
    let (good, broken) = (complete(&rows, "good"), complete(&rows, "broken"));
    let (slot, id) = good
        .iter()
        .find(|(slot, _)| broken.contains_key(*slot))
        .unwrap();
    assert_eq!(
        broken[slot], *id,
        "both accounts have a snapshot of this name"
    );

    let config = dir.0.join("redkeep.toml");
    let config = config.to_str().unwrap();
    for command in ["show", "hold"] {
        let asked = redkeep(&[command, "--config", config, id]);
        let said = String::from_utf8_lossy(&asked.stderr);
        assert_eq!(asked.status.code(), Some(2), "{command}: {said}");
        let names = ["broken/us-east-1", "good/us-east-1", "--account"];
        assert!(names.iter().all(|name| said.contains(name)), "{said}");
    }
    let shown = redkeep(&[
        "show",
        "--config",
        config,
        "--account",
        "good",
        "--output",
        "json",
        id,
    ]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown[0]["snapshot"]["owner_account"], "111111111111");

    daemon.kill_9();
    let text = std::fs::read_to_string(config).unwrap();
    dir.write("redkeep.toml", &text.replace("\"good\"", "\"better\""));
    daemon.restart(&dir);
    let rows = daemon.wait("all under the new name", minute, |rows| {
        has_all(rows, "good", "better") && rows.iter().all(|row| row["account"] != "good")
    });
    assert!(has_all(&rows, "broken", "broken"));
    let log = daemon.log();
    assert!(
        log.contains("the account has another name in the policy file"),
        "{log}"
    );
}

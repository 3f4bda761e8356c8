//! Values that would make protection weaker than it reads, names that collide, and keys where none belong: each alone
//! in a file that is good otherwise, so that no other mistake can be what it is refused for.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Dir, redkeep};
use redkeep::config::{Sources, load};
use serde_json::Value;

/// A good file with `policy` in its policy's table, `account` in its account's, and `top` before both.
fn file(top: &str, account: &str, policy: &str) -> String {
    let retention = match policy.contains("retention =") {
        true => "",
        false => "retention = \"35d\"\n",
    };
    format!(
        "endpoint = \"sandbox\"\nstate_dir = \"state\"\n{top}\n[[account]]\nname = \"prod\"\nregions = \
         [\"eu-central-1\"]\n{account}\n[[policy]]\nname = \"nightly\"\nschedule = \"@daily\"\nclusters = [\"dw\"]\n\
         {retention}{policy}\n"
    )
}

/// What the file is refused with; the file alone and good is checked beside it.
fn refusal(dir: &Dir, text: &str) -> String {
    let load = |text: &str| {
        load(&Sources {
            file: dir.write("redkeep.toml", text),
            environment: Vec::new(),
            profiles: Default::default(),
        })
    };
    assert!(load(&file("", "", "")).is_ok());
    match load(text) {
        Ok(_) => "it was loaded".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn each_senseless_safety_value_alone_is_refused_with_what_is_wanted() {
    let dir = Dir::new();
    let policy = [
        ("retention", "\"0d\""),
        ("retention", "\"-1d\""),
        ("retention", "\"12h\""),
        ("retention", "\"3654d\""),
        ("retention", "\"\""),
        ("retention", "35"),
        ("retention", "-1"),
        ("retention", "{ weekly = \"0w\", base = \"7d\" }"),
        ("min_good", "0"),
        ("min_good", "-1"),
        ("min_good", "1001"),
        ("min_good", "\"two\""),
        ("guard", "0"),
        ("guard_gone", "\"0d\""),
        ("guard_gone", "\"4000d\""),
        ("start_window", "\"0s\""),
        ("start_window", "\"-4h\""),
        ("completion_window", "\"0s\""),
        ("jitter", "\"-1m\""),
        ("rpo", "\"0h\""),
        ("catch_up", "\"never\""),
        ("enabled", "1"),
    ];
    let policy = policy.map(|(key, value)| (key, file("", "", &format!("{key} = {value}"))));
    let account = ["0", "-5", "\"many\""].map(|value| {
        (
            "snapshot_quota",
            file("", &format!("snapshot_quota = {value}"), ""),
        )
    });
    for (key, text) in policy.iter().chain(&account) {
        let said = refusal(&dir, text);
        assert!(said.contains(key) && said.contains("got"), "{said}\n{text}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    // Not even the daemon begins with one, and nothing is made for it.
    dir.write("redkeep.toml", &file("", "", "min_good = 0"));
    let config = dir.0.join("redkeep.toml");
    for command in ["run", "check", "plan"] {
        let output = redkeep(&[command, "--config", config.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78), "{command}: {output:?}");
    }
    assert!(!dir.0.join("state").exists());
}

#[test]
fn names_that_would_read_the_same_get_snapshots_of_their_own_or_are_refused() {
    let dir = Dir::new();
    let policy = |name: &str, clusters: &str| {
        format!(
            "[[policy]]\nname = \"{name}\"\nschedule = \"@daily\"\nclusters = [{clusters}]\nretention = \"35d\"\n"
        )
    };
    let head = "endpoint = \"sandbox\"\nstate_dir = \"state\"\n[[account]]\nname = \"prod\"\nregions = [\"eu-central-1\", \"us-east-1\"]\n";
    let both = policy("a", "\"b-c\"") + &policy("a-b", "\"c\"");
    let config = dir.write("redkeep.toml", &format!("{head}{both}"));
    let config = config.to_str().unwrap();
    let planned = redkeep(&[
        "plan", "--count", "8", "--output", "json", "--config", config,
    ]);
    let rows: Vec<Value> = serde_json::from_slice(&planned.stdout).unwrap();
    let ids: BTreeSet<&str> = rows
        .iter()
        .map(|row| row["snapshot_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), rows.len());
    let without_hash: BTreeSet<&str> = ids
        .iter()
        .map(|id| id.rsplit_once('-').unwrap().0)
        .collect();
    // Two policies and two regions, told apart by the hash alone.
    assert_eq!(without_hash.len() * 4, ids.len(), "{ids:?}");
    for (other, said) in [
        ("nightly", "is taken at"),
        ("Nightly", "got \"Nightly\""),
        ("n\u{456}ghtly", "U+0456"),
        ("nightly\u{200b}", "U+200B"),
        ("night--ly", "night--ly"),
        ("nightly-", "nightly-"),
        ("nightly\\n", "nightly\\n"),
    ] {
        let [one, other] = ["nightly", other].map(|name| policy(name, "\"dw\""));
        let told = refusal(&dir, &format!("{head}{one}{other}"));
        assert!(told.contains(said) && told.contains("name: "), "{told}");
    }
}

#[test]
fn keys_are_refused_wherever_they_stand_and_are_never_repeated() {
    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let dir = Dir::new();
    for text in [
        file(&format!("aws_access_key_id = \"{ID}\""), "", ""),
        file(&format!("aws_secret_access_key = \"{SECRET}\""), "", ""),
        file(&format!("# {ID}"), "", ""),
        file("", &format!("access_key = \"{ID}\""), ""),
        file("", &format!("secret_access_key = \"{SECRET}\""), ""),
        file("", &format!("session_token = \"{SECRET}\""), ""),
        file("", &format!("external_id = \"{ID}\""), ""),
        file("", "", &format!("tags = {{ key = \"{ID}\" }}")),
        file(
            "",
            "",
            &format!("tags = {{ secret_access_key = \"{SECRET}\" }}"),
        ),
    ] {
        let said = refusal(&dir, &text);
        assert!(
            said.contains("credentials do not belong here"),
            "{said}\n{text}"
        );
        assert!(!said.contains(ID) && !said.contains(SECRET), "{said}");
        let config = dir.0.join("redkeep.toml");
        for command in ["run", "check"] {
            let output = redkeep(&[command, "--config", config.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(78), "{command}: {output:?}");
            let told = format!("{output:?}");
            assert!(!told.contains(ID) && !told.contains(SECRET), "{told}");
        }
    }
    assert!(!dir.0.join("state").exists());
    // The same in a file beside it.
    dir.write("redkeep.toml", &file("", "", ""));
    fs::create_dir(dir.0.join("conf.d")).unwrap();
    let more = format!("[[policy]]\nname = \"more\"\nsecret_access_key = \"{SECRET}\"\n");
    dir.write("conf.d/more.toml", &more);
    let config = dir.0.join("redkeep.toml");
    let output = redkeep(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(!format!("{output:?}").contains(SECRET));
}

//! The command line as fingers expect it: options before and behind, words of other programs, names in completions.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use super::{finish, found, redkeep, scratch};

const FILE: &str = "state_dir = \"state\"\nendpoint = \"sandbox\"\n[[account]]\nname = \"prod\"\n\
                    regions = [\"eu-central-1\"]\n[[policy]]\nname = \"nightly\"\nschedule = \"30 2 * * *\"\n\
                    timezone = \"Europe/Berlin\"\nclusters = [\"dw-prod\", \"finance\"]\nretention = \"7d\"\n";

fn file(name: &str, text: &str) -> String {
    let file = scratch(name).join("redkeep.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_all_commands_have_stands_before_or_behind_the_command() {
    let file = file("global", FILE);
    let one = redkeep(&["--config", &file, "-o", "json", "plan", "-n", "1"]);
    let other = redkeep(&["plan", "-n", "1", "--output=json", "-c", &file]);
    let rows: Vec<Value> = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(one.stdout, other.stdout);
    let useless = redkeep(&["pause", "nightly", "-o", "json"]);
    assert_eq!(useless.status.code(), Some(2));
    assert!(
        told(&useless).1.contains("`pause` prints no rows"),
        "{useless:?}"
    );
    let help = told(&redkeep(&["pause", "--help"])).0;
    assert!(!help.contains("--output"), "{help}");
}

/// From memory of kubectl, restic, systemctl, borg, kopia and the AWS CLI.
#[test]
fn lines_typed_from_memory_of_other_programs_do_what_is_meant_or_say_what_to_type() {
    let file = file("memory", FILE);
    understands(
        &file,
        &[
            ("get snapshots", "redkeep snapshots"),
            ("get policies", "redkeep status"),
            ("ls", "no history"),
            ("list", "no history"),
            ("snapshots", "no history"),
            ("describe 3fa9c1d2", "no history"),
            ("validate", "fine: 1 policy"),
            ("lint", "fine: 1 policy"),
            ("version", "redkeep 0"),
            ("--version", "redkeep 0"),
            ("logs", "redkeep history --follow"),
            ("logs -f", "redkeep history --follow"),
            ("backup dw-prod", "redkeep take"),
            ("create snapshot", "redkeep take"),
            (
                "create-cluster-snapshot --cluster-identifier dw",
                "redkeep take",
            ),
            ("describe-cluster-snapshots", "redkeep snapshots"),
            ("describe-snapshot-schedules", "redkeep plan"),
            ("delete snapshot x", "redkeep prune"),
            ("delete-cluster-snapshot", "redkeep prune"),
            ("forget --keep-last 3", "redkeep prune"),
            ("rm x", "redkeep prune"),
            ("restore latest", "redkeep show ID"),
            ("apply -f x.toml", "redkeep diff"),
            ("diff", "<OLD>"),
            ("top", "redkeep status"),
            ("config view", "redkeep check"),
            ("completion bash", "redkeep completions"),
            ("auth can-i", "redkeep doctor"),
            ("init", "redkeep check"),
            ("suspend nightly", "redkeep pause"),
            ("enable nightly", "redkeep resume"),
            ("keep x", "redkeep hold"),
            ("why dw", "redkeep explain"),
            ("status --json", "-o json"),
            ("plan -o json", "scheduled_at"),
            ("plan -o wide", "SNAPSHOT ID"),
            ("plan --limit 1", "nightly"),
            ("plan -n 1 --no-color", "--color never"),
            ("histroy", "history"),
            ("help plan", "Usage: redkeep plan"),
        ],
    );
}

#[test]
fn lines_of_systemctl_borg_and_kopia_and_options_of_others_are_understood_too() {
    let file = file("habits", FILE);
    understands(
        &file,
        &[
            ("notify ops", "redkeep notify --test ops"),
            ("history --since -1h", "--since 1h"),
            ("history --since=-1h", "no history"),
            ("report --since -7d", "--since 7d"),
            ("plan --days 3", "redkeep plan --until 3d"),
            ("plan --days=3", "redkeep plan --until 3d"),
            ("history --days 3", "redkeep history --since 3d"),
            ("report --days 30", "redkeep report --since 30d"),
            ("get policy nightly", "redkeep status"),
            ("describe policy nightly", "redkeep status --policy nightly"),
            ("describe cluster dw-prod", "redkeep explain dw-prod"),
            ("logs --tail 10", "redkeep history"),
            ("rollout restart", "systemctl restart redkeep"),
            ("start", "systemctl restart redkeep"),
            ("reload", "systemctl reload redkeep"),
            ("is-active", "redkeep status"),
            ("is-active nightly", "redkeep status"),
            ("list-units", "redkeep status"),
            ("cat", "redkeep check"),
            ("show-config", "redkeep check"),
            ("mask nightly", "redkeep pause"),
            ("snapshot create", "redkeep take"),
            ("snapshot list", "redkeep snapshots"),
            ("snapshot delete x", "redkeep prune"),
            ("policy list", "redkeep status"),
            ("policy set nightly", "redkeep check"),
            ("maintenance run", "redkeep prune"),
            ("verify", "redkeep doctor"),
            ("repository status", "redkeep doctor"),
            ("repo info", "redkeep doctor"),
            ("stats", "redkeep status"),
            ("compact", "redkeep prune"),
            ("break-lock", "a lock needs no command"),
            ("extract x", "redkeep show ID"),
            ("modify-cluster-snapshot x", "redkeep hold ID"),
            ("resume-cluster dw", "aws redshift resume-cluster"),
            ("pause-cluster dw", "aws redshift pause-cluster"),
            ("wait snapshot-available", "redkeep take"),
            ("take dw-prod", "--cluster dw-prod"),
            ("history --failed", "redkeep history --state failed"),
        ],
    );
}

/// Of forty lines from memory at least 38 do what is meant, or say what to type.
fn understands(file: &str, lines: &[(&str, &str); 40]) {
    let understood = lines.iter().filter(|(line, wanted)| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_redkeep"));
        command.env_clear().env("REDKEEP_CONFIG", file);
        let output = finish(command.args(&words));
        let (out, err) = told(&output);
        let is_understood = out.contains(wanted) || err.contains(wanted);
        if !is_understood {
            eprintln!("not understood: {line}\n{out}{err}");
        }
        is_understood
    });
    let understood = understood.count();
    assert!(understood >= 38, "{understood} of 40");
}

#[test]
fn check_tells_editors_the_place_of_each_error() {
    let text = FILE.replace("retention = \"7d\"", "retention = \"7x\"\nretentoin = 1");
    let file = file("places", &text);
    let output = redkeep(&["check", &file, "--output", "json"]);
    assert_eq!(output.status.code(), Some(78));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let at = |row: &Value| (row["line"].as_u64(), row["column"].as_u64());
    assert_eq!(
        rows.iter().map(at).collect::<Vec<_>>(),
        [(Some(11), Some(13)), (Some(12), Some(1))]
    );
    assert!(
        rows.iter()
            .all(|row| row["severity"] == "error" && row["file"] == file.as_str())
    );
    assert!(
        rows[1]["hint"].as_str().unwrap().contains("retention"),
        "{rows:#?}"
    );
    assert_eq!(told(&output).1, "");
    let fine = redkeep(&["check", "-o", "json", "--config", &self::file("fine", FILE)]);
    assert_eq!(fine.status.code(), Some(0));
    assert_eq!(told(&fine).0, "[]\n");
}

#[test]
fn diff_tells_which_slots_come_and_go_and_what_follows() {
    let old = file("old", FILE);
    let new = FILE
        .replace("30 2 * * *", "30 2,14 * * *")
        .replace("\"7d\"", "\"14d\"\nguard = false\nkeep_last = 5");
    let new = file("new", &new);
    let same = redkeep(&["diff", &old, &old]);
    assert_eq!((same.status.code(), told(&same).0.as_str()), (Some(0), ""));
    let output = redkeep(&["diff", &old, &new, "--days", "2", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |what: &str| {
        rows.iter()
            .filter(|row| row["what"] == what)
            .collect::<Vec<_>>()
    };
    let slots = of("slots");
    assert_eq!(slots.len(), 2, "{rows:#?}");
    assert_eq!(slots[0]["slots_added"].as_array().unwrap().len(), 2);
    assert_eq!(slots[0]["slots_removed"].as_array().unwrap().len(), 0);
    assert_eq!(
        (&of("retention")[0]["old"], &of("retention")[0]["new"]),
        (&"base 7d".into(), &"base 14d".into())
    );
    assert_eq!((of("guard").len(), of("keep_last").len()), (1, 1));
    let table = told(&redkeep(&["diff", &old, &new])).0;
    assert!(
        table.contains("7 slots come, the first") || table.contains("slots come,"),
        "{table}"
    );
    assert!(table.lines().all(|line| line.len() <= 100), "{table}");
    let bad = file("bad", "x = 1");
    assert_eq!(redkeep(&["diff", &old, &bad]).status.code(), Some(78));
}

#[test]
fn names_are_completed_from_the_file_on_the_line_and_errors_are_silent() {
    let file = file("names", FILE);
    assert_eq!(
        told(&redkeep(&["__names", "policies", "-c", &file])).0,
        "nightly\n"
    );
    assert_eq!(
        told(&redkeep(&["__names", "clusters", "-c", &file])).0,
        "dw-prod\nfinance\n"
    );
    let nothing = redkeep(&["__names", "policies", "-c", "/nonexistent"]);
    assert_eq!(nothing.status.code(), Some(0));
    assert_eq!(told(&nothing), (String::new(), String::new()));
    let (script, _) = told(&redkeep(&["completions", "bash"]));
    assert!(!script.contains("redkeep,__names"), "it is hidden");
    let sourced = scratch("named").join("redkeep.bash");
    fs::write(&sourced, script).unwrap();
    if !found("bash") {
        return;
    }
    let program = env!("CARGO_BIN_EXE_redkeep");
    let complete = |words: &str| {
        let words = format!("{program} {words}");
        let all: Vec<&str> = words.split(' ').collect();
        let (last, before) = (all.len() - 1, all[all.len() - 2]);
        let script = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={last}; _redkeep {program} {} {before}; \
             echo \"${{COMPREPLY[@]}}\"",
            sourced.display(),
            all[last]
        );
        let output = finish(Command::new("bash").env_clear().args(["-c", &script]));
        assert!(output.stderr.is_empty(), "{output:?}");
        told(&output).0.trim().to_owned()
    };
    assert_eq!(
        complete(&format!("history -c {file} --policy n")),
        "nightly"
    );
    assert_eq!(complete(&format!("--config {file} pause n")), "nightly");
    assert_eq!(complete(&format!("--config = {file} explain f")), "finance");
    assert_eq!(complete("--config /nonexistent pause n"), "");
}

#[test]
fn what_is_imported_is_a_policy_file_that_check_accepts() {
    let crontab = "30 2 * * * aws redshift create-cluster-snapshot --cluster-identifier dw-prod --region eu-west-1\n\
                   17 3 * * 1 /opt/redshift-weekly.sh\n0 5 * * * /usr/bin/true\n";
    let rules = r#"{"Rules": [{"Name": "Nightly", "Arn": "arn:aws:events:us-east-1:111122223333:rule/Nightly",
        "ScheduleExpression": "rate(12 hours)", "State": "ENABLED"},
        {"Name": "odd", "ScheduleExpression": "rate(7 hours)", "State": "ENABLED"}]}"#;
    let native = r#"{"SnapshotSchedules": [{"ScheduleIdentifier": "s", "ScheduleDefinitions": ["cron(0 3 MON)"],
        "AssociatedClusters": [{"ClusterIdentifier": "dw"}]}]}"#;
    for (kind, text, policies) in [
        ("crontab", crontab, "2 policies"),
        ("eventbridge", rules, "1 policy"),
        ("native", native, "1 policy"),
    ] {
        let from = scratch(kind).join("from");
        fs::write(&from, text).unwrap();
        let made = redkeep(&["import", kind, from.to_str().unwrap()]);
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        let policy_file = file(&format!("{kind}-made"), &told(&made).0);
        let checked = redkeep(&["check", &policy_file]);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{checked:?}\n{}",
            told(&made).0
        );
        assert!(told(&checked).0.contains(policies), "{checked:?}");
    }
    assert_eq!(
        redkeep(&["import", "native", "/nonexistent"]).status.code(),
        Some(1)
    );
}

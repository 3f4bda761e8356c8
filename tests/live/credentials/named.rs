//! What is told by its name: profiles, variables, regions, and where was looked.

use serde_json::Value;

use crate::credentials::{PRINTS, Sources, assert_plain, command, doctor, file, identity, sandbox};
use crate::support::process::Running;
use crate::support::{Daemon, Dir, EACH_TWO_SECONDS, MINUTE, eventually, finish};

/// What is wrong and what helps; between the two stands where it is.
fn says(told: &str, words: &str) -> bool {
    words.split("; ").all(|part| told.contains(part))
}

#[test]
fn a_profile_that_is_not_found_is_refused_and_no_other_identity_is_taken() {
    let sources = Sources::start();
    let text = sources.profiles(PRINTS)
        + "[profile a]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = plian\n\
           [profile b]\nrole_arn = arn:aws:iam::1:role/a\ncredential_source = Ec2InstanceMetdata\n\
           [profile c]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = x\n\
           [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://example.com/start\n\
           [profile d]\nsso_session = crop\nsso_account_id = 111122223333\nsso_role_name = x\n";
    let config = sources.dir.write("misspelt", &text).display().to_string();
    let mut environment = sources.environment();
    environment.push(("AWS_CONFIG_FILE", config.clone()));
    let cases = [
        (
            "",
            Some("plian"),
            "the profile \"plian\" is not found; did you mean \"plain\"?",
        ),
        (
            "profile = \"plian\"",
            None,
            "the profile \"plian\" is not found; did you mean \"plain\"?",
        ),
        (
            "profile = \"a\"",
            None,
            "is the source_profile of \"a\", is not found; did you mean \"plain\"?",
        ),
        (
            "profile = \"b\"",
            None,
            "did you mean \"Ec2InstanceMetadata\"?",
        ),
        (
            "profile = \"c\"",
            None,
            "SSO (IAM Identity Center), which redkeep does not support",
        ),
        ("profile = \"d\"", None, "did you mean \"corp\"?"),
    ];
    for (account, named, words) in cases {
        let mut environment = environment.clone();
        environment.extend(named.map(|name| ("AWS_PROFILE", name.to_owned())));
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let output = doctor(&sources.dir, &sources.front.url(), account, &environment);
        let (result, found) = identity(&output);
        assert_eq!(result, "failed", "{account}");
        assert!(
            says(&found, words) && found.contains(&config),
            "{account}: {found}"
        );
        let file = file(&sources.dir, &sources.front.url(), account);
        let check = finish(&mut command(&["check", "--config", &file], &environment));
        let told = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(says(&told, words), "{account}: {told}");
        // What the environment itself names is missing for certain; the service may have other files.
        assert_eq!(
            check.status.code(),
            Some(if named.is_some() { 78 } else { 0 }),
            "{told}"
        );
    }
    assert_eq!(sources.instance.asked(), [""; 0]);
    let asked = sources.sandbox.control("GET", "/_sandbox/requests", "");
    assert_eq!(asked, serde_json::json!([]));
}

#[test]
fn a_value_that_cannot_be_right_is_told_by_its_name_before_any_call() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let file = file(&dir, &sandbox.url, "");
    let keys = [
        ("AWS_ACCESS_KEY_ID", "hunter2"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "hunter2\n"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2\r\n"),
        ("AWS_SESSION_TOKEN", " hunter2"),
        ("AWS_ACCESS_KEY_ID", "\"hunter2\""),
        ("AWS_ROLE_ARN", "hunter2\n"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "hunter2\n"),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ] {
        for subcommand in ["check", "run", "doctor", "prune"] {
            let arguments = [subcommand, "--config", &file];
            let environment = [&keys[..], &[(name, value)]].concat();
            let output =
                Running::start(&mut command(&arguments, &environment)).output_within(MINUTE);
            let told = [output.stdout, output.stderr].concat();
            let told = String::from_utf8_lossy(&told).into_owned();
            assert_eq!(
                output.status.code(),
                Some(78),
                "{subcommand} {name}: {told}"
            );
            assert!(
                told.contains(name) && !told.contains("hunter2"),
                "{subcommand}: {told}"
            );
        }
    }
    let asked = sandbox.control("GET", "/_sandbox/requests", "");
    assert_eq!(asked, serde_json::json!([]));
}

#[test]
fn the_region_is_that_of_the_named_profile_and_a_wrong_one_is_named() {
    let dir = Dir::new();
    let config = dir.write(
        "aws-config",
        "[default]\nregion = us-east-1\n[profile prod]\nregion = cn-northwest-1\naws_access_key_id = a\n\
         aws_secret_access_key = s\n[profile child]\nsource_profile = prod\nrole_arn = arn:aws-cn:iam::1:role/x\n",
    );
    let config = config.display().to_string();
    let regions = |account: &str, environment: &[(&str, &str)]| {
        let text = format!("endpoint = \"http://127.0.0.1:9\"\n{account}{EACH_TWO_SECONDS}");
        let file = dir.write("regions.toml", &text).display().to_string();
        let environment = [&[("AWS_CONFIG_FILE", config.as_str())], environment].concat();
        let mut command = command(
            &[
                "plan", "--count", "1", "--output", "json", "--config", &file,
            ],
            &environment,
        );
        if !environment.iter().any(|(name, _)| *name == "AWS_REGION") {
            command.env_remove("AWS_REGION");
        }
        let output = finish(&mut command);
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        match rows[0]["region"].as_str() {
            Some(region) => region.to_owned(),
            None => String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    };
    let prod = "[[account]]\nname = \"prod\"\nprofile = \"prod\"\n";
    assert_eq!(regions(prod, &[]), "cn-northwest-1");
    assert_eq!(
        regions(&prod.replace("\"prod\"\n", "\"child\"\n"), &[]),
        "cn-northwest-1"
    );
    assert_eq!(regions("", &[]), "us-east-1");
    assert_eq!(regions("", &[("AWS_PROFILE", "prod")]), "cn-northwest-1");
    let empty = [("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "eu-west-3")];
    assert_eq!(regions("", &empty), "eu-west-3");
    for wrong in ["eu-west-1\n", "\"eu-west-1\"", "EU-WEST-1", "eu-west-1 "] {
        let told = regions("", &[("AWS_REGION", wrong)]);
        assert!(told.contains("AWS_REGION: got"), "{told}");
        assert!(told.contains("did you mean \"eu-west-1\"?"), "{told}");
    }
}

#[test]
fn where_there_are_no_credentials_one_sentence_says_where_was_looked_and_what_to_set() {
    let (dir, sandbox) = (Dir::new(), sandbox());
    let file = file(&dir, &sandbox.url, "");
    let sentence = "no AWS credentials found: none in AWS_ACCESS_KEY_ID, ";
    let policies = format!("endpoint = \"{}\"\n{EACH_TWO_SECONDS}", sandbox.url);
    let none = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    let daemon = Daemon::start_among(&dir, &policies, &none);
    eventually("it is told", MINUTE, || daemon.log().contains(sentence));
    let (config, log) = (daemon.config.display().to_string(), daemon.log());
    let line = log.lines().find(|line| line.contains(sentence)).unwrap();
    assert_plain(line);
    assert!(
        line.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        "{line}"
    );
    let metrics = daemon.metrics();
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("redkeep_aws_requests_total{")
                && line.contains("DescribeClusters\"")
                && line.contains("code=\"other\"")),
        "{metrics}"
    );
    for arguments in [
        &["doctor"][..],
        &["prune"],
        &["coverage"],
        &["explain", "dw"],
        &["report", "--since", "1d"],
    ] {
        let arguments = [arguments, &["--config", &config]].concat();
        let output = finish(&mut command(&arguments, &none));
        for line in String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).lines() {
            assert_plain(line);
        }
    }
    let output = finish(&mut command(&["doctor", "--config", &file], &none));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains(sentence), "{told}");
}

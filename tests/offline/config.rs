//! The policy file as operators meet it: what is accepted, and the exact words for what is not.
//!
//! `tests/config/good/` must load; each file of `tests/config/bad/` must give the text of the `.stderr`
//! beside it. A directory stands for its `redkeep.toml` and `conf.d/`. With `BLESS=1` the texts
//! are written anew, to be read in the diff.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what helpers unwrap is the test's own ground; its failure is the test's failure"
)]

use std::fs;
use std::path::{Path, PathBuf};

use redkeep::config::{
    Config, ConfigErrors, Endpoint, LogFormat, LogLevel, MetricsLabels, PageAccess, Sources, load,
};
use redkeep::names::Tier;
use redkeep::policy::Policy;

fn sources(file: impl Into<PathBuf>) -> Sources {
    Sources {
        file: file.into(),
        environment: Vec::new(),
        profiles: Default::default(),
    }
}

fn with_environment(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let pairs = environment.iter();
    load(&Sources {
        environment: pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..sources(file)
    })
}

/// The cases of a directory: TOML files, and directories with a `redkeep.toml`.
fn cases(directory: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| match path.extension() {
            Some(extension) => (extension == "toml").then_some(path),
            None => Some(path.join("redkeep.toml")),
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn policy<'a>(config: &'a Config, name: &str) -> &'a Policy {
    config.policy(&name.parse().unwrap()).unwrap()
}

/// Writes a file of its own for one test.
fn scratch(name: &str, bytes: &[u8]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("config")
        .join(name);
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("redkeep.toml");
    fs::write(&file, bytes).unwrap();
    file
}

fn errors_of(name: &str, bytes: &[u8]) -> String {
    let file = scratch(name, bytes);
    let errors = load(&sources(&file)).unwrap_err().to_string();
    errors.replace(file.parent().unwrap().to_str().unwrap(), "DIR")
}

#[test]
fn every_wrong_file_is_answered_with_exactly_these_words() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut different = Vec::new();
    for case in cases("tests/config/bad") {
        let got = match load(&sources(&case)) {
            Ok(_) => "loaded\n".to_owned(),
            Err(errors) => format!("{errors}\n"),
        };
        let beside = case.with_extension("stderr");
        if bless {
            fs::write(&beside, &got).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if got != expected {
            different.push(format!("{}:\n{got}--- wanted:\n{expected}", case.display()));
        }
        assert!(
            !got.contains("EXAMPLE"),
            "{}: a credential is shown:\n{got}",
            case.display()
        );
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_good_file_loads_without_a_warning() {
    let mut files = cases("tests/config/good");
    // Beside the policy files lie the rules and the dashboard, in directories of their own.
    files.extend(cases("config").into_iter().filter(|case| case.is_file()));
    for case in files {
        match load(&sources(&case)) {
            Ok(config) => assert_eq!(config.warnings, [""; 0], "{}", case.display()),
            Err(errors) => panic!("{}:\n{errors}", case.display()),
        }
    }
}

#[test]
fn the_sample_names_every_key_and_shows_the_defaults() {
    let text = fs::read_to_string("config/redkeep.toml").unwrap();
    for key in [
        "namespace",
        "state_dir",
        "history_retention",
        "listen",
        "page",
        "metrics_labels",
        "endpoint",
        "writer",
        "format",
        "level",
        "name",
        "regions",
        "snapshot_quota",
        "schedule",
        "timezone",
        "clusters",
        "cluster_tags",
        "exclude",
        "accounts",
        "retention",
        "tags",
        "jitter",
        "start_window",
        "completion_window",
        "catch_up",
        "blackout",
        "enabled",
        "duration",
    ] {
        let set = |line: &str| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{key} = "))
        };
        assert!(text.lines().any(set), "{key} is not in the sample");
    }
    let sample = load(&sources("config/redkeep.toml")).unwrap();
    let bare = load(&sources("tests/config/good/minimal.toml")).unwrap();
    assert_eq!(sample.namespace, bare.namespace);
    assert_eq!(sample.listen, bare.listen);
    assert_eq!(sample.log, bare.log);
    assert_eq!(sample.state_dir, bare.state_dir);
    let (sample, bare) = (policy(&sample, "nightly"), policy(&bare, "nightly"));
    assert_eq!(sample.jitter, bare.jitter);
    assert_eq!(sample.completion_window, bare.completion_window);
    assert_eq!(sample.catch_up, bare.catch_up);
    assert_eq!(sample.enabled, bare.enabled);
    assert_eq!(sample.schedule.timezone(), bare.schedule.timezone());
}

#[test]
fn conf_d_adds_in_the_order_of_names_and_defaults_lie_under_every_policy() {
    let config = load(&sources("tests/config/good/layers/redkeep.toml")).unwrap();
    let names: Vec<&str> = config
        .policies
        .iter()
        .map(|policy| policy.name.as_str())
        .collect();
    assert_eq!(names, ["main", "ten", "twenty"]);
    let scopes: Vec<String> = config.scopes().iter().map(ToString::to_string).collect();
    assert_eq!(
        scopes,
        ["prod/eu-central-1", "prod/us-east-1", "dev/eu-west-1"]
    );
    let ten = policy(&config, "ten");
    assert_eq!(ten.retention.of(Tier::Base).to_string(), "35d");
    let tags: Vec<String> = ten
        .tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(tags, ["cost=7", "team=ten"]);
    assert_eq!(ten.blackout[0].name, "freeze");
    assert!(policy(&config, "twenty").blackout.is_empty());
    let scopes: Vec<String> = policy(&config, "twenty")
        .scopes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(scopes, ["prod/us-east-1"]);
}

#[test]
fn the_environment_overrides_scalar_settings() {
    let config = with_environment(
        "config/demo.toml",
        &[
            ("REDKEEP_NAMESPACE", "env"),
            ("REDKEEP_LISTEN", "[::1]:0"),
            ("REDKEEP_ENDPOINT", "http://127.0.0.1:5439"),
            ("REDKEEP_WRITER", "12345"),
            ("REDKEEP_PAGE", "open"),
            ("REDKEEP_METRICS_LABELS", "scope"),
            ("REDKEEP_LOG__LEVEL", "debug"),
            ("REDKEEP_LOG__FORMAT", "json"),
            ("REDKEEP_DEFAULTS__CATCH_UP", "false"),
            ("REDKEEP_DEFAULTS__JITTER", "5s"),
            ("REDKEEP_CONFIG", "x"),
            ("REDKEEP_REQUIRE_PEERS", "1"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.namespace.as_str(), "env");
    assert_eq!(config.listen.port(), 0);
    assert_eq!(config.page, PageAccess::Open);
    assert_eq!(config.metrics_labels, MetricsLabels::Scope);
    assert_eq!(
        config.endpoint,
        Endpoint::Url("http://127.0.0.1:5439".to_owned())
    );
    assert_eq!(config.writer.unwrap().as_str(), "12345");
    assert_eq!(
        (config.log.format, config.log.level),
        (LogFormat::Json, LogLevel::Debug)
    );
    assert!(
        config
            .policies
            .iter()
            .all(|policy| !policy.catch_up && policy.jitter.num_seconds() == 5)
    );
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn an_error_in_the_environment_names_the_variable() {
    let errors = with_environment(
        "config/demo.toml",
        &[
            ("REDKEEP_LISTEN", "nonsense"),
            ("REDKEEP_LOG__LEVEL", "inf"),
            ("REDKEEP_DEFAULTS__ENABLED", "yes"),
            ("REDKEEP_DEFAULTS__JITTER", "2 days"),
            ("REDKEEP_NAMESPACE", ""),
        ],
    )
    .unwrap_err();
    let wanted = [
        r#"REDKEEP_DEFAULTS__ENABLED: defaults.enabled: got "yes", wanted true or false"#,
        r#"REDKEEP_DEFAULTS__JITTER: defaults.jitter: got "2 days", wanted a duration in s, m, h, d or w such as "90s" or "4h", from 0s to 24h"#,
        r#"REDKEEP_LISTEN: listen: got "nonsense", wanted an address and port such as "127.0.0.1:9835""#,
        r#"REDKEEP_LOG__LEVEL: log.level: got "inf", wanted one of error, warn, info, debug, trace; did you mean "info"?"#,
        r#"REDKEEP_NAMESPACE: namespace: got "", wanted a namespace: at most 32 lower-case letters, digits and single hyphens, first a letter"#,
    ];
    assert_eq!(errors.to_string(), wanted.join("\n"));
}

#[test]
fn what_is_suspicious_is_a_warning() {
    let config = with_environment(
        "config/demo.toml",
        &[
            ("REDKEEP_LISTN", "x"),
            ("REDKEEP_POLICY__0__NAME", "x"),
            ("REDKEEP_LISTEN", "0.0.0.0:9835"),
        ],
    )
    .unwrap();
    assert_eq!(
        config.warnings,
        [
            r#"REDKEEP_LISTN: names no setting; did you mean "REDKEEP_LISTEN"?"#,
            "REDKEEP_POLICY__0__NAME: names no setting",
            "REDKEEP_LISTEN: listen: 0.0.0.0:9835 can be reached from other hosts, and nothing asks them who they are",
        ]
    );
    let empty = scratch("empty", b"endpoint = \"sandbox\"\n");
    let config = load(&sources(&empty)).unwrap();
    assert_eq!(
        config.warnings,
        [format!(
            "{}: there is no [[policy]], so no snapshot will be taken",
            empty.display()
        )]
    );
}

/// The warnings of a policy file with these lines after the account's.
fn warnings_of(name: &str, account: &str, policy: &str) -> Vec<String> {
    let text = format!(
        "endpoint = \"aws\"\n[[account]]\nname = \"prod\"\n{account}\n[[policy]]\nname = \"p\"\nclusters = [\"dw\"]\n\
         retention = \"35d\"\n{policy}\n"
    );
    let file = scratch(name, text.as_bytes());
    let warnings = load(&sources(&file)).unwrap().warnings;
    let place = file.display().to_string();
    warnings
        .iter()
        .map(|warning| warning.replace(&place, "FILE"))
        .collect()
}

#[test]
fn a_region_that_nobody_knows_an_rpo_below_the_interval_and_two_day_fields_are_doubted() {
    let nightly = "schedule = \"30 2 * * *\"";
    let regions = |regions: &str| warnings_of("regions", &format!("regions = {regions}"), nightly);
    assert_eq!(
        regions("[\"eu-centrl-1\", \"eu-central-1\", \"zz-new-1\"]"),
        [
            r#"FILE:4:12: account "prod": regions[1]: AWS is not known to have a region "eu-centrl-1"; did you mean "eu-central-1"?"#,
            r#"FILE:4:43: account "prod": regions[3]: AWS is not known to have a region "zz-new-1""#,
        ]
    );
    let known = "regions = [\"cn-north-1\"]";
    let rpo = |schedule: &str, rpo: &str| {
        let policy = format!("schedule = \"{schedule}\"\nrpo = \"{rpo}\"");
        warnings_of("rpo", known, &policy)
    };
    assert_eq!(
        rpo("30 2 * * *", "1h"),
        [
            r#"FILE:10:7: policy "p": rpo: got "1h", and up to 1day lie between two slots: the alarm comes though no slot fails; wanted that, and the time that a snapshot takes"#
        ]
    );
    assert_eq!(rpo("30 2 * * *", "26h"), [""; 0]);
    assert_eq!(rpo("30 2 * * 1-5", "26h").len(), 1, "a weekend is longer");
    let days =
        |expression: &str| warnings_of("days", known, &format!("schedule = \"{expression}\""));
    assert_eq!(
        days("0 0 1-7 * MON"),
        [
            r#"FILE:9:12: policy "p": schedule: either day field counts: due on day 1-7 of the month, and on every MON as well; for the one MON among them, write `*` and `MON#1`"#
        ]
    );
    assert_eq!(days("0 0 13 * FRI").len(), 1);
    for fine in ["0 0 1-7 * *", "0 0 ? * MON", "0 0 * * MON#1", "0 0 1 * ?"] {
        assert_eq!(days(fine), [""; 0], "{fine}");
    }
}

#[test]
fn the_state_directory_is_systemds_or_relative_to_the_file() {
    let at = |file: &str, environment: &[(&str, &str)]| {
        with_environment(file, environment).unwrap().state_dir
    };
    let minimal = "tests/config/good/minimal.toml";
    assert_eq!(
        at("config/demo.toml", &[("STATE_DIRECTORY", "/x")]),
        Path::new("config/../target/demo")
    );
    assert_eq!(at(minimal, &[]), Path::new("/var/lib/redkeep"));
    assert_eq!(
        at(minimal, &[("STATE_DIRECTORY", "/a:/b")]),
        Path::new("/a")
    );
    assert_eq!(
        at(minimal, &[("STATE_DIRECTORY", "")]),
        Path::new("/var/lib/redkeep")
    );
    assert_eq!(
        at(
            minimal,
            &[("REDKEEP_STATE_DIR", "/c"), ("STATE_DIRECTORY", "/a")]
        ),
        Path::new("/c")
    );
}

#[test]
fn the_ambient_region_fills_in_for_an_account_without_regions() {
    let file = scratch(
        "ambient",
        b"[[policy]]\nname = \"p\"\nschedule = \"@daily\"\nclusters = [\"*\"]\nretention = \"1d\"\n",
    );
    let config = load(&Sources {
        environment: vec![("AWS_REGION".to_owned(), "eu-west-3".to_owned())],
        ..sources(&file)
    })
    .unwrap();
    assert_eq!(
        config.policies[0].scopes[0].to_string(),
        "default/eu-west-3"
    );
    let errors = load(&sources(&file)).unwrap_err().to_string();
    assert!(errors.ends_with(
        "redkeep.toml: regions: missing, wanted a list of AWS regions in an [[account]], AWS_REGION in the environment, or `region` in its AWS profile"
    ), "{errors}");
    let elsewhere = scratch("elsewhere", b"endpoint = \"sandbox\"\n");
    let config = load(&sources(&elsewhere)).unwrap();
    assert_eq!(config.scopes()[0].to_string(), "default/us-east-1");
}

#[test]
fn what_cannot_be_read_is_said_with_its_path() {
    let missing = load(&sources("tests/config/no-such.toml"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        missing,
        "tests/config/no-such.toml: there is no such file; name the policy file with --config or REDKEEP_CONFIG"
    );
    let directory = load(&sources("tests/config")).unwrap_err().to_string();
    assert_eq!(
        directory,
        "tests/config: this is a directory, wanted a TOML file"
    );
    let latin1 = errors_of("latin1", b"namespace = \"\xe4\"\n");
    assert!(
        latin1.starts_with("DIR/redkeep.toml: not UTF-8: "),
        "{latin1}"
    );
    let endless = load(&sources("/dev/zero")).unwrap_err().to_string();
    assert_eq!(
        endless,
        "/dev/zero: more than 4 MiB, which is no policy file"
    );
}

#[test]
fn no_text_overflows_the_stack_or_breaks_a_line() {
    let deep = [
        "[".repeat(1 << 20),
        format!("namespace = {}", "[".repeat(1 << 20)),
        format!("namespace = {}", "{a=".repeat(1 << 18)),
        format!("{}a = 1", "a.".repeat(1 << 19)),
        format!("[{}a]\nb = 1\n", "a.".repeat(70)),
        format!("namespace = \"{}\"\n", "x\u{202e}".repeat(1 << 18)),
        "namespace = \"\\n\\u0000\\u001b[31m\"\n".to_owned(),
        format!("\"{}\" = 1\n", "k".repeat(1 << 20)),
    ];
    for (index, text) in deep.iter().enumerate() {
        let errors = errors_of(&format!("deep-{index}"), text.as_bytes());
        assert!(errors.len() < 1_000, "{index}: {} bytes", errors.len());
        assert!(
            errors.lines().all(|line| line.starts_with("DIR/")),
            "{index}: {errors}"
        );
        assert!(
            !errors.contains(['\u{1b}', '\u{202e}', '\0']),
            "{index}: {errors:?}"
        );
    }
}

#[test]
fn a_thousand_mistakes_are_all_told() {
    let policy = |index: usize| {
        format!(
            "[[policy]]\nname = \"p{index}\"\nschedule = \"@daily\"\nclusters = [1, 2, \"*\"]\nretention = 5\nextra = 1\n"
        )
    };
    let text: String = (0..500).map(policy).collect();
    let errors = errors_of(
        "thousand",
        format!("endpoint = \"sandbox\"\n{text}").as_bytes(),
    );
    assert_eq!(errors.lines().count(), 2_000);
}

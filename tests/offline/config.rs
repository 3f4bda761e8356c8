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

mod doubts;
mod unreadable;

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
            Ok(config) => assert_eq!(warnings(&config), [""; 0], "{}", case.display()),
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
    assert_eq!(config.writer.as_ref().unwrap().as_str(), "12345");
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
    assert_eq!(warnings(&config), [""; 0]);
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
        r#"REDKEEP_NAMESPACE: namespace: got "", wanted a namespace: at most 32 lower-case letters, digits and single hyphens, starting with a letter"#,
    ];
    assert_eq!(errors.to_string(), wanted.join("\n"));
}

/// The warnings as people read them.
fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn what_helps_is_told_apart_from_what_is_wrong() {
    let text = "endpoint = \"sandbox\"\nlistn = \"x\"\n[[policy]]\nname = \"a; b\"\nschedule = \"* * *\"\n\
                clusters = [\"dw\"]\nretention = \"7d\"\n";
    let errors = load(&sources(scratch("hints", text.as_bytes()))).unwrap_err();
    let told: Vec<(&str, Option<&str>)> = { errors.iter() }
        .map(|error| {
            (
                error.problem().text.as_str(),
                error.problem().hint.as_deref(),
            )
        })
        .collect();
    let wanted = "got \"a; b\", wanted ";
    assert_eq!(told.len(), 3, "{errors}");
    assert_eq!(
        told[0],
        ("unknown key \"listn\"", Some("did you mean \"listen\"?"))
    );
    // A semicolon in a value is no beginning of a hint.
    assert!(told[1].0.contains(wanted), "{errors}");
    assert_eq!(told[1].1, None);
    assert!(told[2].0.ends_with("`* * *` has 3 fields"), "{errors}");
    assert!(
        told[2].1.is_some_and(|hint| hint.starts_with("write five")),
        "{errors}"
    );
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

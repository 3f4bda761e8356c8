//! The alert rules: that they are valid, that each is tested to fire and not to fire, and that each has its place in the
//! runbook.

use std::collections::BTreeSet;
use std::path::Path;

use crate::prometheus::exported::{exported, metrics_in};
use crate::prometheus::{ROOT, RULES, assert_success, promtool, read, told};
use crate::support::Dir;

const TESTS: [&str; 2] = ["rules.test.yml", "hours.test.yml"];

/// An alert as the file of rules has it.
pub struct Alert {
    pub name: String,
    /// Its lines, from its name to the next alert.
    pub text: String,
}

impl Alert {
    /// The lines of its expression.
    fn expr(&self) -> String {
        let (_, rest) = self.text.split_once("expr: |\n").unwrap();
        let lines = rest
            .lines()
            .take_while(|line| line.starts_with("          "));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// The rules with another expression for this alert.
    fn with_expr(&self, rules: &str, expr: &str) -> String {
        let changed = self
            .text
            .replace(&self.expr(), &format!("          {expr}\n"));
        let rules = rules.replace(&self.text, &changed);
        assert!(rules.contains(expr), "{}", self.name);
        rules
    }
}

pub fn alerts() -> Vec<Alert> {
    const BEGINNING: &str = "      - alert: ";
    let rules = read(RULES);
    let alerts: Vec<Alert> = rules
        .split(BEGINNING)
        .skip(1)
        .map(|text| Alert {
            name: text.lines().next().unwrap().to_owned(),
            text: format!("{BEGINNING}{text}"),
        })
        .collect();
    assert!(alerts.len() >= 12, "found {} alerts", alerts.len());
    alerts
}

#[test]
fn the_rules_are_valid_and_lint_finds_nothing() {
    let Some(promtool) = promtool() else { return };
    let arguments = ["check", "rules", "--lint=all", "--lint-fatal", RULES];
    assert_success(&told(&promtool, &arguments, ""));
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let Some(promtool) = promtool() else { return };
    let tests = TESTS.map(|name| format!("tests/prometheus/{name}"));
    let arguments = ["test", "rules", &tests[0], &tests[1]];
    assert_success(&told(&promtool, &arguments, ""));
}

/// What Prometheus has of an instance that stands by beside the one that a test is about.
const STANDS_BY: &str = "    input_series:
      - series: 'up{job=\"redkeep\",instance=\"stands-by\"}'
        values: '1x20000'
      - series: 'redkeep_leader{job=\"redkeep\",instance=\"stands-by\"}'
        values: '0x20000'
      - series: 'redkeep_lease_epoch{job=\"redkeep\",instance=\"stands-by\",shard=\"all\"}'
        values: '1x20000'
      - series: 'redkeep_database_up{job=\"redkeep\",instance=\"stands-by\",shard=\"all\"}'
        values: '1x20000'
      - series: 'redkeep_instances{job=\"redkeep\",instance=\"stands-by\"}'
        values: '2x20000'
      - series: 'redkeep_instances_configured_otherwise{job=\"redkeep\",instance=\"stands-by\"}'
        values: '0x20000'
      - series: 'redkeep_config_last_reload_successful{job=\"redkeep\",instance=\"stands-by\"}'
        values: '1x20000'
";

/// What another instance keeps from firing: there is one then.
const ABOUT_THE_LAST: &str = "RedkeepDown";

#[test]
fn every_alert_fires_as_well_where_another_instance_stands_by() {
    let Some(promtool) = promtool() else { return };
    const BEGINNING: &str = "  - name: ";
    let dir = Dir::new();
    let files = TESTS.map(|name| {
        let text = read(&format!("tests/prometheus/{name}"));
        let (head, tests) = text.split_once(BEGINNING).unwrap();
        let rules = Path::new(ROOT).join(RULES);
        let mut beside = head.replace(&format!("../../{RULES}"), rules.to_str().unwrap());
        for test in tests.split(BEGINNING) {
            if !test.contains(ABOUT_THE_LAST) {
                let with = test.replacen("    input_series:\n", STANDS_BY, 1);
                assert_ne!(with, test);
                beside = format!("{beside}{BEGINNING}{with}");
            }
        }
        dir.write(name, &beside)
    });
    let files = files.each_ref().map(|file| file.to_str().unwrap());
    assert_success(&told(&promtool, &["test", "rules", files[0], files[1]], ""));
}

/// The tests of one alert alone, for rules that lie beside them.
fn tests_of(alert: &Alert) -> String {
    const BEGINNING: &str = "  - name: ";
    let mut own = String::new();
    for file in TESTS {
        let text = read(&format!("tests/prometheus/{file}"));
        let (head, _) = text.split_once(BEGINNING).unwrap();
        let wanted = format!("{} ", alert.name);
        let mut found = text
            .split(BEGINNING)
            .skip(1)
            .filter(|test| test.starts_with(&wanted))
            .peekable();
        if found.peek().is_some() {
            own = head.replace(&format!("../../{RULES}"), "rules.yml");
        }
        for test in found {
            own = format!("{own}{BEGINNING}{test}");
        }
    }
    assert!(!own.is_empty(), "{} has no test", alert.name);
    own
}

#[test]
fn the_tests_of_each_alert_notice_when_it_always_fires_and_when_it_never_does() {
    let Some(promtool) = promtool() else { return };
    let rules = read(RULES);
    for alert in alerts() {
        let dir = Dir::new();
        let file = dir.write("own.test.yml", &tests_of(&alert));
        let passes = |rules: &str| {
            dir.write("rules.yml", rules);
            let arguments = ["test", "rules", file.to_str().unwrap()];
            told(&promtool, &arguments, "").status.success()
        };
        assert!(passes(&rules), "{}", alert.name);
        let always = alert.with_expr(&rules, "vector(1)");
        let never = alert.with_expr(&rules, "vector(1) > 2");
        assert!(!passes(&always), "{} may always fire", alert.name);
        assert!(!passes(&never), "{} may never fire", alert.name);
    }
}

#[test]
fn every_alert_uses_metrics_that_there_are() {
    let exported = exported();
    for alert in alerts() {
        let unknown: BTreeSet<_> = &metrics_in(&alert.expr()) - &exported;
        assert!(unknown.is_empty(), "{}: {unknown:?}", alert.name);
    }
}

#[test]
fn every_alert_has_its_section_in_the_runbook_and_every_section_its_alert() {
    let runbook = read("docs/runbook.md");
    let sections: BTreeSet<&str> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## Redkeep").map(|_| &line[3..]))
        .collect();
    let alerts = alerts();
    let names: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(sections, names);
    for alert in &alerts {
        let anchor = alert.name.to_lowercase();
        let link = format!("runbook_url: docs/runbook.md#{anchor}\n");
        assert!(alert.text.contains(&link), "{}", alert.name);
        for wanted in ["severity: ", "summary: ", "description: "] {
            assert!(alert.text.contains(wanted), "{}: {wanted}", alert.name);
        }
    }
    assert!(Path::new(ROOT).join("docs/runbook.md").exists());
}

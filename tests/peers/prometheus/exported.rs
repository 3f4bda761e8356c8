//! Which metrics there are: those of the golden exposition and of the page about them.

use std::collections::BTreeSet;

use crate::prometheus::read;

/// What Prometheus itself adds.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];

/// Every name under which a scrape has samples.
pub fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in read("tests/golden/metrics.txt").lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            add(&mut names, rest);
        }
    }
    for line in read("docs/metrics.md").lines() {
        if let Some((name, rest)) = line
            .strip_prefix("| `")
            .and_then(|line| line.split_once("` | "))
            .filter(|(name, _)| !name.contains('`'))
        {
            add(&mut names, &format!("{name} {rest}"));
        }
    }
    names.extend(OF_PROMETHEUS.map(str::to_owned));
    assert!(names.len() > 20, "{names:?}");
    names
}

fn add(names: &mut BTreeSet<String>, described: &str) {
    let mut words = described.split_whitespace();
    let (name, kind) = (words.next().unwrap(), words.next().unwrap_or_default());
    if kind == "histogram" {
        names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
    } else {
        names.insert(name.to_owned());
    }
}

/// The names of metrics in PromQL, as far as they are redkeep's, the process's or Prometheus's own.
pub fn metrics_in(promql: &str) -> BTreeSet<String> {
    promql
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter(|word| {
            let ours = ["redkeep_", "process_"];
            ours.iter().any(|prefix| word.starts_with(prefix)) || OF_PROMETHEUS.contains(word)
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_metric_is_found_in_promql_and_an_unknown_one_is_not_exported() {
    let found =
        metrics_in(r#"rate(redkeep_runs_total{job="x"}[5m]) > on (job) redkeep_no_such_thing"#);
    let wanted = ["redkeep_no_such_thing", "redkeep_runs_total"];
    assert!(found.iter().eq(&wanted));
    assert!(exported().contains("redkeep_runs_total"));
    assert!(!exported().contains("redkeep_no_such_thing"));
}

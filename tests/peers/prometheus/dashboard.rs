//! The dashboard: that its queries parse and ask for metrics that there are, and that Grafana can lay it out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::prometheus::exported::{exported, metrics_in};
use crate::prometheus::{DASHBOARD, assert_success, promtool, read, told};
use crate::support::Dir;

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// The panels that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row")
}

/// Every query with where it stands, as Grafana would send it.
pub fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            let filled = expr.replace("$__rate_interval", "5m");
            let filled = ["job", "instance", "account", "region", "policy", "cluster"]
                .iter()
                .fold(filled, |query, name| {
                    query.replace(&format!("\"${name}\""), "\".+\"")
                });
            assert!(!filled.contains('$'), "{filled}");
            queries.push((panel["title"].as_str().unwrap().to_owned(), filled));
        }
    }
    assert!(queries.len() > 20, "found {} queries", queries.len());
    queries
}

#[test]
fn every_query_of_the_dashboard_is_promql() {
    let Some(promtool) = promtool() else { return };
    let dir = Dir::new();
    let judged = |queries: &[(String, String)]| {
        let rules: Vec<Value> = (0..)
            .zip(queries)
            .map(|(index, (_, query))| json!({"record": format!("query_{index}"), "expr": query}))
            .collect();
        // JSON is YAML.
        let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
        let file = dir.write("queries.yml", &groups.to_string());
        told(&promtool, &["check", "rules", file.to_str().unwrap()], "")
    };
    let mut queries = queries();
    assert_success(&judged(&queries));
    queries[0].1.push(')');
    assert!(!judged(&queries).status.success());
}

#[test]
fn every_query_of_the_dashboard_and_its_variables_use_metrics_that_there_are() {
    let exported = exported();
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables = variables.iter().filter_map(|variable| {
        let query = variable["query"]["query"].as_str()?;
        Some((variable["name"].to_string(), query.to_owned()))
    });
    for (place, query) in queries().into_iter().chain(variables) {
        let used = metrics_in(&query);
        assert!(!used.is_empty(), "{place}: {query}");
        let unknown: BTreeSet<_> = &used - &exported;
        assert!(unknown.is_empty(), "{place}: {unknown:?}");
    }
}

#[test]
fn every_metric_of_redkeeps_is_in_the_dashboard_or_tells_nothing_over_time() {
    let shown: BTreeSet<String> = queries()
        .iter()
        .flat_map(|(_, query)| metrics_in(query))
        .collect();
    let told_otherwise = [
        "redkeep_config_last_reload_success_timestamp_seconds",
        "redkeep_tzdb_info",
        "_sum",
        "_count",
    ];
    let missing: Vec<String> = exported()
        .into_iter()
        .filter(|name| name.starts_with("redkeep_") && !shown.contains(name))
        .filter(|name| !told_otherwise.iter().any(|suffix| name.ends_with(suffix)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_panel_says_what_it_shows_and_none_lies_on_another() {
    let dashboard = dashboard();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(panel["description"].as_str().unwrap().len() > 10, "{title}");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{title}");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(taken.insert((x, y)), "{title} at {x}, {y}");
            }
        }
    }
    let first = &dashboard["panels"][0];
    assert_eq!(first["title"], "Protection", "protection comes first");
}

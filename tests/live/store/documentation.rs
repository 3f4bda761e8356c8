//! docs/database.md tells the truth: its queries run, and every column is in it.

use redkeep::history::Change;
use redkeep::run::{GoneReason, Outcome, RunState};

use crate::store::sample::{Place, gone, missed_range, outcomes, pair, pair_state, run};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/database.md"));

async fn filled() -> Place {
    let place = Place::new();
    let mut changes = vec![
        Change::Pair(pair("dw"), pair_state()),
        Change::Missed(missed_range("dw", -90_000, 200)),
    ];
    for (n, outcome) in (0..).zip(outcomes()) {
        changes.push(Change::Run(Box::new(run(
            "dw",
            n * 60,
            RunState::Ended(outcome),
        ))));
    }
    let mut expired = run("dw", 9000, RunState::Ended(Outcome::Available));
    expired.gone = gone(10_000, GoneReason::Expired);
    changes.push(Change::Run(Box::new(expired)));
    changes.push(Change::Run(Box::new(run("dw", 12_000, RunState::Due))));
    place.open().store.commit(changes).await.unwrap();
    place
}

#[tokio::test]
async fn every_query_of_the_page_runs_and_finds_something() {
    let place = filled().await;
    let queries: Vec<&str> = PAGE
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(queries.len() >= 3, "found {} queries", queries.len());
    let shell = place.shell();
    for query in queries {
        let mut statement = shell
            .prepare(query)
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        assert!(statement.exists([]).unwrap(), "nothing found by {query}");
    }
}

#[tokio::test]
async fn every_table_and_column_is_on_the_page() {
    let place = filled().await;
    let shell = place.shell();
    let mut statement = shell
        .prepare(
            "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_xinfo(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let columns = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    for column in columns {
        let (table, column): (String, String) = column.unwrap();
        let section = PAGE
            .split(&format!("## `{table}`"))
            .nth(1)
            .and_then(|rest| rest.split("\n## ").next())
            .unwrap_or_else(|| panic!("table {table} is missing"));
        assert!(
            section.contains(&format!("`{column}`")),
            "column {table}.{column} is missing"
        );
    }
}

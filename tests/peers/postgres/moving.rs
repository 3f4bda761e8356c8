//! A history that moves into a database and back, and what refuses to move.

use std::fs;

use crate::support::{Daemon, Dir, MINUTE, Sandbox, in_state, often, redkeep};

use super::server::postgres;

fn json(config: &std::path::Path) -> String {
    let config = config.to_str().unwrap();
    let output = redkeep(&["history", "--output", "json", "--config", config]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_history_moves_there_and_back_byte_for_byte_and_only_one_side_is_used() {
    let Some(postgres) = postgres() else { return };
    let (dir, database) = (Dir::new(), postgres.database());
    let sandbox = Sandbox::of(&["dw"]);
    let mut daemon = Daemon::start(&dir, &sandbox.url, &often("*/2 * * * * *", "dw"));
    daemon.wait("five snapshots", MINUTE, |rows| {
        in_state(rows, "available").count() >= 5
    });
    let paused = redkeep(&[
        "pause",
        "often",
        "--config",
        daemon.config.to_str().unwrap(),
    ]);
    assert!(paused.status.success());
    daemon.process.signal("-TERM");
    assert_eq!(daemon.process.exit_code(MINUTE), Some(0));
    let before = json(&daemon.config);

    let text = fs::read_to_string(&daemon.config).unwrap();
    let shared = text.replace(
        "[[policy]]",
        &format!("[database]\nurl = \"{}\"\n[[policy]]", database.url()),
    );
    let with_database = dir.write("shared.toml", &shared);
    let migrate = |to: &str| {
        redkeep(&[
            "migrate",
            "--to",
            to,
            "--config",
            with_database.to_str().unwrap(),
        ])
    };
    let run = |config: &std::path::Path| redkeep(&["run", "--config", config.to_str().unwrap()]);

    let early = run(&with_database);
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert_eq!(early.status.code(), Some(78), "{said}");
    assert!(said.contains("redkeep migrate --to postgres"), "{said}");

    let moved = migrate("postgres");
    assert!(
        moved.status.success(),
        "{}",
        String::from_utf8_lossy(&moved.stderr)
    );
    assert_eq!(json(&with_database), before);
    let left = run(&daemon.config);
    let said = String::from_utf8_lossy(&left.stderr).into_owned();
    assert_eq!(left.status.code(), Some(78), "{said}");
    let again = migrate("postgres");
    assert!(!again.status.success(), "it was moved already");

    let back = migrate("sqlite");
    assert!(
        back.status.success(),
        "{}",
        String::from_utf8_lossy(&back.stderr)
    );
    assert_eq!(json(&daemon.config), before);
    let left = run(&with_database);
    assert_eq!(
        left.status.code(),
        Some(78),
        "{}",
        String::from_utf8_lossy(&left.stderr)
    );
    // And there once more: what was left in the database is no other history.
    let moved = migrate("postgres");
    assert!(
        moved.status.success(),
        "{}",
        String::from_utf8_lossy(&moved.stderr)
    );
}

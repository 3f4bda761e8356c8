//! A history that moves into a database and back, and what refuses to move.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process::Running;
use crate::support::{
    Daemon, Dir, MINUTE, REDKEEP, Sandbox, credentials, in_state, often, redkeep,
};

use super::host::until;
use super::server::{Database, postgres};

fn json(config: &Path) -> String {
    let config = config.to_str().unwrap();
    let output = redkeep(&["history", "--output", "json", "--config", config]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A history in a file, which moves into a database.
struct Move {
    dir: Dir,
    database: Database,
    /// The policy file of the history in a file.
    own: PathBuf,
    /// The one with the database, as a text and as a file.
    text: String,
    shared: PathBuf,
    /// What `history` says of it.
    before: String,
}

impl Move {
    /// One with five snapshots, a pause, and a NUL as earlier versions have kept one.
    fn prepare(database: Database) -> Self {
        let (dir, sandbox) = (Dir::new(), Sandbox::of(&["dw"]));
        let mut daemon = Daemon::start(&dir, &sandbox.url, &often("*/2 * * * * *", "dw"));
        daemon.wait("five snapshots", MINUTE, |rows| {
            in_state(rows, "available").count() >= 5
        });
        let own = daemon.config.clone();
        let paused = redkeep(&["pause", "often", "--config", own.to_str().unwrap()]);
        assert!(paused.status.success());
        daemon.process.signal("-TERM");
        assert_eq!(daemon.process.exit_code(MINUTE), Some(0));
        let history = rusqlite::Connection::open(own.with_file_name("state/history.db")).unwrap();
        let triggers = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        history.set_db_config(triggers, false).unwrap();
        let with_nul = "UPDATE runs SET message = 'a' || char(0) || 'b' WHERE rowid = 1";
        assert_eq!(history.execute(with_nul, []).unwrap(), 1);
        // The name of the schema is one of SQL's own words.
        let table = format!(
            "[database]\nurl = \"{}\"\nschema = \"table\"\n[[policy]]",
            database.url()
        );
        let text = fs::read_to_string(&own).unwrap();
        let text = text.replace("[[policy]]", &table);
        Self {
            shared: dir.write("shared.toml", &text),
            before: json(&own),
            dir,
            database,
            own,
            text,
        }
    }

    fn migrate(&self, to: &str) -> (bool, String) {
        let shared = self.shared.to_str().unwrap();
        let moved = redkeep(&["migrate", "--to", to, "--config", shared]);
        let said = String::from_utf8_lossy(&moved.stderr).into_owned();
        (moved.status.success(), said)
    }

    fn moves(&self, to: &str) {
        let (is_moved, said) = self.migrate(to);
        assert!(is_moved, "{said}");
    }

    /// Begins to move it into the database, and is cut off in the middle.
    fn begin(&self) {
        let person = self.database.person("LOCK TABLE \"table\".runs");
        let mut moving = Command::new(REDKEEP);
        let moving = credentials(&mut moving).args(["migrate", "--to", "postgres", "--config"]);
        let moving = Running::start(moving.arg(&self.shared));
        let begun = "SELECT moved_to LIKE '%has not ended' FROM \"table\".installation";
        until(&self.database, 20, begun, "t");
        drop(moving);
        person.leave();
    }
}

/// What an instance says that refuses to work.
fn refused(config: &Path) -> String {
    let refused = redkeep(&["run", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    said
}

#[test]
fn a_history_moves_there_and_back_byte_for_byte_and_only_one_side_is_used() {
    let Some(postgres) = postgres() else { return };
    let history = Move::prepare(postgres.database());
    let early = refused(&history.shared);
    assert!(early.contains("redkeep migrate --to postgres"), "{early}");

    history.moves("postgres");
    let without_nul = "SELECT count(*) FROM \"table\".runs WHERE message = 'a\u{fffd}b'";
    assert_eq!(history.database.sql(without_nul), "1");
    assert_eq!(json(&history.shared), history.before);
    refused(&history.own);
    assert!(!history.migrate("postgres").0, "it was moved already");

    history.moves("sqlite");
    assert_eq!(json(&history.own), history.before);
    refused(&history.shared);

    // There once more, and that is cut off: nobody works on what is in the database.
    history.begin();
    let elsewhere = { &history.text }.replace("state_dir = \"state\"", "state_dir = \"elsewhere\"");
    let cut_off = refused(&history.dir.write("elsewhere.toml", &elsewhere));
    assert!(cut_off.contains("the move has not ended"), "{cut_off}");
    assert_eq!(json(&history.own), history.before);
    history.moves("postgres");
    assert_eq!(json(&history.shared), history.before);
}

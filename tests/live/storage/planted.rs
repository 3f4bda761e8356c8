//! What the service's user may have put into the state directory: root neither follows nor changes it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::storage::EACH_THREE_SECONDS;
use crate::support::{Dir, MINUTE, Process, REDKEEP, Sandbox, credentials, eventually, free_port};

/// Anybody's but root's.
const SERVICE: u32 = 12_345;

struct Stage {
    dir: Dir,
    state: PathBuf,
    config: PathBuf,
    precious: PathBuf,
    _sandbox: Sandbox,
}

impl Stage {
    /// A state directory of the service's, and a file of root's that is to stay as it is; `None` where the test does
    /// not run as root, which is said.
    fn set() -> Option<Self> {
        let dir = Dir::new();
        if fs::metadata(&dir.0).unwrap().uid() != 0 {
            eprintln!("skipped: only root can give a directory to somebody else");
            return None;
        }
        let sandbox = Sandbox::of(&["dw"]);
        let state = dir.0.join("state");
        fs::create_dir(&state).unwrap();
        chown(&state, Some(SERVICE), Some(SERVICE)).unwrap();
        let precious = dir.write("precious", "precious");
        let text = format!(
            "state_dir = \"state\"\nlisten = \"127.0.0.1:{}\"\nendpoint = \"{}\"\n{EACH_THREE_SECONDS}",
            free_port(),
            sandbox.url
        );
        Some(Self {
            config: dir.write("redkeep.toml", &text),
            _sandbox: sandbox,
            dir,
            state,
            precious,
        })
    }

    fn command(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(REDKEEP);
        let log = fs::File::create(self.dir.0.join("log")).unwrap();
        let child = credentials(&mut command)
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Process(child)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.0.join("log")).unwrap()
    }

    fn assert_untouched(&self, what: &str) {
        assert_eq!(
            fs::read_to_string(&self.precious).unwrap(),
            "precious",
            "{what}"
        );
        assert_eq!(fs::metadata(&self.precious).unwrap().uid(), 0, "{what}");
    }
}

/// Plants something that leads to the first path in the place of the second.
type Plant = fn(&Path, &Path);

/// The ways in which something is planted in the place of a file.
const PLANTS: [(&str, Plant); 3] = [
    ("a symbolic link", |precious, at| {
        symlink(precious, at).unwrap()
    }),
    ("a hard link", |precious, at| {
        fs::hard_link(precious, at).unwrap()
    }),
    ("a pipe", |_, at| {
        assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
    }),
];

#[test]
fn a_lock_that_is_planted_is_refused_by_every_command_of_roots_and_nothing_is_emptied() {
    let Some(stage) = Stage::set() else { return };
    let commands: [&[&str]; 3] = [
        &["run"],
        &["take", "--policy", "often", "--cluster", "dw"],
        &["pause", "often"],
    ];
    for (plant, put) in PLANTS {
        put(&stage.precious, &stage.state.join("lock"));
        for arguments in commands {
            let what = format!("{plant}: {arguments:?}");
            let code = stage.command(arguments).exit_code(Duration::from_secs(30));
            assert_eq!(code, Some(1), "{what}: {}", stage.log());
            assert!(
                stage.log().contains("cannot be used"),
                "{what}: {}",
                stage.log()
            );
            stage.assert_untouched(&what);
        }
        fs::remove_file(stage.state.join("lock")).unwrap();
    }
}

#[test]
fn what_is_planted_in_the_place_of_any_other_file_is_not_written_through() {
    let names = [
        "lock.wanted",
        "history.db",
        "history.db-wal",
        "history.db-shm",
        "history.db-journal",
        "history.copy.db",
        "history.copy.db.partial",
        "history.copy.older.db",
        "sandbox.json",
        "sandbox.json.new",
        "sandbox.address",
        "sandbox.address.new",
    ];
    let Some(stage) = Stage::set() else { return };
    let text = fs::read_to_string(&stage.config).unwrap();
    let endpoint = text
        .lines()
        .find(|line| line.starts_with("endpoint"))
        .unwrap();
    let embedded = text.replace(endpoint, "endpoint = \"sandbox\"");
    for (plant, put) in PLANTS {
        for name in names {
            let what = format!("{plant} for {name}");
            fs::write(
                &stage.config,
                if name.starts_with("sandbox") {
                    &embedded
                } else {
                    &text
                },
            )
            .unwrap();
            put(&stage.precious, &stage.state.join(name));
            // It runs or refuses; either way it does not hang, and what is root's stays.
            let mut daemon = stage.command(&["run"]);
            eventually(&what, MINUTE, || {
                let log = stage.log();
                log.contains("started") || log.contains("redkeep: ")
            });
            if stage.log().contains("started") {
                daemon.signal("-TERM");
            }
            daemon.exit_code(Duration::from_secs(30));
            stage.assert_untouched(&what);
            fs::remove_dir_all(&stage.state).unwrap();
            fs::create_dir(&stage.state).unwrap();
            chown(&stage.state, Some(SERVICE), Some(SERVICE)).unwrap();
        }
    }
}

#[test]
fn what_root_makes_in_the_services_directory_belongs_to_the_service() {
    let Some(stage) = Stage::set() else { return };
    let mut daemon = stage.command(&["run"]);
    eventually("it runs", MINUTE, || stage.log().contains("started"));
    daemon.signal("-TERM");
    assert_eq!(daemon.exit_code(Duration::from_secs(30)), Some(0));
    for entry in fs::read_dir(&stage.state).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().uid(),
            SERVICE,
            "{:?}",
            entry.path()
        );
    }
}

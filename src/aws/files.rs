//! AWS's own files, `~/.aws/config` and `~/.aws/credentials`.
//!
//! Owns: where they are, reading them, and what is said of one that cannot be read. They are read anew each time, so that
//! a mended one is taken up; the SDK, which parses them, would take one that it cannot read for an empty one. Never
//! writes, and never repeats what stands in them.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_config::profile::{ProfileSet, load};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use rustix::fs::OFlags;

use super::credentials::environment;
use crate::config::Profiles;
use crate::error_chain::with_causes;

/// A larger file is none of AWS's.
const BYTES_MAX: u64 = 4 << 20;

/// One of the files that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {why}", path.display())]
pub(super) struct Unreadable {
    path: PathBuf,
    why: String,
}

/// Which of the two files.
#[derive(Debug, Clone, Copy)]
enum Which {
    Config,
    Credentials,
}

impl Which {
    const BOTH: [Self; 2] = [Self::Config, Self::Credentials];

    /// Where it is; `None` where there is no home directory to look in. And whether somebody said so.
    fn place(self) -> Option<(PathBuf, bool)> {
        let (variable, name) = match self {
            Self::Config => ("AWS_CONFIG_FILE", "config"),
            Self::Credentials => ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        };
        let home = environment::set("HOME").map(PathBuf::from);
        match environment::set(variable) {
            Some(path) => Some(match (path.strip_prefix("~/"), home) {
                (Some(below), Some(home)) => (home.join(below), true),
                _ => (path.into(), true),
            }),
            None => home.map(|home| (home.join(".aws").join(name), false)),
        }
    }

    /// For the SDK's parser, with the other file empty.
    fn parsed_from(self, text: &str) -> EnvConfigFiles {
        match self {
            Self::Config => files(text, ""),
            Self::Credentials => files("", text),
        }
    }
}

/// Both files as one, and as the SDK's loader takes them.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) profiles: ProfileSet,
    pub(super) texts: EnvConfigFiles,
}

fn files(config: &str, credentials: &str) -> EnvConfigFiles {
    EnvConfigFiles::builder()
        .with_contents(EnvConfigFileKind::Config, config)
        .with_contents(EnvConfigFileKind::Credentials, credentials)
        .build()
}

/// Reads both; one that is not there is empty.
pub(super) async fn read() -> Result<Files, Unreadable> {
    let mut texts = [String::new(), String::new()];
    for (which, text) in Which::BOTH.into_iter().zip(&mut texts) {
        let Some((path, is_named)) = which.place() else {
            continue;
        };
        *text = read_one(&path, is_named).map_err(|why| Unreadable {
            path: path.clone(),
            why,
        })?;
        parse(which.parsed_from(text))
            .await
            .map_err(|why| Unreadable {
                path: path.clone(),
                why,
            })?;
    }
    let texts = files(&texts[0], &texts[1]);
    Ok(Files {
        profiles: parse(texts.clone()).await.map_err(|why| Unreadable {
            path: places(),
            why,
        })?,
        texts,
    })
}

/// What is there in place of files that cannot be read.
pub(super) fn none() -> Files {
    Files {
        profiles: ProfileSet::default(),
        texts: files("", ""),
    }
}

/// Where the files are looked for, for people.
pub(super) fn places() -> PathBuf {
    let places = Which::BOTH.iter().filter_map(|which| which.place());
    let places: Vec<String> = places.map(|(path, _)| path.display().to_string()).collect();
    if places.is_empty() {
        return "~/.aws (HOME is not set)".into();
    }
    places.join(" and ").into()
}

fn read_one(path: &Path, is_named: bool) -> Result<String, String> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = File::options();
    // A pipe that nobody writes to ends at once.
    let opened = options.read(true).custom_flags(nonblocking).open(path);
    let mut bytes = Vec::new();
    let read = opened.and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    match read.map_err(|error| (error.kind(), error)) {
        Err((ErrorKind::NotFound | ErrorKind::NotADirectory, _)) => return Ok(String::new()),
        // A service need not be let into a home directory.
        Err((ErrorKind::PermissionDenied, _)) if !is_named => return Ok(String::new()),
        Err((_, error)) => return Err(format!("cannot be read: {error}")),
        Ok(read) if read as u64 > BYTES_MAX => {
            return Err(format!("has more than {} MiB", BYTES_MAX >> 20));
        }
        Ok(_) => {}
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not text in UTF-8".to_owned())?;
    if text.starts_with('\u{feff}') {
        return Err("begins with a byte order mark: save it as UTF-8 without one".to_owned());
    }
    Ok(text)
}

/// The error is what is wrong, and in which line.
async fn parse(files: EnvConfigFiles) -> Result<ProfileSet, String> {
    let (disk, environment) = (Default::default(), Default::default());
    let parsed = load(&disk, &environment, &files, None).await;
    parsed.map_err(|error| {
        let told = with_causes(&error);
        let (_, place) = told.split_once(" on line ").unwrap_or(("", &told));
        let words: Vec<&str> = place.split_whitespace().collect();
        format!("cannot be read: line {}", words.join(" "))
    })
}

/// What the policy file's reader wants to know of the profiles.
pub async fn profiles() -> Profiles {
    match read().await {
        Ok(Files { profiles, .. }) => Profiles {
            regions: profiles
                .profiles()
                .map(|name| (name.to_owned(), region(&profiles, name)))
                .collect(),
            trouble: None,
        },
        Err(Unreadable { path, why }) => Profiles {
            trouble: Some((path.display().to_string(), why)),
            ..Profiles::default()
        },
    }
}

/// The region of a profile, else that of the profile that it begins with, as the SDK looks for it.
fn region(profiles: &ProfileSet, name: &str) -> Option<String> {
    let (mut name, mut seen) = (name, Vec::new());
    loop {
        let profile = profiles.get_profile(name)?;
        if let Some(region) = profile.get("region") {
            return Some(region.to_owned());
        }
        seen.push(name);
        name = profile
            .get("source_profile")
            .filter(|source| !seen.contains(source))?;
    }
}

//! The system's copy of the time zone database.
//!
//! Owns: where it is, what version it has, the reading of its files. Never decides whether it counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use redkeep_core::schedule::Zone;
use redkeep_core::tzdb::{Version, parse};

/// Where systems have their copy.
const DIRECTORIES: [&str; 3] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
];
/// The zones and links as text, with the version in the first line; nearly every system has it.
const SOURCE_FILE: &str = "tzdata.zi";
/// The version alone, where BSD has it.
const VERSION_FILE: &str = "+VERSION";
/// The most that is read of one file; `tzdata.zi` has a tenth of that.
const LARGEST: u64 = 1 << 20;
/// How many links lead to a zone.
const MOST_LINKS: usize = 4;

/// Where the system's copy is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    directories: Vec<PathBuf>,
}

/// How the files of a copy look from outside: it changes when one of them does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp(Vec<Option<[i64; 6]>>);

/// A copy of the database in a directory.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    directory: PathBuf,
    version: Option<Version>,
}

impl Place {
    /// The directory that `TZDIR` names, else the usual ones.
    pub fn of(environment: &[(String, String)]) -> Self {
        let named = environment.iter().find(|(name, _)| name == "TZDIR");
        let named = named.map(|(_, directory)| directory.as_str());
        Self {
            directories: match named.filter(|directory| !directory.is_empty()) {
                Some(directory) => vec![directory.into()],
                None => DIRECTORIES.map(PathBuf::from).to_vec(),
            },
        }
    }

    /// Nowhere: only the built-in copy counts.
    pub fn nowhere() -> Self {
        Self {
            directories: Vec::new(),
        }
    }

    /// The first directory that is there, with its version.
    pub(super) fn copy(&self) -> Option<Copy> {
        let directory = self.directories.iter().find(|path| path.is_dir())?;
        Some(Copy {
            version: version(directory),
            directory: directory.clone(),
        })
    }

    /// How the files look of which the version and the zones of these names come.
    pub fn stamp<'a>(&self, names: impl Iterator<Item = &'a str>) -> Stamp {
        let directory = self.directories.iter().find(|path| path.is_dir());
        let Some(directory) = directory else {
            return Stamp::default();
        };
        let files = [SOURCE_FILE, VERSION_FILE].into_iter().chain(names);
        Stamp(files.map(|file| look(&directory.join(file))).collect())
    }
}

fn look(path: &Path) -> Option<[i64; 6]> {
    let file = fs::metadata(path).ok()?;
    let (device, inode, size) = (file.dev(), file.ino(), file.size());
    let numbers = [device, inode, size].map(u64::cast_signed);
    let [device, inode, size] = numbers;
    let (seconds, nanoseconds) = (file.mtime(), file.mtime_nsec());
    Some([device, inode, size, seconds, nanoseconds, file.ctime()])
}

impl Copy {
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// The zone of that name; an error says what is wrong with it.
    pub(super) fn zone(&self, name: &str) -> Result<Zone, String> {
        let path = self.directory.join(name);
        let tzif = match read(&path, LARGEST) {
            // Some systems have the names of former times in a package of their own.
            Err(error) if error.kind() == ErrorKind::NotFound => self.target(name),
            read => read,
        };
        let told = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let tzif = tzif.map_err(|error| told(&error))?;
        parse(name, &tzif).map_err(|error| told(&error))
    }

    /// The zone file that a link leads to.
    fn target(&self, name: &str) -> io::Result<Vec<u8>> {
        let absent = || io::Error::new(ErrorKind::NotFound, "there is no such file");
        let source = read(&self.directory.join(SOURCE_FILE), LARGEST).map_err(|_| absent())?;
        let source = String::from_utf8_lossy(&source);
        let mut name = name;
        for _ in 0..MOST_LINKS {
            name = link(&source, name).ok_or_else(absent)?;
            match read(&self.directory.join(name), LARGEST) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                read => return read,
            }
        }
        Err(absent())
    }
}

/// What a line `L target name` of `tzdata.zi` says.
fn link<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let mut links = source.lines().filter_map(|line| line.strip_prefix("L "));
    links.find_map(|line| {
        let (target, link) = line.split_once(' ')?;
        (link == name).then_some(target)
    })
}

fn version(directory: &Path) -> Option<Version> {
    let begin = |file: &str| {
        let mut bytes = Vec::new();
        let opened = open(&directory.join(file)).ok()?;
        opened.take(128).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.lines().next()?.trim().to_owned())
    };
    let of_source = begin(SOURCE_FILE);
    let of_source = of_source
        .as_deref()
        .and_then(|line| line.strip_prefix("# version "));
    of_source
        .and_then(|text| text.parse().ok())
        .or_else(|| begin(VERSION_FILE)?.parse().ok())
}

/// A file that is one: nothing to wait for, and with an end.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a file")),
    }
}

fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

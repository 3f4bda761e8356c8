//! Files in a directory that another user may own, such as the state directory of a service that root looks into.
//!
//! Owns: the one way in which they are opened, made and replaced. Whoever owns the directory can put anything under
//! any name, at any moment: a link to a file of root's, a pipe that nobody writes to, somebody else's file. Never
//! follows a symbolic link, never waits in an opening, never uses what is no regular file of the directory's owner, of
//! root or of this user, and gives a file away only through the descriptor by which it has just been made.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Why a file is not used, although it could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Somebody may have planted it.
    Link,
    /// A directory, a pipe, a socket or a device.
    NotAFile,
    /// The file belongs to a third party.
    Owner(u32),
    /// Another name of a file of root's.
    HardLink,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("it is a symbolic link, wanted a file"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::Owner(uid) => write!(
                f,
                "it belongs to user {uid}, wanted the owner of its directory, root or the user who runs redkeep"
            ),
            Self::HardLink => f.write_str("it is another name of a file that belongs to root"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::other(refused)
    }
}

/// The reason, where a file was refused for what it is.
pub fn refused(error: &io::Error) -> Option<Refused> {
    error.get_ref()?.downcast_ref().copied()
}

/// The directory of `path`, which is `.` for a bare name.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// What is at `path`; `None` where nothing is.
///
/// For what only a library can open. It is not to open what this refuses.
///
/// # Errors
/// When the file cannot be looked at, or is [`Refused`].
pub fn look(path: &Path) -> io::Result<Option<Metadata>> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    check(&found, &fs::metadata(directory_of(path))?)?;
    Ok(Some(found))
}

/// Opens the file at `path` for reading.
///
/// # Errors
/// When there is none, it cannot be read, or it is [`Refused`].
pub fn open(path: &Path) -> io::Result<File> {
    Place::of(path)?.open(OFlags::RDONLY)
}

/// Opens the file at `path` for reading and writing, and makes it with `mode` where there is none.
///
/// # Errors
/// When the file can be neither opened nor made, or is [`Refused`].
pub fn open_or_make(path: &Path, mode: u32) -> io::Result<File> {
    let place = Place::of(path)?;
    match place.open(OFlags::RDWR) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return opened,
    }
    match place.make(mode) {
        // Somebody else has made it in between.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => place.open(OFlags::RDWR),
        made => made,
    }
}

/// Makes an empty file with `mode`, which belongs to the owner of its directory.
///
/// # Errors
/// When there is anything at `path`, or the file cannot be made.
pub fn make(path: &Path, mode: u32) -> io::Result<File> {
    Place::of(path)?.make(mode)
}

/// Replaces what is at `path` by a file of mode 0600 with `content`. A crash leaves the old or the new one.
///
/// # Errors
/// When the file cannot be written or take its name; what was there is untouched then.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = beside(path, ".new");
    // One that a crash has left. What is planted there is removed as well, and not what it leads to.
    remove(&fresh)?;
    let written = make(&fresh, 0o600).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    });
    if written.is_err() {
        // The first error is the one to tell.
        let _ = remove(&fresh);
    }
    written?;
    sync_directory(path)
}

/// Removes the name `path`, if there is one; never what a link leads to.
///
/// # Errors
/// When the file stays.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Has what became of the names in the directory of `path` on the disk when it returns.
///
/// # Errors
/// When the directory cannot be flushed.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// The path with something behind its name.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// A name in a directory that is held open, so that the directory is the same for every step.
struct Place<'a> {
    directory: File,
    owner: Metadata,
    name: &'a OsStr,
}

impl<'a> Place<'a> {
    fn of(path: &'a Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
        let directory = File::open(directory_of(path))?;
        let owner = directory.metadata()?;
        Ok(Self {
            directory,
            owner,
            name,
        })
    }

    fn open(&self, access: OFlags) -> io::Result<File> {
        // A pipe does not hold the opening up, and a terminal does not become this process's own.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.directory, self.name, flags, Mode::empty()) {
            Err(Errno::LOOP) => return Err(Refused::Link.into()),
            // What a pipe without a reader or a socket answers, and a directory.
            Err(Errno::NXIO | Errno::ISDIR) => return Err(Refused::NotAFile.into()),
            opened => File::from(opened?),
        };
        check(&file.metadata()?, &self.owner)?;
        Ok(file)
    }

    fn make(&self, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let file = File::from(openat(&self.directory, self.name, flags, mode)?);
        self.hand_over(&file)?;
        Ok(file)
    }

    /// Gives a file that root has made in another user's directory to that user: a command by root comes before or
    /// beside a service that could not open it otherwise. SQLite does the same with the log.
    fn hand_over(&self, file: &File) -> io::Result<()> {
        let owner = &self.owner;
        if !geteuid().is_root() || owner.uid() == 0 {
            return Ok(());
        }
        fchown(file, Some(owner.uid()), Some(owner.gid()))
    }
}

/// Refuses what is no file, or nobody's that may be trusted here.
fn check(found: &Metadata, directory: &Metadata) -> Result<(), Refused> {
    let (owner, us) = (found.uid(), geteuid().as_raw());
    if found.is_symlink() {
        Err(Refused::Link)
    } else if !found.is_file() {
        Err(Refused::NotAFile)
    } else if ![directory.uid(), us, 0].contains(&owner) {
        Err(Refused::Owner(owner))
    } else if owner == 0 && directory.uid() != 0 && found.nlink() > 1 {
        Err(Refused::HardLink)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::process::Command;

    /// A directory of its own, removed at the end.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let name = format!("redkeep-safe-file-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Each way in which a file is opened, of which each must refuse what is planted.
    fn ways(path: &Path) -> [(&'static str, io::Result<()>); 3] {
        [
            ("look", look(path).map(drop)),
            ("open", open(path).map(drop)),
            ("open_or_make", open_or_make(path, 0o600).map(drop)),
        ]
    }

    fn assert_refused(path: &Path, wanted: Refused) {
        for (way, answer) in ways(path) {
            let error = answer.expect_err(way);
            assert_eq!(refused(&error), Some(wanted), "{way}: {error}");
        }
    }

    #[test]
    fn a_link_is_not_followed_and_what_it_leads_to_stays() {
        let dir = Dir::new("link");
        let target = dir.file("target", "precious");
        let link = dir.0.join("link");
        symlink(&target, &link).unwrap();
        assert_refused(&link, Refused::Link);
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        let dangling = dir.0.join("dangling");
        symlink(dir.0.join("nowhere"), &dangling).unwrap();
        assert_refused(&dangling, Refused::Link);
        assert!(make(&dangling, 0o600).is_err());
        assert!(!dir.0.join("nowhere").exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_replacement_is_not_written_through() {
        let dir = Dir::new("fresh");
        let target = dir.file("target", "precious");
        let path = dir.file("state", "old");
        symlink(&target, beside(&path, ".new")).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_holds_nothing_up() {
        let dir = Dir::new("pipe");
        let pipe = dir.0.join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        assert_refused(&pipe, Refused::NotAFile);
        fs::create_dir(dir.0.join("directory")).unwrap();
        assert_refused(&dir.0.join("directory"), Refused::NotAFile);
    }

    #[test]
    fn what_root_makes_in_anothers_directory_is_that_ones_and_what_is_there_is_not_given_away() {
        if !geteuid().is_root() {
            return;
        }
        let dir = Dir::new("owner");
        chown(&dir.0, Some(12_345), Some(12_345)).unwrap();
        let made = dir.0.join("made");
        drop(open_or_make(&made, 0o600).unwrap());
        assert_eq!(fs::metadata(&made).unwrap().uid(), 12_345);
        replace(&made, b"x").unwrap();
        assert_eq!(fs::metadata(&made).unwrap().uid(), 12_345);
        let roots = dir.file("roots", "x");
        drop(open_or_make(&roots, 0o600).unwrap());
        assert_eq!(fs::metadata(&roots).unwrap().uid(), 0);
        fs::hard_link(&roots, dir.0.join("other name")).unwrap();
        assert_refused(&roots, Refused::HardLink);
        let third = dir.file("third", "x");
        chown(&third, Some(54_321), None).unwrap();
        assert_refused(&third, Refused::Owner(54_321));
    }
}

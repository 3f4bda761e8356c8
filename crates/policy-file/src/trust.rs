//! Whether somebody else than its operator can change what a policy file says.
//!
//! Owns: the one rule: nobody but the owners may write the file, or replace it, a link to it, or a directory on the way
//! to it. A sticky directory such as /tmp lets nobody replace what belongs to root, to this user or to the directory's
//! owner. Never judges by group: an operator's group may well write.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use redkeep_core::problem::Problem;
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::process::geteuid;

const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// As many links as Linux follows.
const MOST_LINKS: u32 = 40;

/// Refuses a file that everybody may change.
pub(super) fn check_file(file: &Metadata, path: &Path) -> io::Result<()> {
    if is_open_to_all(file, path) {
        return Err(open_to_all("everybody may change it"));
    }
    check_way(path)
}

/// Refuses a directory into which everybody may put files.
pub(super) fn check_directory(path: &Path) -> io::Result<()> {
    if is_open_to_all(&fs::metadata(path)?, path) {
        return Err(open_to_all("everybody may put files into it"));
    }
    check_way(path)
}

/// Refuses what everybody may replace: each name on the way, and each link that it leads through.
fn check_way(path: &Path) -> io::Result<()> {
    let (mut place, mut links) = (PathBuf::from("/"), 0);
    let mut rest = names(&std::path::absolute(path)?);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            place.pop();
            continue;
        }
        let entry = place.join(name);
        let found = match fs::symlink_metadata(&entry) {
            // A link of /proc leads to what has no name.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        check_entry(&place, &entry, &found)?;
        if !found.is_symlink() {
            place = entry;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other("too many links lead to it"));
        }
        let target = fs::read_link(&entry)?;
        if target.is_absolute() {
            place = PathBuf::from("/");
        }
        let mut further = names(&target);
        further.append(&mut rest);
        rest = further;
    }
    Ok(())
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}

fn check_entry(directory: &Path, entry: &Path, found: &Metadata) -> io::Result<()> {
    let owner = fs::metadata(directory)?;
    let is_kept =
        owner.mode() & STICKY != 0 && [0, geteuid().as_raw(), owner.uid()].contains(&found.uid());
    if is_kept || !is_open_to_all(&owner, directory) {
        return Ok(());
    }
    Err(open_to_all(format!(
        "everybody may replace {}, because everybody may write {}",
        entry.display(),
        directory.display()
    )))
}

fn open_to_all(found: impl Into<String>) -> io::Error {
    io::Error::other(Problem::hinted(found, "chmod o-w takes that away"))
}

/// Whether everybody may write it. On a file system that is mounted read-only nobody may, whatever the mode says: such
/// are the ConfigMaps of Kubernetes.
fn is_open_to_all(found: &Metadata, path: &Path) -> bool {
    let is_read_only =
        || statvfs(path).is_ok_and(|volume| volume.f_flag.contains(StatVfsMountFlags::RDONLY));
    found.mode() & WRITABLE_BY_ALL != 0 && !is_read_only()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    /// A directory of its own with `conf/redkeep.toml` in it, removed at the end.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let name = format!("redkeep-trust-{name}-{}", std::process::id());
            let dir = Self(std::env::temp_dir().join(name));
            fs::create_dir_all(dir.0.join("conf/conf.d")).unwrap();
            fs::write(dir.file(), "").unwrap();
            fs::set_permissions(&dir.0, Permissions::from_mode(0o755)).unwrap();
            dir
        }

        fn file(&self) -> PathBuf {
            self.0.join("conf/redkeep.toml")
        }

        fn mode(&self, name: &str, mode: u32) {
            fs::set_permissions(self.0.join(name), Permissions::from_mode(mode)).unwrap();
        }

        fn answer(&self, path: &Path) -> Result<(), String> {
            let answer = check_file(&fs::metadata(path).unwrap(), path);
            answer.map_err(|error| error.to_string())
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_directory_that_everybody_may_write_is_refused_wherever_it_is_on_the_way() {
        let dir = Dir::new("way");
        assert_eq!(dir.answer(&dir.file()), Ok(()));
        for (name, mode) in [("conf", 0o777), ("conf", 0o702), ("", 0o757)] {
            dir.mode(name, mode);
            let said = dir.answer(&dir.file()).unwrap_err();
            let place = dir.0.join(name);
            let place = place.display().to_string();
            assert!(said.contains(place.trim_end_matches('/')), "{said}");
            assert!(said.contains("chmod o-w"), "{said}");
            dir.mode(name, 0o775);
            assert_eq!(dir.answer(&dir.file()), Ok(()), "a group may write");
        }
    }

    #[test]
    fn every_link_on_the_way_counts() {
        let dir = Dir::new("links");
        fs::create_dir(dir.0.join("open")).unwrap();
        let (inner, outer) = (dir.0.join("open/inner"), dir.0.join("outer"));
        symlink("../conf", &inner).unwrap();
        symlink(&inner, &outer).unwrap();
        let file = outer.join("../conf/redkeep.toml");
        assert_eq!(dir.answer(&file), Ok(()));
        dir.mode("open", 0o777);
        let said = dir.answer(&file).unwrap_err();
        assert!(said.contains("open/inner"), "{said}");
    }

    #[test]
    fn in_a_sticky_directory_a_file_of_ours_stays_ours_and_anothers_is_refused() {
        let dir = Dir::new("sticky");
        dir.mode("conf", 0o1777);
        assert_eq!(dir.answer(&dir.file()), Ok(()));
        if geteuid().is_root() {
            chown(dir.file(), Some(12_345), None).unwrap();
            let said = dir.answer(&dir.file()).unwrap_err();
            assert!(said.contains("everybody may replace"), "{said}");
            chown(dir.0.join("conf/conf.d"), Some(12_345), None).unwrap();
            assert!(check_directory(&dir.0.join("conf/conf.d")).is_err());
        }
    }

    #[test]
    fn a_conf_d_that_everybody_may_write_is_refused_sticky_or_not() {
        let dir = Dir::new("conf-d");
        let conf_d = dir.0.join("conf/conf.d");
        check_directory(&conf_d).unwrap();
        for mode in [0o777, 0o1777] {
            dir.mode("conf/conf.d", mode);
            let said = check_directory(&conf_d).unwrap_err().to_string();
            assert!(said.contains("everybody may put files into it"), "{said}");
        }
    }
}

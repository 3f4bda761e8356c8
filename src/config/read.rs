//! Reading the policy file and what stands in `conf.d` beside it.
//!
//! Owns: the only reads that `config` makes. Never looks at what it has read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigErrors, Place};

/// The most that is read of one file, so that a device or a wrong path does not fill the memory.
const LARGEST: u64 = 4 * 1024 * 1024;

/// A file that everybody may write says nothing of what its operator wants.
const WRITABLE_BY_ALL: u32 = 0o002;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// A file and its text.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Reads the main file, which comes first, and the files of `conf.d` in the order of their names.
pub(super) fn read(main: &Path) -> Result<Vec<SourceFile>, ConfigErrors> {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    let mut take = |path: &Path, files: &mut Vec<SourceFile>| match read_file(path) {
        Ok(text) => files.push(SourceFile {
            path: path.to_owned(),
            text,
        }),
        Err(error) => errors.push(fault(path, &error)),
    };
    take(main, &mut files);
    let directory = beside(main).join("conf.d");
    match list(&directory) {
        Ok(more) => more.iter().for_each(|path| take(path, &mut files)),
        Err(error) => errors.push(fault(&directory, &error)),
    }
    if errors.is_empty() {
        Ok(files)
    } else {
        Err(ConfigErrors::new(errors))
    }
}

/// The same without what cannot be read; `None` where that is the main file.
pub(super) fn read_what_can_be(main: &Path) -> Option<Vec<SourceFile>> {
    let more = list(&beside(main).join("conf.d")).unwrap_or_default();
    let read = |path: &Path| {
        let text = read_file(path).ok()?;
        let path = path.to_owned();
        Some(SourceFile { path, text })
    };
    let main = read(main)?;
    let more = more.iter().filter_map(|path| read(path));
    Some(std::iter::once(main).chain(more).collect())
}

/// The directory that a file is in.
pub(super) fn beside(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn read_file(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if metadata.is_file() && metadata.mode() & WRITABLE_BY_ALL != 0 {
        return Err(io::Error::other(
            "everybody may change it; chmod o-w takes that away",
        ));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut text =
        String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    if text.starts_with(BYTE_ORDER_MARK) {
        // It would count as a character of the first line.
        text.remove(0);
    }
    Ok(text)
}

/// The `*.toml` of a directory by name; none where there is no directory. Hidden ones are left out:
/// editors keep their own files under such names.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        path.extension()
            .is_some_and(|extension| extension == "toml")
            && !hidden
    });
    paths.sort();
    Ok(paths)
}

fn fault(path: &Path, error: &io::Error) -> ConfigError {
    let text = match error.kind() {
        ErrorKind::NotFound => {
            "there is no such file; name the policy file with --config or REDKEEP_CONFIG".to_owned()
        }
        ErrorKind::IsADirectory => "this is a directory, wanted a TOML file".to_owned(),
        ErrorKind::NotADirectory => {
            "this is not a directory, wanted one with *.toml files".to_owned()
        }
        ErrorKind::InvalidData => format!("not UTF-8: {error}"),
        ErrorKind::FileTooLarge => {
            format!("more than {} MiB, which is no policy file", LARGEST >> 20)
        }
        _ => format!("cannot be read: {error}"),
    };
    let place = Place {
        order: 0,
        position: None,
        source: path.display().to_string(),
    };
    ConfigError::new(place, text)
}

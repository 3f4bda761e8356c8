//! Reading the policy file and what stands in `conf.d` beside it.
//!
//! Owns: the only reads that `config` makes. Never looks at what it has read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redkeep_core::problem::Problem;
use rustix::fs::OFlags;

use super::error::{ConfigError, ConfigErrors, Location};
use super::trust;

/// The most that is read of one file, so that a device or a wrong path does not fill the memory.
const LARGEST: u64 = 4 * 1024 * 1024;

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
    let mut take = |path: &Path, text: io::Result<String>| match text {
        Ok(text) => files.push(SourceFile {
            path: path.to_owned(),
            text,
        }),
        Err(error) => errors.push(fault(path, &error)),
    };
    take(main, read_main(main));
    let directory = beside(main).join("conf.d");
    match list(&directory) {
        Ok(more) => more.iter().for_each(|path| take(path, read_part(path))),
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
    let source = |path: &Path, text: io::Result<String>| {
        let (path, text) = (path.to_owned(), text.ok()?);
        Some(SourceFile { path, text })
    };
    let main = source(main, read_main(main))?;
    let more = more.iter().filter_map(|path| source(path, read_part(path)));
    Some(std::iter::once(main).chain(more).collect())
}

/// The directory that a file is in.
pub(super) fn beside(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn open(path: &Path, flags: i32) -> io::Result<File> {
    File::options().read(true).custom_flags(flags).open(path)
}

/// The main file may be a pipe: the operator names it, and knows who writes to it.
fn read_main(path: &Path) -> io::Result<String> {
    text(open(path, 0)?, path)
}

/// A file of `conf.d`.
fn read_part(path: &Path) -> io::Result<String> {
    let file = open(path, OFlags::NONBLOCK.bits().cast_signed())?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::other("this is not a regular file"));
    }
    text(file, path)
}

fn text(file: File, path: &Path) -> io::Result<String> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if metadata.is_file() {
        trust::check_file(&metadata, path)?;
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
    trust::check_directory(directory)?;
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
    let known = error.get_ref().and_then(|error| error.downcast_ref());
    let problem: Problem = match error.kind() {
        ErrorKind::NotFound => Problem::hinted(
            "there is no such file",
            "name the policy file with --config or REDKEEP_CONFIG",
        ),
        ErrorKind::IsADirectory => "this is a directory, wanted a TOML file".into(),
        ErrorKind::NotADirectory => "this is not a directory, wanted one with *.toml files".into(),
        ErrorKind::InvalidData => format!("not UTF-8: {error}").into(),
        ErrorKind::FileTooLarge => format!(
            "more than {} MiB, which is too large for a policy file",
            LARGEST >> 20
        )
        .into(),
        _ => known
            .cloned()
            .unwrap_or_else(|| Problem::from(error.to_string()))
            .after("cannot be read: "),
    };
    let place = Location {
        order: 0,
        position: None,
        source: path.display().to_string(),
    };
    ConfigError::new(place, problem)
}

//! A history as its bytes lie on the disk.
//!
//! Owns: reading the file and its log ("WAL-mode File Format", sqlite.org/walformat.html) into a database in memory,
//! without a lock and without a byte of room on the disk. Never writes, and never says that a file is damaged: others
//! may be writing it meanwhile.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use rusqlite::Connection;

use super::error::{Fault, StoreError};
use super::file::unusable;
use redkeep_serve::safe_file::{self, beside};

const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The first four bytes of a log whose checksums read little-endian words; the big-endian one is one more.
const MAGIC: u32 = 0x377f_0682;

/// Reads the history at `path` with what its log adds to it.
pub(super) fn read(path: &Path) -> Result<Connection, StoreError> {
    let image = merged(path).map_err(|error| unusable(path, "read", error))?;
    in_memory(&image).map_err(|fault| fault.at(path))
}

/// How many bytes the history at `path` and its log have.
pub(super) fn length(path: &Path) -> u64 {
    let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    length(path).saturating_add(length(&beside(path, "-wal")))
}

fn merged(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = safe_file::open(path)?;
    let mut image = Vec::new();
    // A history that does not fit into the memory is one that cannot be read, and no reason to be ended.
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    image.try_reserve_exact(length)?;
    file.read_to_end(&mut image)?;
    match safe_file::open(&beside(path, "-wal")) {
        Ok(log) => merge(&mut image, log)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // In memory there is no log ("Database File Format", section 1.3.3).
    if let Some(versions) = image.get_mut(18..20) {
        versions.fill(1);
    }
    Ok(image)
}

fn in_memory(image: &[u8]) -> Result<Connection, Fault> {
    let mut connection = Connection::open_in_memory()?;
    if !image.is_empty() {
        connection.deserialize_read_exact("main", image, image.len(), false)?;
    }
    Ok(connection)
}

/// Puts every page that the log has committed into the image.
fn merge(image: &mut Vec<u8>, log: File) -> io::Result<()> {
    let mut log = BufReader::new(log);
    let mut header = [0; LOG_HEADER];
    if !read_whole(&mut log, &mut header)? {
        return Ok(());
    }
    let Some(mut frames) = Frames::begin(&header) else {
        return Ok(());
    };
    let mut uncommitted: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut frame = vec![0; FRAME_HEADER + frames.page_size];
    while read_whole(&mut log, &mut frame)? && frames.accept(&frame) {
        let (head, page) = frame.split_at(FRAME_HEADER);
        uncommitted.push((word(head, 0) as usize, page.to_vec()));
        let pages = word(head, 4) as usize;
        if pages > 0 {
            commit(image, &mut uncommitted, pages, frames.page_size)?;
        }
    }
    Ok(())
}

/// The transaction is whole: the database has `pages` pages from now on.
fn commit(
    image: &mut Vec<u8>,
    uncommitted: &mut Vec<(usize, Vec<u8>)>,
    pages: usize,
    page_size: usize,
) -> io::Result<()> {
    let length = pages.checked_mul(page_size).ok_or(ErrorKind::InvalidData)?;
    image.try_reserve(length.saturating_sub(image.len()))?;
    image.resize(length, 0);
    for (number, page) in uncommitted.drain(..) {
        let start = number
            .checked_sub(1)
            .and_then(|index| index.checked_mul(page_size));
        let place = start.and_then(|start| image.get_mut(start..start + page_size));
        if let Some(place) = place {
            place.copy_from_slice(&page);
        }
    }
    Ok(())
}

/// What tells the frames of this log from those that an earlier one has left behind them.
struct Frames {
    page_size: usize,
    salts: [u8; 8],
    is_big_endian: bool,
    sums: [u32; 2],
}

impl Frames {
    fn begin(header: &[u8; LOG_HEADER]) -> Option<Self> {
        let mut frames = Self {
            page_size: usize::try_from(word(header, 8)).ok()?,
            salts: header.get(16..24)?.try_into().ok()?,
            is_big_endian: word(header, 0) == MAGIC + 1,
            sums: [0, 0],
        };
        let is_log = frames.is_big_endian || word(header, 0) == MAGIC;
        let has_pages =
            frames.page_size.is_power_of_two() && (512..=65_536).contains(&frames.page_size);
        frames.add(header.get(..24)?);
        (is_log && has_pages && frames.sums == [word(header, 24), word(header, 28)])
            .then_some(frames)
    }

    /// Whether the frame belongs to the log.
    fn accept(&mut self, frame: &[u8]) -> bool {
        let (head, page) = frame.split_at(FRAME_HEADER);
        self.add(&head[..8]);
        self.add(page);
        head[8..16] == self.salts && self.sums == [word(head, 16), word(head, 20)]
    }

    fn add(&mut self, bytes: &[u8]) {
        let [mut first, mut second] = self.sums;
        for pair in bytes.chunks_exact(8) {
            first = first
                .wrapping_add(self.number(pair, 0))
                .wrapping_add(second);
            second = second
                .wrapping_add(self.number(pair, 4))
                .wrapping_add(first);
        }
        self.sums = [first, second];
    }

    fn number(&self, bytes: &[u8], at: usize) -> u32 {
        let number = word(bytes, at);
        if self.is_big_endian {
            number
        } else {
            number.swap_bytes()
        }
    }
}

/// The big-endian number at `at`; zero past the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_be_bytes)
}

/// Fills `buffer`; `false` where the log ends before.
fn read_whole(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A database with its log, as after a kill -9 in the midst of `setup`.
    fn killed(directory: &Path, setup: &str) -> (Vec<u8>, Vec<u8>) {
        let path = directory.join("made.db");
        let shell = Connection::open(&path).unwrap();
        shell.execute_batch(setup).unwrap();
        let read = |path: &Path| fs::read(path).unwrap();
        (read(&path), read(&beside(&path, "-wal")))
    }

    /// What a table has, and whether all pages are sound.
    fn told(connection: rusqlite::Result<Connection>) -> (i64, String) {
        let one = |sql: &str| -> rusqlite::Result<_> {
            let connection = connection
                .as_ref()
                .map_err(|_| rusqlite::Error::InvalidQuery)?;
            connection.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
        };
        let count = one("SELECT count(*) FROM t");
        let sound = format!("{:?}", one("PRAGMA quick_check(1)"));
        match count {
            Ok(rusqlite::types::Value::Integer(count)) => (count, sound),
            _ => (0, sound),
        }
    }

    #[test]
    fn the_image_tells_what_sqlite_would_wherever_the_log_is_cut_off() {
        let directory = std::env::temp_dir().join(format!("redkeep-image-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let sizes = [512, 4096, 65_536];
        let mut counts = std::collections::BTreeSet::new();
        for size in sizes {
            let insert = "INSERT INTO t SELECT hex(randomblob(200)) FROM
                 (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) SELECT i FROM n);";
            // The second half is in a log that has begun anew over the frames of the first.
            let setup = format!(
                "PRAGMA page_size = {size}; PRAGMA journal_mode = WAL; CREATE TABLE t (x); {}
                 PRAGMA wal_checkpoint(RESTART); {} DELETE FROM t WHERE rowid < 10; {insert}",
                insert.repeat(5),
                insert.repeat(2),
            );
            let (database, log) = killed(&directory, &setup);
            let step = log.len() / 40 + 7;
            for cut in (0..=log.len()).rev().step_by(step).chain([31, 33]) {
                let path =
                    |name: &str| -> PathBuf { directory.join(format!("{size}-{cut}-{name}")) };
                for name in ["image", "sqlite"] {
                    let mut log = log[..cut].to_vec();
                    log.extend([0xa5; 700]);
                    fs::write(path(name), &database).unwrap();
                    fs::write(beside(&path(name), "-wal"), log).unwrap();
                }
                let image = told(Ok(read(&path("image")).unwrap()));
                assert_eq!(
                    image,
                    told(Connection::open(path("sqlite"))),
                    "{size}: {cut}"
                );
                counts.insert(image.0);
            }
            fs::remove_file(directory.join("made.db")).unwrap();
        }
        assert!(counts.len() > 3, "{counts:?}");
        fs::remove_dir_all(directory).unwrap();
    }
}

//! The writer of the file: the store's thread, and how it comes by a file that it can write.
//!
//! Owns: answering one request after another. Where the file could not be opened, each commit tries that again.

mod ways;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::error::StoreError;
use super::file::{File, LOG_STEP};
use super::meta::{self, EndpointKind, Installation, NewDatabase};
use super::shared::HeldLease;
use super::tenure::Tenure;
use super::{Command, OutboxWork, Reread, StartedOver, inbox, load, quarantine, tidy, write};
use redkeep_core::engine::Requests;
use redkeep_core::history::{Change, History};
use redkeep_core::run::Run;

/// What is known of a history, and the file while it can be written.
pub(super) struct StoreWriter {
    path: PathBuf,
    kind: EndpointKind,
    identity: Installation,
    rebuilt_at: Option<DateTime<Utc>>,
    file: Option<File>,
    /// What there may be in the place of the file that the history in memory does not have.
    behind: Behind,
    /// At this length the log is shortened.
    log_limit: u64,
    pub(super) tenure: Tenure,
}

/// What may be in the place of a file that could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Nothing that is not known.
    Nothing,
    /// A damaged one, which could not be moved aside.
    Damaged,
    /// A history that could not be read.
    Unread,
    /// The same, which can be read by now.
    Readable,
}

/// A writer, with what it found.
pub(super) struct Found {
    pub writer: StoreWriter,
    pub history: History,
    pub identity: Installation,
    pub lost: Option<Lost>,
    pub trouble: Option<StoreError>,
    /// Whether all of it was looked at, or there is nothing to be looked at.
    pub is_checked: bool,
}

/// A history that was lost, so that a new one was begun.
#[derive(Debug)]
pub struct Lost {
    /// What was wrong.
    pub why: StoreError,
    /// Where what was left of it lies now; `None` where nothing was left, or where it could not be moved.
    pub moved_to: Option<PathBuf>,
}

impl StoreWriter {
    fn found(
        path: &Path,
        kind: EndpointKind,
        file: Option<File>,
        mut history: History,
        identity: Installation,
    ) -> Found {
        history.begun_at = Some(identity.created_at);
        let is_checked = file.as_ref().is_none_or(|file| file.is_checked);
        let writer = Self {
            path: path.to_owned(),
            kind,
            identity: identity.clone(),
            rebuilt_at: history.rebuilt_at,
            file,
            behind: Behind::Nothing,
            log_limit: LOG_STEP,
            tenure: Tenure::Own,
        };
        Found {
            writer,
            history,
            identity,
            lost: None,
            trouble: None,
            is_checked,
        }
    }

    /// Answers one request after another, until the last handle is gone.
    pub(super) fn serve(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut seen = None;
        while let Some(request) = inbox.blocking_recv() {
            match request {
                // A receiver that is gone is a caller that does not want to know.
                Command::Commit(changes, answer) => drop(answer.send(self.commit(&changes))),
                Command::Requests(answer) => drop(answer.send(self.requests(&mut seen))),
                Command::Reread(answer) => drop(answer.send(self.reread())),
                Command::Damaged(why, now, answer) => drop(answer.send(self.start_over(why, now))),
                Command::Leave(batch, answer) => drop(answer.send(self.leave(&batch))),
                Command::Outbox(work) => self.for_outbox(work),
                Command::Close(answer) => {
                    inbox.close();
                    drop(answer.send(self.file.map_or(Ok(()), File::close)));
                    return;
                }
            }
        }
    }

    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Run>, StoreError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.reopen()?,
        };
        let file = self.file.insert(file);
        match &self.tenure {
            Tenure::Own => {}
            Tenure::Leased(lease) => return commit_leased(file, changes, lease),
            Tenure::Orphaned => return write::commit(file, changes),
        }
        if self.behind != Behind::Unread {
            let stay = write::commit(file, changes)?;
            self.log_limit = file.shorten_log(self.log_limit);
            return Ok(stay);
        }
        let known = load::load(&file.connection).map_err(|fault| fault.at(&file.path))?;
        let news = changes.iter().filter(|change| is_news(change, &known));
        let stay = write::commit(file, &news.cloned().collect::<Vec<_>>())?;
        self.behind = Behind::Readable;
        Ok(stay)
    }

    /// Begins a new history in the place of the one that is open and was found to be damaged.
    fn start_over(
        &mut self,
        why: StoreError,
        now: DateTime<Utc>,
    ) -> Result<StartedOver, StoreError> {
        if let Some(file) = self.file.take() {
            file.abandon();
        }
        let found = Self::anew(&self.path, self.kind, now, why)?;
        *self = found.writer;
        Ok(StartedOver {
            lost: found.lost,
            history: found.history,
            identity: found.identity,
        })
    }

    /// Nothing leaves a history that cannot be written, nor one that is not known yet.
    fn leave(&mut self, batch: &tidy::Batch) -> Result<usize, StoreError> {
        match (&mut self.file, self.behind) {
            (Some(file), Behind::Nothing) => tidy::leave(file, batch),
            _ => Ok(0),
        }
    }

    /// A file that cannot be written is left to the commits to be opened again.
    fn for_outbox(&mut self, work: OutboxWork) {
        let unwritable = || StoreError::Unwritable {
            path: self.path.clone(),
        };
        // What only one may do, one that is not sure to be the one does not begin.
        let may_begin = self.behind != Behind::Unread && self.tenure.is_trusted();
        let file = self.file.as_mut().filter(|_| may_begin);
        match file {
            Some(file) => work(Ok(file)),
            None => work(Err(unwritable())),
        }
    }

    /// The history of a file that could not be read when the store was opened and can be now; told once.
    fn reread(&mut self) -> Result<Option<Reread>, StoreError> {
        let (Behind::Readable, Some(file)) = (self.behind, &self.file) else {
            return Ok(None);
        };
        let history = load::load(&file.connection).map_err(|fault| fault.at(&file.path))?;
        self.behind = Behind::Nothing;
        Ok(Some(Reread {
            history,
            identity: self.identity.clone(),
        }))
    }

    /// Nobody can ask for anything where nothing can be written.
    fn requests(&mut self, seen: &mut Option<i64>) -> Result<Option<Requests>, StoreError> {
        if let (Some(file), Tenure::Leased(lease)) = (&mut self.file, &self.tenure) {
            if lease.is_reached() && file.is_behind(lease.changes()) {
                file.catch_up()?;
            }
            if file.has_lost() {
                // What is in memory is of a history that is no more: a new term reads the one that there is.
                lease.lose();
            }
            if file.take_news() {
                *seen = None;
            }
        }
        let news =
            |file: &File| inbox::news(&file.connection, seen).map_err(|fault| fault.at(&file.path));
        self.file.as_ref().map_or(Ok(None), news)
    }

    /// Spoils the connection for a test.
    #[cfg(test)]
    pub(super) fn spoil(&mut self, statement: &str) {
        let file = self.file.as_ref().unwrap();
        file.connection.execute_batch(statement).unwrap();
    }

    /// The file that could not be written when the store was opened. Another's in its place is refused.
    fn reopen(&mut self) -> Result<File, StoreError> {
        let mut file = match File::open(&self.path) {
            Err(why) if why.is_damage() && self.behind != Behind::Nothing => {
                let at = self.identity.created_at;
                quarantine::set_aside(&self.path, at)?;
                self.rebuilt_at.get_or_insert(at);
                File::open(&self.path)?
            }
            opened => opened?,
        };
        let begun = NewDatabase {
            at: self.identity.created_at,
            installation: Some(self.identity.installation.clone()),
            rebuilt_at: self.rebuilt_at,
        };
        let identity = meta::bind(&mut file, self.kind, &begun)?;
        if self.behind == Behind::Unread {
            self.identity = identity;
            return Ok(file);
        }
        if identity.installation == self.identity.installation {
            return Ok(file);
        }
        Err(StoreError::Replaced {
            path: self.path.clone(),
        })
    }
}

/// Commits to a history that is shared; where the lease turns out to be gone, its holder hears of that.
fn commit_leased(
    file: &mut File,
    changes: &[Change],
    lease: &HeldLease,
) -> Result<Vec<Run>, StoreError> {
    if !lease.is_reached() {
        lease.committed(false);
        let why = "it did not answer the last request".to_owned();
        return Err(StoreError::Unreachable { why });
    }
    let stay = write::commit(file, changes);
    lease.committed(stay.is_ok());
    if let Err(StoreError::LeaseLost | StoreError::ServerNewer { .. }) = stay {
        lease.lose();
    }
    stay
}

/// Whether a change, made while the history was unknown, tells what the history does not know better: how far each
/// pair had come, and that nothing of it was lost.
fn is_news(change: &Change, known: &History) -> bool {
    match change {
        Change::Pair(pair, _) | Change::Clamped(pair, _) => !known.pairs.contains_key(pair),
        Change::Rebuilt(_) => false,
        _ => true,
    }
}

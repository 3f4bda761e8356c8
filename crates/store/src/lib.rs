//! The history on disk: one SQLite file with one owner.
//!
//! Owns: the only SQL of the project, the file and its schema (`migrations/`, docs/database.md). One
//! dedicated thread has the one writing connection; [`Store`] is a handle that sends it messages, so that
//! no connection leaks out and a slow disk never holds up the async threads. Never decides anything, never
//! reads the clock, never logs.
//!
//! What is ended stays: an ended run's row and a pair's watermark are guarded by the SQL itself, whatever
//! is committed.

mod backup;
mod cell;
mod deliveries;
mod error;
mod file;
mod glance;
mod image;
mod inbox;
mod load;
mod meta;
mod operations;
mod outbox;
mod outline;
mod pages;
mod quarantine;
mod query;
mod read;
mod rename;
mod row;
mod schema;
mod shared;
mod table;
mod tenure;
mod there;
mod tidy;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use redkeep_core::engine::Requests;
use redkeep_core::history::{Change, Handover, History};
use redkeep_core::names::Retention;
use redkeep_core::run::Run;

use file::File;
use tenure::Tenure;
use writer::{Found, StoreWriter};

pub use error::StoreError;
pub use file::Check;
pub use glance::{DaysOf, LastEnded, OpenSlot};
pub use inbox::{HandedIn, Inbox};
pub use meta::{EndpointKind, Installation, moved_to};
pub use outbox::{Delivered, Pending};
pub use pages::{Pages, Record};
pub use quarantine::{copy_of, older_copy_of};
pub use read::{Presence, Reader, RunFilter};
pub use shared::{
    HeldLease, Instance, Instances, KnownInstance, LeaseView, Move, Moved, Password, Peers, Saying,
    Seat, Server, Taken,
};
pub use tidy::Tidied;
pub use writer::Lost;

/// How many requests may wait for the thread; callers beyond that wait for room.
const QUEUE_LENGTH: usize = 64;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum Command {
    Commit(Vec<Change>, Answer<Vec<Run>>),
    Requests(Answer<Option<Requests>>),
    Reread(Answer<Option<Reread>>),
    Damaged(StoreError, DateTime<Utc>, Answer<StartedOver>),
    Leave(tidy::Batch, Answer<usize>),
    Outbox(OutboxWork),
    Close(Answer<()>),
}

/// What is done with the file for those who deliver messages; it answers by itself.
type OutboxWork = Box<dyn FnOnce(Result<&mut File, StoreError>) + Send>;

/// A handle to the thread that owns the history; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Store {
    requests: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    tenure: Tenure,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// An opened history.
#[derive(Debug)]
pub struct Opened {
    /// The handle by which changes are committed.
    pub store: Store,
    /// What the file held.
    pub history: History,
    /// Whose history it is.
    pub identity: Installation,
    /// What became of the history before this one, where it was lost.
    pub lost: Option<Lost>,
    /// Why the history cannot be written now; each commit tries again.
    pub trouble: Option<StoreError>,
    /// Whether all of the file was looked at; else [`Store::check`] is to follow.
    pub is_checked: bool,
}

/// A history that was begun because the one that had been opened turned out to be damaged.
#[derive(Debug)]
pub struct StartedOver {
    /// What became of the one before.
    pub lost: Option<Lost>,
    /// What the new one holds.
    pub history: History,
    /// Whose it is.
    pub identity: Installation,
}

/// A history that could not be read when the store was opened, and can be now.
#[derive(Debug)]
pub struct Reread {
    /// What the file holds, and what was committed since.
    pub history: History,
    /// Whose history it is.
    pub identity: Installation,
}

impl Store {
    /// Opens the history at `path`, and first makes or migrates it where needed.
    ///
    /// `now` becomes `created_at` of a new one. Directories that are missing are made with mode 0700, the
    /// file with 0600. Blocks: the whole file is checked, which takes about a second for each gigabyte.
    ///
    /// # Errors
    /// Each way in which the file cannot be trusted has its own [`StoreError`]; nothing is written then.
    pub fn open(path: &Path, kind: EndpointKind, now: DateTime<Utc>) -> Result<Opened, StoreError> {
        let found = StoreWriter::open(path, kind, now, Check::First)?;
        Self::keep(path, found)
    }

    /// Opens the history at `path` for a daemon that goes on in any case.
    ///
    /// A history that is damaged or lost is moved aside, never deleted, and a new one is begun, which says so in
    /// [`Opened::lost`] and in [`History::rebuilt_at`]. One that can be read and not written is read, and
    /// [`Opened::trouble`] says why; where there is none to read, or none that can be read, it begins in memory.
    ///
    /// # Errors
    /// As [`Store::open`] where the file is another's or a newer redkeep's: no trouble that passes.
    pub fn open_or_begin_anew(
        path: &Path,
        kind: EndpointKind,
        now: DateTime<Utc>,
        check: Check,
    ) -> Result<Opened, StoreError> {
        let found = StoreWriter::open_or_begin_anew(path, kind, now, check)?;
        Self::keep(path, found)
    }

    /// Opens a history that is shared, by its copy at `path`, for as long as this instance holds `lease`. Without a lease it
    /// works on the copy as it is, and writes nothing.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] where the server does not answer, and as [`Store::open`].
    pub fn open_shared(
        server: Server,
        path: &Path,
        kind: EndpointKind,
        now: DateTime<Utc>,
        lease: Option<(HeldLease, Taken)>,
    ) -> Result<Opened, StoreError> {
        let unrecorded_since = lease.as_ref().and_then(|(_, taken)| taken.unrecorded_since);
        let is_orphan = lease.is_none();
        let tenure = lease.map_or(Tenure::Orphaned, |(lease, _)| {
            Tenure::Leased(Arc::new(lease))
        });
        let mut found = StoreWriter::open_shared(server, path, kind, now, tenure)?;
        found.history.handover = Some(Handover {
            unrecorded_since,
            began_at: now,
            is_orphan,
        });
        Self::keep(path, found)
    }

    fn keep(path: &Path, found: Found) -> Result<Opened, StoreError> {
        let (requests, inbox) = mpsc::channel(QUEUE_LENGTH);
        let Found {
            writer,
            history,
            identity,
            lost,
            trouble,
            is_checked,
        } = found;
        let tenure = writer.tenure.clone();
        let thread = spawn(move || writer.serve(inbox))?;
        let shared = Shared {
            path: path.to_owned(),
            tenure,
            thread: Mutex::new(Some(thread)),
        };
        let store = Self {
            requests,
            shared: Arc::new(shared),
        };
        Ok(Opened {
            store,
            history,
            identity,
            lost,
            trouble,
            is_checked,
        })
    }

    /// Writes all changes in one transaction, and returns when they are on the disk.
    ///
    /// An ended run in the store changes only in what became of its snapshot, and a pair's `active_from`
    /// and watermark only grow, whatever the changes say. A caller that stops waiting does not stop the
    /// commit.
    ///
    /// Returns the runs, as the store has them, that had ended before otherwise than the changes say: what the
    /// daemon in memory has forgotten of them is told again.
    ///
    /// # Errors
    /// [`StoreError::is_storage`] tells a full or failing disk; nothing of the changes is written then, and
    /// the store can be used on.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Run>, StoreError> {
        self.ask(|answer| Command::Commit(changes, answer)).await
    }

    /// What people ask for beside the schedules, if that may have changed since it was asked last.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn requests(&self) -> Result<Option<Requests>, StoreError> {
        self.ask(Command::Requests).await
    }

    /// What the file holds, where it could not be read when the store was opened and a commit has since succeeded;
    /// told once. What was decided meanwhile was decided without it.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn reread(&self) -> Result<Option<Reread>, StoreError> {
        self.ask(Command::Reread).await
    }

    async fn with_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut File) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(|answer| {
            Command::Outbox(Box::new(move |file| {
                let done = file.and_then(work);
                // A receiver that is gone is a caller that does not want to know.
                drop(answer.send(done));
            }))
        })
        .await
    }

    /// Copies the history as of now to [`copy_of`] its path, and keeps the copy that was there as [`older_copy_of`]. The
    /// new one is complete, checked and of mode 0600, and takes its name at once.
    ///
    /// Runs beside the commits. What is worth more is never replaced: a copy with more records, or of another
    /// installation.
    ///
    /// # Errors
    /// [`StoreError::Rebuilt`] while nobody has acknowledged that records were lost, [`StoreError::WorthLess`] where
    /// there is no place for it; else as [`Store::open`] and [`Store::commit`]. No older copy is lost then.
    pub async fn backup(&self) -> Result<(), StoreError> {
        if !matches!(self.shared.tenure, Tenure::Own) {
            // The server's own backups are the copies of a history that is shared.
            return Ok(());
        }
        let from = self.shared.path.clone();
        beside(move || backup::backup(&from, &copy_of(&from), &older_copy_of(&from))).await
    }

    /// Checks all of a history that was opened unchecked, beside the commits. One that is damaged is moved aside, and a new
    /// one is begun at `now`, which is returned; `None` where all is well.
    ///
    /// # Errors
    /// As [`Store::open_or_begin_anew`], and where the history could not be read now.
    pub async fn check(&self, now: DateTime<Utc>) -> Result<Option<StartedOver>, StoreError> {
        let path = self.shared.path.clone();
        match beside(move || Reader::open_in_daemon(&path)?.check_sound()).await {
            Ok(()) => Ok(None),
            Err(why) if why.is_damage() => {
                let begun = |answer| Command::Damaged(why, now, answer);
                self.ask(begun).await.map(Some)
            }
            Err(other) => Err(other),
        }
    }

    /// Takes out of the history what no decision needs any more and is older at `now` than `kept`: slots that have ended
    /// and have no snapshot, but for the newest of each pair, and what was done to their snapshots. Of snapshots that are
    /// gone for 30 days it leaves out AWS's description. The totals stay.
    ///
    /// Runs beside the commits, some hundred rows at a time.
    ///
    /// # Errors
    /// As [`Store::commit`]; what was taken out until then is out.
    pub async fn tidy(&self, kept: Retention, now: DateTime<Utc>) -> Result<Tidied, StoreError> {
        let (path, requests) = (self.shared.path.clone(), self.requests.clone());
        let leave = move |batch| {
            let (answer, result) = oneshot::channel();
            requests
                .blocking_send(Command::Leave(batch, answer))
                .map_err(|_| StoreError::Closed)?;
            result.blocking_recv().map_err(|_| StoreError::Closed)?
        };
        let ages = tidy::Ages::of(kept, now);
        let tidied = beside(move || tidy::tidy(&path, ages, leave)).await?;
        self.with_file(|file| file.forget_old_changes()).await?;
        Ok(tidied)
    }

    /// Carries out what was asked before, moves the log into the file and ends the thread.
    ///
    /// Other handles get [`StoreError::Closed`] from then on. A store whose handles are only dropped loses
    /// nothing either; its thread then ends by itself, a little later.
    ///
    /// # Errors
    /// Those of the last checkpoint; what was committed is safe all the same.
    pub async fn close(self) -> Result<(), StoreError> {
        let result = self.ask(Command::Close).await;
        let thread = self
            .shared
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // It has answered, or is gone: there is nothing to wait for but its stack.
            thread.join().map_err(|_| StoreError::Closed)?;
        }
        result
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Command) -> Result<T, StoreError> {
        let (answer, result) = oneshot::channel();
        self.requests
            .send(request(answer))
            .await
            .map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }
}

/// What comes of `work` on a thread of its own, beside the one that writes.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (answer, result) = oneshot::channel();
    // A receiver that is gone is a caller that does not want to know.
    spawn(move || drop(answer.send(work())))?;
    result.await.map_err(|_| StoreError::Closed)?
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    thread::Builder::new()
        .name("redkeep-store".to_owned())
        .spawn(work)
        .map_err(StoreError::Thread)
}

#[cfg(test)]
mod tests;

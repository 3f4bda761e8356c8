//! The lease: which of several instances works.
//!
//! Owns: looking at the lease, taking it, renewing it on a thread of its own, giving it up, and what the server is told of
//! the instances. When a lease may be taken and for how long it may be trusted, `redkeep_core::lease` says. Never asks what
//! time the server has.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use rusqlite::types::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::wire::{Server, Trouble, Wire};
use super::{Fence, SHARD, number, text};
use crate::cell::{parse_instant, to_text};
use crate::error::{Fault, StoreError};
use crate::file::File;
use redkeep_core::history::Handover;
use redkeep_core::lease::{Heard, Hold, LOOK_EACH, Pulse, Question, RENEW_EACH, Sight, Watcher};
use redkeep_serve::clock::{Clock, boottime};

/// A process, as the other instances and people know it.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Made anew at each start, so that no two processes have the same.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its version of redkeep.
    pub version: String,
    /// A fingerprint of its configuration.
    pub config_hash: String,
}

impl Instance {
    /// A process that begins.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn new(name: String, version: &str, config_hash: String) -> Result<Self, StoreError> {
        let random = "SELECT lower(hex(randomblob(16)))";
        let made = Connection::open_in_memory()
            .and_then(|connection| connection.query_row(random, [], |row| row.get(0)));
        let id = made.map_err(|error| Fault::from(error).at(Path::new(":memory:")))?;
        Ok(Self {
            id: dashed(id),
            name,
            version: version.to_owned(),
            config_hash,
        })
    }
}

/// Thirty-two digits as a UUID is written.
fn dashed(mut digits: String) -> String {
    for at in [20, 16, 12, 8] {
        if digits.is_char_boundary(at) && digits.len() > at {
            digits.insert(at, '-');
        }
    }
    digits
}

/// A lease as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseView {
    /// Its two counts.
    pub pulse: Pulse,
    /// The holder's id, if somebody holds it.
    pub holder: Option<String>,
    /// The holder's name.
    pub name: String,
    /// How many changes the shared history has seen.
    pub changes: i64,
    /// The name of whoever wants the holder to give it up.
    pub wanted_by: Option<String>,
}

/// A term that begins.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its number.
    pub epoch: i64,
    /// From when on nobody may have recorded what was created: shortly before the last sign of life of the term before.
    pub unrecorded_since: Option<DateTime<Utc>>,
}

/// An instance's place beside the others, while it waits.
pub struct Seat {
    server: Server,
    wire: Wire,
    instance: Instance,
    watcher: Watcher,
    file: File,
    is_prepared: bool,
    /// Whether it works also on a history that was moved away.
    is_mover: bool,
    told_at: Option<Duration>,
    since: DateTime<Utc>,
}

impl Seat {
    /// A place with its copy of the history at `path`; the server is not asked yet.
    ///
    /// # Errors
    /// Where the copy cannot be opened or made.
    pub fn new(
        server: Server,
        path: &Path,
        instance: Instance,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let file = File::open_replica(path, server.clone(), Fence::Wish)?;
        let wire = Wire::new(server.clone()).map_err(StoreError::Thread)?;
        Ok(Self {
            server,
            wire,
            instance,
            watcher: Watcher::default(),
            file,
            is_prepared: false,
            is_mover: false,
            told_at: None,
            since: now,
        })
    }

    /// One that moves a history, also one that was moved before.
    pub(super) fn for_move(self) -> Self {
        Self {
            is_mover: true,
            ..self
        }
    }

    /// Looks at the lease, and brings the copy up to date.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] where the server does not answer.
    pub fn look(&mut self) -> Result<(LeaseView, Sight), StoreError> {
        if !self.is_prepared {
            self.file.prepare_server()?;
            let moved_to = moved_to(&self.wire);
            let moved_to = moved_to.map_err(|fault| fault.at(&self.file.path))?;
            if let (Some(to), false) = (moved_to, self.is_mover) {
                let place = self.server.database.place();
                return Err(StoreError::Moved { place, to });
            }
            self.is_prepared = true;
        }
        let began = boottime();
        let view = view(&self.wire).map_err(|fault| fault.at(&self.file.path))?;
        let ended = boottime();
        // Where this process has it, no term of its own goes on any more.
        let is_held = view
            .holder
            .as_ref()
            .is_some_and(|holder| *holder != self.instance.id);
        let sight = self.watcher.look(is_held, view.pulse, began, ended);
        // What keeps the copy from being written keeps nobody from seeing that the lease is free.
        if let Err(error @ StoreError::Unreachable { .. }) = self.file.catch_up() {
            return Err(error);
        }
        if self.told_at.is_none_or(|told| ended - told >= RENEW_EACH) {
            self.tell("standby")?;
            self.told_at = Some(ended);
        }
        Ok((view, sight))
    }

    /// Takes the lease, if it still has this pulse; `None` where somebody else was faster.
    ///
    /// # Errors
    /// As [`Seat::look`].
    pub fn take(&mut self, pulse: Pulse, now: DateTime<Utc>) -> Result<Option<Taken>, StoreError> {
        self.watcher.forget();
        let taken = self.try_take(pulse, now);
        taken.map_err(|fault| fault.at(&self.file.path))
    }

    fn try_take(&self, pulse: Pulse, now: DateTime<Utc>) -> Result<Option<Taken>, Fault> {
        let name = Value::from(self.instance.name.clone());
        let (now_at, now) = (now, Value::from(to_text(now)));
        let rows = self.ask(
            "WITH taken AS (UPDATE {s}.leases SET holder = $2::uuid, name = $5, epoch = epoch + 1, renewals = renewals + 1,
                 wanted_by = NULL WHERE shard = $1 AND epoch = $3 AND renewals = $4
                     AND ($7 = 1 OR EXISTS (SELECT 1 FROM {s}.installation WHERE moved_to IS NULL)) RETURNING epoch),
             begun AS (INSERT INTO {s}.terms (shard, epoch, holder, name, begun_at, renewed_at)
                 SELECT $1, epoch, $2::uuid, $5, $6, $6 FROM taken)
             SELECT epoch, (SELECT renewed_at FROM {s}.terms WHERE shard = $1 ORDER BY epoch DESC, renewed_at DESC LIMIT 1)
             FROM taken",
            vec![
                Value::from(SHARD.to_owned()),
                Value::from(self.instance.id.clone()),
                Value::from(pulse.epoch),
                Value::from(pulse.renewals),
                name,
                now,
                Value::from(i64::from(self.is_mover)),
            ],
        )?;
        Ok(rows.first().map(|row| {
            let renewed = parse_instant(&text(row.get(1))).ok();
            Taken {
                epoch: number(row.first()),
                unrecorded_since: Handover::unrecorded_since(renewed, now_at),
            }
        }))
    }

    /// Renews the lease that was taken, from now on and on a thread of its own.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn keep(&self, taken: &Taken, clock: Arc<dyn Clock>) -> Result<HeldLease, StoreError> {
        HeldLease::keep(
            self.server.clone(),
            self.instance.clone(),
            taken.epoch,
            clock,
        )
    }

    /// Asks the holder to give the lease up.
    ///
    /// # Errors
    /// As [`Seat::look`].
    pub fn want(&self) -> Result<(), StoreError> {
        let asked = self.ask(
            "UPDATE {s}.leases SET wanted_by = $2 WHERE shard = $1 AND holder IS NOT NULL",
            vec![
                Value::from(SHARD.to_owned()),
                Value::from(self.instance.name.clone()),
            ],
        );
        asked.map(drop).map_err(|fault| fault.at(&self.file.path))
    }

    /// Leaves: the instance is not among the others any more.
    pub fn leave(&self) {
        // Who is gone is told from its age as well.
        let _ = self.ask(
            "DELETE FROM {s}.instances WHERE id = $1::uuid",
            vec![Value::from(self.instance.id.clone())],
        );
    }

    fn tell(&self, state: &str) -> Result<(), StoreError> {
        let told = tell(&self.wire, &self.instance, state, self.since);
        told.map_err(|fault| fault.at(&self.file.path))
    }

    fn ask(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Vec<Value>>, Fault> {
        Ok(self.wire.query(sql, values)?)
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

/// Where the history on the server was moved to, if it was.
pub(super) fn moved_to(wire: &Wire) -> Result<Option<String>, Fault> {
    let rows = wire.query(
        "SELECT coalesce(moved_to, '') FROM {s}.installation",
        Vec::new(),
    )?;
    let to = rows.first().map(|row| text(row.first()));
    Ok(to.filter(|to| !to.is_empty()))
}

pub(super) fn view(wire: &Wire) -> Result<LeaseView, Fault> {
    let rows = wire.query(
        "SELECT epoch, renewals, coalesce(holder::text, ''), name, changes, coalesce(wanted_by, '')
             FROM {s}.leases WHERE shard = $1",
        vec![Value::from(SHARD.to_owned())],
    )?;
    let Some(row) = rows.first() else {
        return Err(Fault::away("its table leases has no row".to_owned()));
    };
    let filled = |at: usize| Some(text(row.get(at))).filter(|text| !text.is_empty());
    Ok(LeaseView {
        pulse: Pulse {
            epoch: number(row.first()),
            renewals: number(row.get(1)),
        },
        holder: filled(2),
        name: text(row.get(3)),
        changes: number(row.get(4)),
        wanted_by: filled(5),
    })
}

/// Tells the others and people what an instance does, and forgets those that were not seen for a day.
fn tell(wire: &Wire, instance: &Instance, state: &str, since: DateTime<Utc>) -> Result<(), Fault> {
    wire.query(
"WITH old AS (DELETE FROM {s}.instances WHERE seen_at < now() - interval '1 day')
             INSERT INTO {s}.instances AS i (id, name, version, schema_version, config_hash, state, since)
             VALUES ($1::uuid, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE SET seen_at = now(), config_hash = excluded.config_hash, state = excluded.state,
                 since = CASE WHEN i.state = excluded.state THEN i.since ELSE excluded.since END",
 vec![
            Value::from(instance.id.clone()),
            Value::from(instance.name.clone()),
            Value::from(instance.version.clone()),
            Value::from(crate::schema::latest_version()),
            Value::from(instance.config_hash.clone()),
            Value::from(state.to_owned()),
            Value::from(to_text(since)),
        ])?;
    Ok(())
}

/// A lease that is held and renewed, for as long as this lives and nobody takes it.
#[derive(Debug)]
pub struct HeldLease {
    state: Arc<State>,
    stop: mpsc::UnboundedSender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is known of the lease.
#[derive(Debug)]
struct State {
    fence: Fence,
    epoch: i64,
    hold: Mutex<Hold>,
    /// Wakes those who wait for its loss.
    is_lost: watch::Sender<bool>,
}

impl State {
    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, question: Question, sent: Duration, heard: Heard) {
        let mut hold = self.hold();
        hold.hear(question, sent, heard);
        if hold.is_lost() {
            self.is_lost.send_replace(true);
        }
    }
}

impl HeldLease {
    fn keep(
        server: Server,
        instance: Instance,
        epoch: i64,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let wire = Wire::new(server).map_err(StoreError::Thread)?;
        let id = instance.id.clone();
        let state = Arc::new(State {
            fence: Fence::Holder { id, epoch },
            epoch,
            hold: Mutex::default(),
            is_lost: watch::Sender::new(false),
        });
        let keeper = Keeper {
            wire,
            since: clock.now(),
            instance,
            clock,
            state: Arc::clone(&state),
        };
        // The first one is made here: a lease that is held is trusted.
        keeper.ask();
        let (stop, stopped) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(StoreError::Thread)?;
        let thread = thread::Builder::new()
            .name("redkeep-lease".to_owned())
            .spawn(move || keeper.serve(&runtime, stopped))
            .map_err(StoreError::Thread)?;
        Ok(Self {
            state,
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The number of the term.
    pub fn epoch(&self) -> i64 {
        self.state.epoch
    }

    pub(crate) fn fence(&self) -> Fence {
        self.state.fence.clone()
    }

    /// Whether nobody else can have taken the lease yet: only then anything is deleted, shortened or sent.
    pub fn is_trusted(&self) -> bool {
        self.state.hold().is_trusted(boottime())
    }

    /// Whether the server answered when it was last asked; where it did not, nobody who works waits for it.
    pub(crate) fn is_reached(&self) -> bool {
        self.state.hold().is_reached()
    }

    /// Whether somebody has asked for the lease to be given up.
    pub fn is_wanted(&self) -> bool {
        self.state.hold().is_wanted()
    }

    /// How many changes the shared history had seen when the lease was renewed last.
    pub(crate) fn changes(&self) -> i64 {
        self.state.hold().changes()
    }

    /// Ends when somebody else has the lease.
    pub async fn lost(&self) {
        let mut lost = self.state.is_lost.subscribe();
        // The sender lives as long as this does.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    pub(crate) fn lose(&self) {
        self.state.hold().lose();
        self.state.is_lost.send_replace(true);
    }

    /// Gives the lease up, so that another instance takes it at once. Blocks for as long as the server needs to answer.
    pub fn give_up(&self) {
        // A thread that has ended has lost the lease.
        let _ = self.stop.send(());
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // Its panic would have been logged; the lease then ends by itself.
            let _ = thread.join();
        }
    }
}

/// The thread that renews a lease.
struct Keeper {
    wire: Wire,
    instance: Instance,
    clock: Arc<dyn Clock>,
    since: DateTime<Utc>,
    state: Arc<State>,
}

impl Keeper {
    fn serve(self, runtime: &Runtime, mut stop: mpsc::UnboundedReceiver<()>) {
        loop {
            // The runtime waits for spans of time, which a clock that is set does not change.
            let asked = runtime.block_on(async { timeout(LOOK_EACH, stop.recv()).await });
            match asked {
                Err(_) => {}
                // A process that ends without a word holds the lease until others have counted to the end.
                Ok(None) => return,
                Ok(Some(())) => return self.release(),
            }
            if self.state.hold().is_lost() {
                return;
            }
            self.ask();
        }
    }

    fn ask(&self) {
        let sent = boottime();
        let question = self.state.hold().question(sent);
        let heard = match question {
            Question::Renew => self.renew(),
            Question::Look => self.look(),
        };
        self.state.hear(question, sent, heard);
        if question == Question::Renew && matches!(heard, Heard::Ours { .. }) {
            // What people are told decides nothing.
            let _ = tell(&self.wire, &self.instance, "working", self.since);
        }
    }

    fn renew(&self) -> Heard {
        let asked = self.wire.query(
            "WITH renewed AS (UPDATE {s}.leases SET renewals = renewals + 1
                     WHERE shard = $1 AND holder = $2::uuid AND epoch = $3
                     RETURNING changes, coalesce(wanted_by, '') AS wanted_by),
                 noted AS (UPDATE {s}.terms SET renewed_at = $4 FROM renewed
                     WHERE shard = $1 AND epoch = $3 AND holder = $2::uuid)
                 SELECT changes, wanted_by FROM renewed",
            vec![
                Value::from(SHARD.to_owned()),
                Value::from(self.instance.id.clone()),
                Value::from(self.state.epoch),
                Value::from(to_text(self.clock.now())),
            ],
        );
        match asked {
            Err(Trouble::Unreachable(_) | Trouble::Refused { .. }) => Heard::Nothing,
            Ok(rows) => rows.first().map_or(Heard::Another, |row| {
                self.ours(number(row.first()), &text(row.get(1)))
            }),
        }
    }

    fn look(&self) -> Heard {
        let Ok(view) = view(&self.wire) else {
            return Heard::Nothing;
        };
        match self
            .state
            .fence
            .holds(view.holder.as_deref(), view.pulse.epoch)
        {
            true => self.ours(view.changes, view.wanted_by.as_deref().unwrap_or_default()),
            false => Heard::Another,
        }
    }

    fn ours(&self, changes: i64, wanted_by: &str) -> Heard {
        Heard::Ours {
            changes,
            is_wanted: !wanted_by.is_empty() && wanted_by != self.instance.name,
        }
    }

    fn release(&self) {
        // Where that does not arrive, the others count to the end.
        let _ = self.wire.query("WITH released AS (UPDATE {s}.leases SET holder = NULL, name = '', renewals = renewals + 1, wanted_by = NULL
                     WHERE shard = $1 AND holder = $2::uuid AND epoch = $3)
                 UPDATE {s}.terms SET ended_at = $4, renewed_at = $4
                 WHERE shard = $1 AND epoch = $3 AND holder = $2::uuid", vec![
                Value::from(SHARD.to_owned()),
                Value::from(self.instance.id.clone()),
                Value::from(self.state.epoch),
                Value::from(to_text(self.clock.now())),
            ]);
    }
}

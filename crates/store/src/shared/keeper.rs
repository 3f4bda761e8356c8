//! The lease, while this instance holds it.
//!
//! Owns: the thread that renews it, what other threads may know of it, and giving it up. What is asked when, and what follows
//! from the answers, `redkeep_core::lease` says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::Fence;
use super::dial::Server;
use super::instances::{Instance, Peers, tell};
use super::lease::{self, Term};
use super::wire::{Trouble, Wire};
use crate::error::StoreError;
use redkeep_core::lease::{Heard, Hold, LOOK_EACH, Question};
use redkeep_serve::clock::{Clock, boottime};

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
    term: Term,
    hold: Mutex<Hold>,
    /// Wakes those who wait for its loss.
    is_lost: watch::Sender<bool>,
    peers: Mutex<Peers>,
    config_hash: Mutex<String>,
    /// Whether the last commit succeeded.
    is_recorded: AtomicBool,
}

impl State {
    fn hold(&self) -> MutexGuard<'_, Hold> {
        locked(&self.hold)
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
    pub(super) fn keep(
        server: Server,
        instance: Instance,
        epoch: i64,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let wire = Wire::new(server).map_err(StoreError::Thread)?;
        let holder = instance.id.clone();
        let state = Arc::new(State {
            term: Term { holder, epoch },
            hold: Mutex::default(),
            is_lost: watch::Sender::new(false),
            peers: Mutex::default(),
            config_hash: Mutex::new(instance.config_hash.clone()),
            is_recorded: AtomicBool::new(true),
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
        self.state.term.epoch
    }

    pub(crate) fn fence(&self) -> Fence {
        self.state.term.fence()
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

    /// How many instances there were when this one told of itself last.
    pub(crate) fn peers(&self) -> Peers {
        *locked(&self.state.peers)
    }

    /// Says which configuration is in force from now on.
    pub(crate) fn configured(&self, hash: String) {
        *locked(&self.state.config_hash) = hash;
    }

    /// Notes whether the last commit succeeded.
    pub(crate) fn committed(&self, is_recorded: bool) {
        let noted = &self.state.is_recorded;
        noted.store(is_recorded, Ordering::Relaxed);
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
        let thread = locked(&self.thread).take();
        if let Some(thread) = thread {
            // Its panic would have been logged; the lease then ends by itself.
            let _ = thread.join();
        }
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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
            let is_lost = || self.state.hold().is_lost();
            match asked {
                Err(_) => {}
                // A process that ends without a word holds the lease until others have counted to the end.
                Ok(None) if !is_lost() => return,
                Ok(_) => return self.release(),
            }
            if !is_lost() {
                self.ask();
            }
            if is_lost() {
                // Where it is still this instance's, which is of no more use, others are to have it at once.
                return self.release();
            }
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
            let instance = Instance {
                config_hash: locked(&self.state.config_hash).clone(),
                ..self.instance.clone()
            };
            // What people are told decides nothing.
            if let Ok(peers) = tell(&self.wire, &instance, "working", self.since) {
                *locked(&self.state.peers) = peers;
            }
        }
    }

    fn renew(&self) -> Heard {
        match lease::renew(
            &self.wire,
            &self.state.term,
            self.clock.now(),
            self.is_recorded(),
        ) {
            Err(Trouble::Unreachable(_) | Trouble::Refused { .. }) => Heard::Nothing,
            Ok(None) => Heard::Another,
            Ok(Some((changes, wanted_by))) => self.ours(changes, &wanted_by),
        }
    }

    fn look(&self) -> Heard {
        let Ok(view) = lease::view(&self.wire) else {
            return Heard::Nothing;
        };
        let fence = self.state.term.fence();
        let is_ours = fence.holds(view.holder.as_deref(), view.pulse.epoch);
        match is_ours && view.check_floor().is_ok() {
            true => self.ours(view.changes, view.wanted_by.as_deref().unwrap_or_default()),
            false => Heard::Another,
        }
    }

    fn is_recorded(&self) -> bool {
        self.state.is_recorded.load(Ordering::Relaxed)
    }

    fn ours(&self, changes: i64, wanted_by: &str) -> Heard {
        Heard::Ours {
            changes,
            is_wanted: !wanted_by.is_empty() && wanted_by != self.instance.name,
        }
    }

    fn release(&self) {
        // Where that does not arrive, the others count to the end.
        let _ = lease::release(
            &self.wire,
            &self.state.term,
            self.clock.now(),
            self.is_recorded(),
        );
    }
}

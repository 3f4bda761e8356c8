//! Waiting until this instance is the one that works.
//!
//! Owns: the steps of an instance between two terms: looking at the lease, keeping its copy of the history, taking the lease
//! when it is free, and working without the database where nobody has been able to reach it for long. When a lease is free,
//! `redkeep_core::lease` says.

use std::sync::Arc;

use redkeep_core::lease::{LOOK_EACH, Look, Patience, Pulse, Sight, TAKEOVER_AFTER, Turn as Next};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::clock::{Clock, boottime, sleep};
use crate::daemon::Signal;
use crate::error_chain::with_causes;
use crate::store::{EndpointKind, LeaseView, Opened, Seat, Server, Store, StoreError};

use super::Failure;
use super::wiring::{Shown, other, unusable_store};

/// How the name of an instance ends that is a command: whoever runs as a daemon asks it for the lease.
pub(super) const COMMAND: &str = " (a command)";

/// What kind of process waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One that works on every slot.
    Daemon,
    /// One that works on what a person asked for, until that is done.
    Command,
}

/// An instance that waits for its turn.
pub(super) struct Standby {
    seat: Option<Seat>,
    server: Server,
    path: std::path::PathBuf,
    kind: EndpointKind,
    clock: Arc<dyn Clock>,
    patience: Patience,
    told: String,
}

/// How waiting ended.
pub(super) enum Turn {
    /// This instance works from now on.
    Works(Box<Opened>),
    /// It works on its copy, because nobody has reached the database for long.
    Orphan(Box<Opened>),
    /// It is to stop.
    Stopped,
}

impl Standby {
    pub(super) fn new(
        seat: Seat,
        server: Server,
        path: std::path::PathBuf,
        kind: EndpointKind,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            seat: Some(seat),
            server,
            path,
            kind,
            clock,
            patience: Patience::default(),
            told: String::new(),
        }
    }

    /// Leaves the lease to others for a while.
    pub(super) fn yield_for_now(&mut self) {
        self.patience.yielded(boottime());
    }

    /// Waits for this instance's turn.
    pub(super) async fn wait(
        &mut self,
        shown: &Shown,
        signals: &mut mpsc::Receiver<Signal>,
    ) -> Result<Turn, Failure> {
        let mut is_ready = false;
        self.patience.begin(boottime());
        loop {
            let looked = self.look_alive(shown).await?;
            self.report(&looked, shown);
            if !is_ready && looked.is_ok() {
                shown.notifier.ready("standing by");
                is_ready = true;
            }
            shown.notifier.feed_watchdog();
            match self.patience.after(seen(&looked), boottime()) {
                Next::Take(pulse) => {
                    if let Some(opened) = self.take(pulse).await? {
                        return Ok(Turn::Works(Box::new(opened)));
                    }
                }
                Next::Want => {
                    // Where that is not heard, it is said again with the next look.
                    let _ = self.with_seat(|seat| seat.want()).await?;
                }
                Next::Orphan => {
                    if let Some(opened) = self.without_database().await {
                        return Ok(Turn::Orphan(Box::new(opened)));
                    }
                }
                Next::Wait => {}
            }
            if let Err(error) = looked
                && !error.is_storage()
            {
                return Err(unusable_store(error));
            }
            tokio::select! {
                signal = signals.recv() => if !matches!(signal, Some(Signal::Reload)) {
                    return Ok(Turn::Stopped);
                },
                () = sleep(LOOK_EACH) => {}
            }
        }
    }

    /// Waits until a lease is free, or its holder has shown that it lives; `None` then.
    pub(super) async fn take_if_free(&mut self) -> Result<Option<Opened>, Failure> {
        let mut first = None;
        let began = boottime();
        loop {
            match self.look().await?.map_err(unusable_store)? {
                (_, Sight::Free(pulse)) => return self.take(pulse).await,
                (view, Sight::Held) => {
                    let seen = *first.get_or_insert(view.pulse);
                    let is_late = boottime() - began > TAKEOVER_AFTER * 2;
                    if seen != view.pulse || is_late {
                        return Ok(None);
                    }
                }
            }
            sleep(LOOK_EACH).await;
        }
    }

    /// Ends when the server answers again.
    pub(super) async fn answered(&mut self) -> Result<(), Failure> {
        while let Err(error) = self.look().await? {
            drop(error);
            sleep(LOOK_EACH).await;
        }
        Ok(())
    }

    /// Says that this instance is gone.
    pub(super) async fn leave(mut self) {
        if let Some(seat) = self.seat.take() {
            // It is told of what is seen of others only.
            let _ = tokio::task::spawn_blocking(move || seat.leave()).await;
        }
    }

    /// Looks, and says meanwhile that this process lives: the first copy of a large history takes minutes.
    async fn look_alive(
        &mut self,
        shown: &Shown,
    ) -> Result<Result<(LeaseView, Sight), StoreError>, Failure> {
        let clock = Arc::clone(&self.clock);
        let look = self.look();
        tokio::pin!(look);
        loop {
            tokio::select! {
                looked = &mut look => return looked,
                () = sleep(LOOK_EACH) => {
                    let turned_at = clock.monotonic();
                    shown.health.update(|condition| condition.last_turn = turned_at);
                    shown.notifier.feed_watchdog();
                }
            }
        }
    }

    async fn look(&mut self) -> Result<Result<(LeaseView, Sight), StoreError>, Failure> {
        self.with_seat(Seat::look).await
    }

    /// Takes the lease and opens the history; `None` where somebody else was faster.
    async fn take(&mut self, pulse: Pulse) -> Result<Option<Opened>, Failure> {
        let (clock, server) = (Arc::clone(&self.clock), self.server.clone());
        let (path, kind) = (self.path.clone(), self.kind);
        let taken = move |seat: &mut Seat| -> Result<Option<Opened>, StoreError> {
            let Some(taken) = seat.take(pulse, clock.now())? else {
                return Ok(None);
            };
            let lease = seat.keep(&taken, Arc::clone(&clock))?;
            Store::open_shared(server, &path, kind, clock.now(), Some((lease, taken))).map(Some)
        };
        match self.with_seat(taken).await? {
            Ok(opened) => Ok(opened),
            Err(error) if error.is_storage() => {
                warn!(
                    reason = with_causes(&error),
                    "the lease could not be taken; redkeep tries again"
                );
                Ok(None)
            }
            Err(error) => Err(unusable_store(error)),
        }
    }

    /// The copy of the history as it is, where there is one.
    async fn without_database(&mut self) -> Option<Opened> {
        let (server, path, kind) = (self.server.clone(), self.path.clone(), self.kind);
        let now = self.clock.now();
        let opened =
            tokio::task::spawn_blocking(move || Store::open_shared(server, &path, kind, now, None));
        // Without a copy of the history nobody knows what was taken before, and nothing is.
        let opened = opened.await.ok()?.ok()?;
        warn!(
            "no instance has reached the database for 5 minutes: this instance takes snapshots by its copy of the \
             history; it deletes nothing, shortens no period and sends no messages"
        );
        Some(opened)
    }

    async fn with_seat<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Seat) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let mut seat = self.seat.take().ok_or_else(lost)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut seat);
            (seat, done)
        });
        let (seat, done) = done.await.map_err(other)?;
        self.seat = Some(seat);
        Ok(done)
    }

    /// Tells the log once what is seen, and the probes each time.
    fn report(&mut self, looked: &Result<(LeaseView, Sight), StoreError>, shown: &Shown) {
        let epoch = looked.as_ref().ok().map(|(view, _)| view.pulse.epoch);
        shown.metrics.saw_database(epoch);
        let (told, trouble) = match looked {
            Ok((view, Sight::Held)) => (format!("standby of {}", view.name), None),
            Ok((_, Sight::Free(_))) => ("no instance works".to_owned(), None),
            Err(error) => (with_causes(error), Some(with_causes(error))),
        };
        if told != self.told {
            match &trouble {
                None => info!("this instance stands by: {told}"),
                Some(reason) => warn!(
                    reason,
                    "this instance stands by, and cannot reach the database"
                ),
            }
        }
        let turned_at = self.clock.monotonic();
        shown.health.update(|condition| {
            condition.last_turn = turned_at;
            condition.configured = true;
            condition.history_trouble = trouble;
            condition.unreached.clear();
        });
        self.told = told;
    }
}

/// What a look has shown, for the decision what to do next.
fn seen(looked: &Result<(LeaseView, Sight), StoreError>) -> Look {
    match looked {
        Ok((view, sight)) => Look::Seen {
            sight: *sight,
            // It works on what one person asked for, and on no slot of a schedule.
            is_of_command: view.name.ends_with(COMMAND),
        },
        Err(StoreError::Unreachable { .. }) => Look::Unreachable,
        Err(_) => Look::Failed,
    }
}

fn lost() -> Failure {
    Failure::Other("the thread that looks at the lease has died".to_owned())
}

//! Waiting until this instance is the one that works.
//!
//! Owns: the steps of an instance between two terms: looking at the lease, keeping its copy of the history, taking the lease
//! when it is free, and working without the database where nobody has been able to reach it for long. When a lease is free,
//! `redkeep_core::lease` says.

use std::sync::Arc;

use redkeep_core::lease::{
    DIFFERENT_FOR, LOOK_EACH, Lasting, Look, Patience, Pulse, Sight, TAKEOVER_AFTER, Turn as Next,
};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::clock::{Clock, boottime, sleep};
use crate::daemon::{Signal, warn_of_configurations};
use crate::error_chain::with_causes;
use crate::store::{EndpointKind, LeaseView, Opened, Seat, Server, Store, StoreError};

use super::Failure;
use super::wiring::{Shown, other, unusable_store};

/// What the service manager is told of an instance that waits.
const STANDS_BY: &str = "standing by";

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
    disagreement: Lasting,
    /// Whether the service manager knows that this instance has started.
    is_ready: bool,
    told: String,
}

/// How waiting ended.
pub(super) enum Turn {
    /// This instance works from now on.
    Works(Box<Opened>),
    /// It works on its copy, because nobody has reached the database for long.
    Orphan(Box<Opened>),
    /// The configuration is to be read anew.
    Reload,
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
        let mut patience = Patience::default();
        patience.begin(boottime());
        Self {
            seat: Some(seat),
            server,
            path,
            kind,
            clock,
            patience,
            disagreement: Lasting::new(DIFFERENT_FOR),
            is_ready: false,
            told: String::new(),
        }
    }

    /// Leaves the lease to others for a while.
    pub(super) fn yield_for_now(&mut self) {
        self.patience.yielded(boottime());
    }

    /// Begins to wait again after a term, in which nobody looked from here.
    pub(super) fn back(&mut self) {
        self.patience.begin(boottime());
    }

    /// Says which configuration is in force from now on.
    pub(super) fn configured(&mut self, fingerprint: String) {
        if let Some(seat) = &mut self.seat {
            seat.configured(fingerprint);
        }
    }

    /// Waits for this instance's turn.
    pub(super) async fn wait(
        &mut self,
        shown: &Shown,
        signals: &mut mpsc::Receiver<Signal>,
    ) -> Result<Turn, Failure> {
        if self.is_ready {
            shown.notifier.ready(STANDS_BY);
        }
        loop {
            let looked = self.look_alive(shown).await?;
            self.report(&looked, shown);
            if !self.is_ready && looked.is_ok() {
                shown.notifier.ready(STANDS_BY);
                self.is_ready = true;
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
            match looked {
                // The instance that is to take its place works; that this one ends would only have it started again.
                Err(StoreError::ServerNewer { .. }) | Ok(_) => {}
                Err(error) if error.is_storage() => {}
                Err(error) => return Err(unusable_store(error)),
            }
            tokio::select! {
                signal = signals.recv() => return Ok(match signal {
                    Some(Signal::Reload) => Turn::Reload,
                    _ => Turn::Stopped,
                }),
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

    /// Ends when the server answers again, be it that it has no use for this instance.
    pub(super) async fn answered(&mut self) -> Result<(), Failure> {
        loop {
            match self.look().await? {
                Ok(_) | Err(StoreError::ServerNewer { .. } | StoreError::Moved { .. }) => {
                    return Ok(());
                }
                Err(_) => sleep(LOOK_EACH).await,
            }
        }
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
        let now = self.clock.now();
        self.with_seat(move |seat| seat.look(now)).await
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
        let is_up = !matches!(looked, Err(StoreError::Unreachable { .. }));
        shown.metrics.saw_database(is_up, epoch);
        if let (Some(seat), true) = (&self.seat, looked.is_ok()) {
            let (alive, otherwise) = (seat.peers().alive, seat.peers().configured_otherwise);
            shown.metrics.saw_instances(alive, otherwise);
            if self.disagreement.see(otherwise > 0, boottime()) {
                warn_of_configurations(otherwise);
            }
        }
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
                    "this instance stands by, and cannot use the database"
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
        Err(StoreError::ServerNewer { .. }) => Look::Outdated,
        Err(_) => Look::Failed,
    }
}

fn lost() -> Failure {
    Failure::Other("the thread that looks at the lease has died".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::settings::{Database, DatabaseAuth};
    use crate::store::Instance;

    /// One whose server does not answer, and which has a copy of a history.
    async fn without_server(directory: &std::path::Path) -> Standby {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (path, kind) = (directory.join("history.db"), EndpointKind::Other);
        let begun = Store::open(&path, kind, clock.now()).unwrap();
        begun.store.close().await.unwrap();
        let database = Database {
            // Nobody listens on that port.
            hosts: vec![("127.0.0.1".to_owned(), 1)],
            user: "redkeep".to_owned(),
            name: "redkeep".to_owned(),
            schema: "redkeep".to_owned(),
            auth: DatabaseAuth::Password,
            ca_file: None,
            password_file: None,
            instance: None,
        };
        let password: crate::store::Password = Arc::new(|| Box::pin(async { Ok(None) }));
        let server = Server { database, password };
        let instance = Instance::new("a".to_owned(), "0", String::new()).unwrap();
        let seat = Seat::new(server.clone(), &path, instance, clock.now()).unwrap();
        Standby::new(seat, server, path, kind, clock)
    }

    #[tokio::test]
    async fn a_silence_before_it_began_to_wait_makes_nobody_work_without_the_database() {
        let name = format!("redkeep-standby-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let mut standby = without_server(&directory).await;
        let shown = Shown::new(&SystemClock::new()).unwrap();
        let (stop, mut signals) = mpsc::channel(1);
        // As after a term that was longer than anybody waits for a database.
        standby.patience = Patience::default();
        standby.back();
        let stops = async {
            sleep(LOOK_EACH * 2).await;
            stop.send(Signal::Stop).await.unwrap();
        };
        let (turn, ()) = tokio::join!(standby.wait(&shown, &mut signals), stops);
        assert!(matches!(turn.unwrap(), Turn::Stopped));
        let opened = standby.without_database().await;
        assert!(opened.is_some(), "it could have");
        std::fs::remove_dir_all(directory).unwrap();
    }
}

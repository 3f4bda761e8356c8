//! The daemon: observe → plan → commit → call → record → sleep.
//!
//! Owns: the loop, the reload, the shutdown. Never decides what is due or what an answer means: the plan
//! and `reply` do, and this shell carries it out. The loop is level-triggered: it looks at what is, and no
//! wake-up has to come in time for it to be right.

mod event_log;
mod inbox;
mod mode;
mod pending;
mod publish;
mod reload;
#[cfg(test)]
mod tests;
mod ticker;
mod trouble;
mod writing;
mod zones;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tracing::{error, info, warn};

use crate::aws::OutgoingClient;
use crate::clock::{Clock, sleep};
use crate::config::zones::Place;
use crate::config::{Config, ConfigErrors};
use crate::engine::{Engine, Step};
use crate::error_chain::with_causes;
use crate::execute;
use crate::history::{Change, news};
use crate::http::Health;
use crate::metrics::{Intervals, Metrics, Reload};
use crate::notify::{Means, Senders};
use crate::page::Board;
use crate::plan::{Alarm, Call, Extent, LONGEST_SLEEP};
use crate::policy::CredentialSource;
use crate::redshift::Redshift;
use crate::reply::Reply;
use crate::slot::Scope;
use crate::store::{StartedOver, Store, StoreError};
use crate::systemd::Notifier;

pub use crate::execute::execute;
pub use event_log::tell_lost;
pub use mode::{Exit, Mode};

use pending::PendingChanges;
use reload::loaded;
use ticker::Tick;
use zones::Watch;

/// So many answers are taken in before one plan: a signal and a tick are heard in between.
const MAX_ANSWERS_PER_TURN: usize = 200;
/// Showing how things stand takes one part in so many of the time at most.
const SHOW_EACH: u32 = 30;
/// Wall and monotonic clock further apart than this: somebody set the clock.
const CLOCK_STEP: TimeDelta = TimeDelta::seconds(5);

/// What the outside asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Read the configuration again.
    Reload,
    /// Stop: start nothing, let the calls in flight end.
    Stop,
}

/// Makes the client of a scope, with the credentials of its account.
pub type Connect<R> =
    Box<dyn Fn(CredentialSource, Scope) -> Pin<Box<dyn Future<Output = R> + Send>> + Send>;

/// Reads the configuration anew.
pub type Reading =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Config, ConfigErrors>> + Send>> + Send>;

/// Everything that the daemon is made of and that `main` chooses.
pub struct Parts<R> {
    /// The engine at the start.
    pub engine: Engine,
    /// The history's keeper.
    pub store: Store,
    /// Why it cannot write now, where it cannot.
    pub trouble: Option<String>,
    /// Whether all of it was looked at; else that is done beside the daemon's work.
    pub is_checked: bool,
    /// Makes the client of a scope.
    pub connect: Connect<R>,
    /// Reads the configuration anew.
    pub reload: Reading,
    /// Where the system's time zone data is looked for, which may be renewed meanwhile.
    pub zones: Place,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The metrics, gathered from the engine after every turn.
    pub metrics: Arc<Metrics>,
    /// What the listener tells of the daemon's health.
    pub health: Arc<Health>,
    /// What the page is told.
    pub board: Arc<Board>,
    /// The service manager.
    pub notifier: Notifier,
    /// What delivers messages to receivers.
    pub client: OutgoingClient,
}

/// The running daemon.
pub struct Daemon<R> {
    parts: Parts<R>,
    clients: BTreeMap<Scope, Arc<R>>,
    calls: JoinSet<Reply>,
    /// The check of the history, while it goes on.
    check: JoinSet<Result<Option<StartedOver>, StoreError>>,
    under_way: HashMap<Id, (Call, DateTime<Utc>)>,
    pending: PendingChanges,
    alarms: BTreeMap<Alarm, String>,
    /// Where AWS throttles, as far as that was told.
    slowed: BTreeSet<Scope>,
    reload: Reload,
    intervals: Intervals,
    wake_at: DateTime<Utc>,
    inbox_failed: bool,
    clocks: (DateTime<Utc>, Duration),
    failures: usize,
    /// Whether something has happened since the metrics were published.
    is_outdated: bool,
    /// Not before this are they published again.
    show_from: Duration,
    status_told: String,
    zones: Watch,
    senders: Senders,
    /// What commands were told to keep slots from beginning: account, region, and what follows.
    troubles_told: Option<Vec<(String, String, String)>>,
    /// The task that tells them.
    telling: Option<JoinHandle<()>>,
}

impl<R: Redshift> Daemon<R> {
    /// A daemon that has done nothing yet.
    pub fn new(parts: Parts<R>) -> Self {
        let now = parts.clock.now();
        let clocks = (now, parts.clock.monotonic());
        Self {
            clients: BTreeMap::new(),
            calls: JoinSet::new(),
            check: JoinSet::new(),
            under_way: HashMap::new(),
            pending: PendingChanges::default(),
            alarms: BTreeMap::new(),
            slowed: BTreeSet::new(),
            reload: loaded(now),
            intervals: Intervals::compute(parts.engine.config(), now),
            wake_at: now,
            inbox_failed: false,
            clocks,
            failures: 0,
            is_outdated: false,
            show_from: Duration::ZERO,
            status_told: String::new(),
            zones: Watch::new(parts.clock.monotonic()),
            senders: Senders::default(),
            troubles_told: None,
            telling: None,
            parts,
        }
    }

    /// Runs until a signal stops it, or until one pass is finished.
    pub async fn run(mut self, mode: Mode, mut signals: mpsc::Receiver<Signal>) -> Exit {
        self.connect().await;
        self.parts.engine.set_extent(match mode {
            Mode::Service => Extent::Endless,
            Mode::OnePass => Extent::UpTo(self.parts.clock.now()),
            Mode::Take(_) | Mode::TakeAccepted(_) | Mode::Operations => Extent::Requests,
        });
        self.receive().await;
        let (ticks, mut ticking) = mpsc::channel(4);
        let scheduler = ticker::start(ticks).await;
        if let Err(reason) = &scheduler {
            // The loop wakes by itself, though later; slots are still made.
            error!(%reason, "the ticker did not start; slots may start up to 30 s late");
        }
        self.tell_configuration();
        // The histograms of the policies exist from the first publication on.
        self.publish();
        self.beat();
        self.begin_writing();
        self.begin_checking();
        self.parts.engine.recover(self.parts.clock.now());
        if matches!(mode, Mode::Service | Mode::OnePass) {
            self.set_senders().await;
        }
        self.parts.notifier.ready(&self.status());
        let zone_data = &self.parts.engine.config().zone_data;
        info!(
            tzdb = %zone_data.version,
            tzdb_source = zone_data.source.as_str(),
            "redkeep {} started",
            env!("CARGO_PKG_VERSION")
        );
        loop {
            self.turn().await;
            if self.is_finished(&mode) {
                break;
            }
            if !self.wait(&mut ticking, &mut signals).await {
                break;
            }
        }
        self.drain().await;
        if self.is_outdated {
            self.show_from = Duration::ZERO;
            self.show_in_time();
        }
        info!("stopped");
        self.ending(mode).await
    }

    /// Waits until there may be something to plan; `false` when the daemon is to stop.
    async fn wait(
        &mut self,
        ticking: &mut mpsc::Receiver<Tick>,
        signals: &mut mpsc::Receiver<Signal>,
    ) -> bool {
        let longest = sleep(self.longest_sleep());
        tokio::pin!(longest);
        loop {
            tokio::select! {
                Some(reply) = self.calls.join_next_with_id() => {
                    self.answered(reply);
                    self.take_in_the_others();
                    return true;
                }
                Some(Ok(checked)) = self.check.join_next() => if self.checked(checked).await {
                    return true;
                },
                Some(tick) = ticking.recv() => if self.ticked(tick).await {
                    return true;
                },
                signal = signals.recv() => return match signal {
                    Some(Signal::Reload) => {
                        self.reload().await;
                        true
                    }
                    Some(Signal::Stop) | None => false,
                },
                () = &mut longest => return true,
            }
        }
    }

    /// Takes in the answers that have come as well: one plan is made for all of them.
    fn take_in_the_others(&mut self) {
        for _ in 1..MAX_ANSWERS_PER_TURN {
            let Some(reply) = self.calls.try_join_next_with_id() else {
                return;
            };
            self.answered(reply);
        }
    }

    /// Makes the clients that are missing.
    async fn connect(&mut self) {
        for scope in self.parts.engine.observed().scopes.keys() {
            let account = self.parts.engine.config().account(&scope.account);
            if let (Some(account), false) = (account, self.clients.contains_key(scope)) {
                let client = (self.parts.connect)(account.identity.clone(), scope.clone()).await;
                self.clients.insert(scope.clone(), Arc::new(client));
            }
        }
    }

    /// Carries out what the engine asks for, until it has nothing more to do.
    async fn turn(&mut self) {
        self.watch_clocks();
        self.commit(Vec::new()).await;
        self.wake_at = loop {
            match self.parts.engine.next(self.parts.clock.now()) {
                Step::Commit(changes) => self.commit(changes).await,
                Step::Call { call, planned_at } => self.dispatch(call, planned_at),
                Step::Sleep { until } => break until,
            }
        };
        self.count_violations();
        self.beat();
        self.show_in_time();
    }

    /// Tells of alarms and publishes, unless that was done so lately that it would take too large a part of the time: a
    /// tick comes back to it.
    fn show_in_time(&mut self) {
        let began_at = self.parts.clock.monotonic();
        self.is_outdated = began_at < self.show_from;
        if self.is_outdated {
            return;
        }
        let alarms = self.parts.engine.alarms(self.parts.clock.now());
        let (engine, now) = (&self.parts.engine, self.parts.clock.now());
        event_log::alarms(&self.alarms, &alarms, engine, now);
        self.parts.board.alarm(&alarms, engine.history(), now);
        self.tell_troubles();
        self.alarms = alarms;
        let (observed, now) = (self.parts.engine.observed(), self.parts.clock.now());
        self.slowed = event_log::throttling(&self.slowed, observed, now);
        self.publish();
        let ended_at = self.parts.clock.monotonic();
        self.show_from = ended_at + ended_at.saturating_sub(began_at) * SHOW_EACH;
    }

    /// Commits changes, then applies them. A store that cannot write stops nothing: the identifiers and tags
    /// are the ledger, and what could not be written is kept and tried again.
    async fn commit(&mut self, changes: Vec<Change>) {
        self.pending.extend(&changes);
        let mut stay = Vec::new();
        if self.pending.is_due(self.parts.clock.monotonic()) {
            let was_failing = self.pending.is_failing();
            let trouble = match self.parts.store.commit(self.pending.changes()).await {
                Ok(runs) => {
                    self.senders.wake(self.pending.told());
                    self.pending.written();
                    stay = runs;
                    None
                }
                Err(error) => {
                    self.pending.failed(self.parts.clock.monotonic());
                    Some(with_causes(&error))
                }
            };
            let has_recovered = was_failing && trouble.is_none();
            self.tell_writing(was_failing, trouble);
            if has_recovered {
                self.reread().await;
            }
        }
        let changes = news(changes, &stay);
        for change in &changes {
            self.note(change);
        }
        self.parts.engine.committed(changes, stay);
        let is_written = self.pending.is_written();
        self.parts.engine.set_written(is_written);
    }

    /// Begins the delivery to the receivers of the configuration in force.
    async fn set_senders(&mut self) {
        let config = self.parts.engine.config();
        let parts = &self.parts;
        let means = Means {
            store: parts.store.clone(),
            clock: Arc::clone(&parts.clock),
            metrics: Arc::clone(&parts.metrics),
            health: Arc::clone(&parts.health),
            namespace: config.namespace.clone(),
            client: parts.client.clone(),
        };
        self.senders.set(&config.receivers, &means).await;
    }

    /// A plan that breaks a rule is a defect of redkeep: it is told, and it is counted.
    fn count_violations(&mut self) {
        for violation in self.parts.engine.take_violations() {
            error!(%violation, "a plan breaks a rule of redkeep's own; please report it");
            self.parts.metrics.violated(&violation);
        }
    }

    /// Logs and measures a change before it is applied.
    fn note(&mut self, change: &Change) {
        let history = self.parts.engine.history();
        event_log::change(change, history);
        if let Change::Adopted(run) = change
            && self.parts.engine.lacks_slot_of(run)
        {
            event_log::slot_of_others(run, &self.parts.engine.config().zone_data);
        }
        let Change::Run(run) = change else { return };
        let before = history.runs.get(&run.slot);
        self.parts.metrics.stepped(before, run);
        let ends_now = run.is_ended() && before.is_none_or(|before| !before.is_ended());
        if ends_now && !run.is_good() {
            self.failures += 1;
        }
    }

    fn dispatch(&mut self, call: Call, planned_at: DateTime<Utc>) {
        let Some(client) = self.clients.get(call.scope()).map(Arc::clone) else {
            let lost = execute::lost(call, planned_at);
            return self.parts.engine.answered(lost, planned_at);
        };
        let call_made = execute::execute(call.clone(), client, planned_at);
        let id = self.calls.spawn(call_made).id();
        self.under_way.insert(id, (call, planned_at));
    }

    fn answered(&mut self, joined: Result<(Id, Reply), JoinError>) {
        let (id, reply) = match joined {
            Ok((id, reply)) => (id, Some(reply)),
            Err(panicked) => (panicked.id(), None),
        };
        let Some((call, began_at)) = self.under_way.remove(&id) else {
            return;
        };
        let reply = reply.unwrap_or_else(|| execute::lost(call, began_at));
        self.parts.engine.answered(reply, self.parts.clock.now());
    }

    /// Whether there is something to plan.
    async fn ticked(&mut self, tick: Tick) -> bool {
        match tick {
            Tick::Second => {
                if self.is_outdated {
                    self.show_in_time();
                }
                let is_news = self.receive().await | self.watch_zones().await;
                is_news || self.wake_at <= self.parts.clock.now()
            }
            Tick::Upkeep => {
                tokio::spawn(self.upkeep());
                false
            }
        }
    }

    /// Notices that somebody has set the clock: then AWS's is asked again before anything starts.
    fn watch_clocks(&mut self) {
        let (now, monotonic) = (self.parts.clock.now(), self.parts.clock.monotonic());
        let (wall_before, monotonic_before) = self.clocks;
        let passed = TimeDelta::from_std(monotonic.saturating_sub(monotonic_before));
        let step = (now - wall_before) - passed.unwrap_or_default();
        if step.abs() > CLOCK_STEP {
            warn!(
                seconds = step.num_seconds(),
                "the clock was set; asking AWS for the time"
            );
            self.parts.engine.forget_clocks(now);
        }
        self.clocks = (now, monotonic);
    }

    /// Until a second after the plan's wake-up: the ticker is to come first, but where the clock was set
    /// back it stays silent until the old time has come round again.
    fn longest_sleep(&self) -> Duration {
        let wanted = self.wake_at - self.parts.clock.now() + TimeDelta::seconds(1);
        let longest = wanted.clamp(TimeDelta::seconds(1), LONGEST_SLEEP).to_std();
        let longest = longest.unwrap_or(Duration::from_secs(1));
        self.parts
            .notifier
            .watchdog_interval()
            .map_or(longest, |half| half.min(longest))
    }
}

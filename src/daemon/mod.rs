//! The daemon: observe → plan → commit → call → record → sleep.
//!
//! Owns: the loop, the reload, the shutdown. Never decides what is due or what an answer means: the plan
//! and `reply` do, and this shell carries it out. The loop is level-triggered: it looks at what is, and no
//! wake-up has to come in time for it to be right.

mod calls;
mod event_log;
mod inbox;
mod mode;
mod publish;
mod question;
mod reload;
#[cfg(test)]
mod tests;
mod ticker;
mod trouble;
mod wake;
mod writing;
mod zones;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinHandle, JoinSet};
use tracing::{error, info};

use crate::aws::OutgoingClient;
use crate::clock::Clock;
use crate::config::zones::Place;
use crate::config::{Config, ConfigErrors};
use crate::engine::{Engine, PendingChanges, Requests, Step};
use crate::history::{Change, news};
use crate::http::Health;
use crate::metrics::{Intervals, Metrics, Reload};
use crate::notify::{Means, Senders};
use crate::page::Board;
use crate::plan::{Alarm, Call, Extent};
use crate::policy::CredentialSource;
use crate::redshift::Redshift;
use crate::reply::Reply;
use crate::run::Run;
use crate::slot::Scope;
use crate::store::{StartedOver, Store, StoreError};
use crate::systemd::Notifier;

pub use crate::execute::execute;
pub use event_log::tell_lost;
pub use mode::{Exit, Mode};
pub use publish::warn_of_configurations;

use redkeep_core::lease::{DIFFERENT_FOR, Lasting, UNFIT_FOR};

use question::Question;
use reload::loaded;
use zones::Watch;

/// Showing how things stand takes at most one part in this many of the time.
const SHOW_EACH: u32 = 30;
/// However little it takes, it is not done again sooner.
const SHOW_APART: Duration = Duration::from_millis(500);
/// A turn that takes longer goes on after others were heard: signals, ticks and answers.
const LONGEST_TURN: Duration = Duration::from_millis(250);
/// Wall and monotonic clock further apart than this: somebody set the clock.
const CLOCK_STEP: TimeDelta = TimeDelta::seconds(5);

/// What the outside asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Read the configuration again.
    Reload,
    /// Stop: start nothing, let the calls in flight end.
    Stop,
    /// The same, so that another instance works; the process goes on.
    Yield,
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
    /// The history.
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
    pub notifier: Arc<Notifier>,
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
    /// The commit that was not answered in time.
    writing: Question<Vec<Run>>,
    /// The question for what people ask for that was not.
    asking: Question<Option<Requests>>,
    alarms: BTreeMap<Alarm, event_log::Logged>,
    /// Where AWS throttles, as far as that was told.
    slowed: BTreeSet<Scope>,
    reload: Reload,
    intervals: Intervals,
    wake_at: DateTime<Utc>,
    /// Whether the last turn took so long that it was cut off.
    is_cut: bool,
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
    disagreement: Lasting,
    /// Whether this instance cannot do its work while another one could try.
    unfit: Lasting,
    /// Whether somebody wants another instance to work.
    is_asked_to_yield: bool,
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
            writing: Question::None,
            asking: Question::None,
            alarms: BTreeMap::new(),
            slowed: BTreeSet::new(),
            reload: loaded(now),
            intervals: Intervals::compute(parts.engine.config(), now),
            wake_at: now,
            is_cut: false,
            inbox_failed: false,
            clocks,
            failures: 0,
            is_outdated: false,
            show_from: Duration::ZERO,
            status_told: String::new(),
            zones: Watch::new(parts.clock.monotonic()),
            senders: Senders::default(),
            disagreement: Lasting::new(DIFFERENT_FOR),
            unfit: Lasting::new(UNFIT_FOR),
            is_asked_to_yield: false,
            troubles_told: None,
            telling: None,
            parts,
        }
    }

    /// Runs until a signal stops it, or until one pass is finished.
    pub async fn run(mut self, mode: Mode, signals: &mut mpsc::Receiver<Signal>) -> Exit {
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
            error!(%reason, "the ticker did not start; slots may start up to 30 seconds late");
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
        let store = self.parts.store.clone();
        let lost = store.lost();
        tokio::pin!(lost);
        loop {
            self.turn().await;
            let is_finished = !self.is_cut && self.is_finished(&mode);
            if is_finished || self.is_asked_to_yield {
                break;
            }
            let goes_on = tokio::select! {
                biased;
                () = &mut lost => return self.superseded().await,
                goes_on = self.wait(&mut ticking, signals) => goes_on,
            };
            if !goes_on {
                break;
            }
        }
        self.drain().await;
        if self.is_outdated {
            self.show_from = Duration::ZERO;
            self.show_in_time();
        }
        if !self.is_asked_to_yield {
            info!("stopped");
        }
        self.ending(mode).await
    }

    /// Carries out what the engine asks for, until it has nothing more to do or that has taken long.
    async fn turn(&mut self) {
        let began_at = self.parts.clock.monotonic();
        self.watch_clocks();
        self.commit(Vec::new()).await;
        self.is_cut = false;
        self.wake_at = loop {
            let now = self.parts.clock.now();
            match self.parts.engine.next(now) {
                Step::Commit(changes) => self.commit(changes).await,
                Step::Call { call, planned_at } => self.dispatch(call, planned_at),
                Step::Sleep { until } => break until,
            }
            let took = self.parts.clock.monotonic().saturating_sub(began_at);
            // What was committed for a call is followed by the call.
            self.is_cut = took > LONGEST_TURN && !self.parts.engine.has_calls();
            if self.is_cut {
                break now;
            }
        };
        self.count_violations();
        self.beat();
        self.show_in_time();
    }

    /// Tells of alarms and publishes, unless that was done a moment ago and would take too large a part of the time: a
    /// tick comes back to it.
    fn show_in_time(&mut self) {
        let began_at = self.parts.clock.monotonic();
        self.is_outdated = began_at < self.show_from;
        if self.is_outdated {
            return;
        }
        let alarms = self.parts.engine.alarms(self.parts.clock.now());
        let (engine, now) = (&self.parts.engine, self.parts.clock.now());
        let before = std::mem::take(&mut self.alarms);
        self.alarms = event_log::alarms(before, &alarms, engine, now);
        self.parts.board.alarm(&alarms, engine.history(), now);
        self.tell_troubles();
        let (observed, now) = (self.parts.engine.observed(), self.parts.clock.now());
        self.slowed = event_log::throttling(&self.slowed, observed, now);
        self.publish();
        let ended_at = self.parts.clock.monotonic();
        let rest = ended_at.saturating_sub(began_at) * SHOW_EACH;
        self.show_from = ended_at + rest.max(SHOW_APART);
    }

    /// Commits changes, then applies them. A store that cannot write stops nothing: the identifiers and tags
    /// are the ledger, and what could not be written is kept and tried again.
    async fn commit(&mut self, changes: Vec<Change>) {
        self.pending.extend(&changes);
        let mut stay = Vec::new();
        // What has come since a commit that was answered late is written at once.
        for _ in 0..2 {
            if self.pending.is_due(self.parts.clock.monotonic()) {
                stay.extend(self.write().await);
            }
        }
        let changes = news(changes, &stay);
        for change in &changes {
            self.note(change);
        }
        self.parts.engine.committed(changes, stay);
        let is_written = self.pending.is_written() && self.parts.store.is_trusted();
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
            error!(%violation, "a plan breaks one of redkeep's own rules; please report this defect");
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
}

//! An instance beside others: what survives its process, and the process while it waits for its turn.
//!
//! Owns: the carrying out of what `redkeep_core::lease` decides: looks, takes, renewals, copies. It has a clock that counts
//! since its machine was started, and shows every answer to the product's own `Watcher`, `Patience`, `Hold` and `Mark`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::history::Handover;
use redkeep_core::lease::{
    Fence, Heard, Hold, LOOK_EACH, Look, Mark, Patience, Question, Turn, Watcher,
};

use super::super::Sim;
use super::super::bug::Bug;
use super::super::drive::Done;
use super::super::ledger::Ledger;
use super::Link;
use super::server::{Ask, Said, Server};
use super::term::Term;

/// A connection to the server: one statement at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Of the thread that renews the lease.
    Keeper,
    /// Of the thread that has the history.
    Store,
    /// Of whoever waits for a turn.
    Seat,
}

/// What was asked and is not answered.
struct Wait {
    number: u64,
    sent_at: DateTime<Utc>,
    gives_up_at: DateTime<Utc>,
    question: Option<(Question, Duration)>,
}

/// What an instance is at.
pub enum Part {
    /// It is not running.
    Down,
    /// It waits for its turn.
    Standby,
    /// It has asked for the lease.
    Taking,
    /// It has the lease, and reads the history.
    Loading(Box<Term>),
    /// It works, by the lease or without the database.
    Works(Box<Term>),
    /// It has given the lease up, and waits for the answer.
    Leaving,
}

/// An instance.
pub struct Instance {
    /// Made anew for each process.
    pub id: String,
    /// How many processes it has had.
    pub life: u32,
    pub link: Link,
    pub part: Part,
    /// How far its copy is.
    pub mark: Mark,
    /// The id of the change that is being written.
    pub(super) next_id: String,
    /// What the copy has, since the way to the server is not open.
    kept: Option<Arc<Ledger>>,
    pub patience: Patience,
    watcher: Watcher,
    waiting: BTreeMap<Channel, Wait>,
    /// When it looks at the lease next.
    pub ticks_at: DateTime<Utc>,
    booted_at: DateTime<Utc>,
    /// What a planted bug keeps of a term that is over.
    pub leftover: Option<Box<Term>>,
    /// Whether it ends when it has left.
    pub is_ending: bool,
}

impl Instance {
    pub fn new(number: usize, now: DateTime<Utc>) -> Self {
        let number = i64::try_from(number).unwrap();
        Self {
            id: String::new(),
            life: 0,
            link: Link::Open,
            part: Part::Down,
            mark: Mark::default(),
            next_id: String::new(),
            kept: None,
            patience: Patience::default(),
            watcher: Watcher::default(),
            waiting: BTreeMap::new(),
            ticks_at: now,
            booted_at: now - TimeDelta::hours(1 + number * 777),
            leftover: None,
            is_ending: false,
        }
    }

    /// Its process is gone.
    pub fn die(&mut self) {
        self.part = Part::Down;
        self.waiting.clear();
        self.is_ending = false;
        self.leftover = None;
    }

    pub fn is_running(&self) -> bool {
        !matches!(self.part, Part::Down)
    }

    pub fn term(&self) -> Option<&Term> {
        match &self.part {
            Part::Works(term) => Some(term),
            _ => None,
        }
    }

    pub fn term_mut(&mut self) -> Option<&mut Term> {
        match &mut self.part {
            Part::Works(term) => Some(term),
            _ => None,
        }
    }

    /// Whether it works by the lease.
    pub fn is_holder(&self) -> bool {
        self.term().is_some_and(|term| term.hold.is_some())
    }

    /// The copy stays as it is while the server cannot be reached; until now it was at most a second behind.
    pub(super) fn keep_copy(&mut self, server: &Server) {
        if self.is_running() && self.mark.change > 0 {
            self.kept = Some(Arc::new(server.state.ledger.clone()));
        }
    }

    /// What the copy has, where there is one.
    pub(super) fn copy(&self) -> Option<Arc<Ledger>> {
        self.kept.clone()
    }

    pub(super) fn waits(
        &mut self,
        channel: Channel,
        number: u64,
        sent_at: DateTime<Utc>,
        gives_up_at: DateTime<Utc>,
        ask: &Ask,
    ) {
        let question = match ask {
            Ask::Hold(question, sent, ..) => Some((*question, *sent)),
            _ => None,
        };
        let wait = Wait {
            number,
            sent_at,
            gives_up_at,
            question,
        };
        self.waiting.insert(channel, wait);
    }

    pub(super) fn is_awaited(&self, channel: Channel, number: u64) -> bool {
        let wait = self.waiting.get(&channel);
        wait.is_some_and(|wait| wait.number == number)
    }

    pub(super) fn is_waiting(&self, channel: Channel) -> bool {
        self.waiting.contains_key(&channel)
    }

    pub(super) fn given_up(&self, now: DateTime<Utc>) -> Option<Channel> {
        let waiting = self.waiting.iter();
        let mut late = waiting.filter(|(_, wait)| wait.gives_up_at <= now);
        late.next().map(|(channel, _)| *channel)
    }

    pub(super) fn next_at(&self) -> Option<DateTime<Utc>> {
        let waits = self.waiting.values().map(|wait| wait.gives_up_at);
        let term = self.term().filter(|term| !term.is_committing());
        let ends = term.and_then(|term| term.ends_at);
        let ticks = self.is_running().then_some(self.ticks_at);
        waits.chain(ends).chain(ticks).min()
    }

    /// Time since its machine was started.
    pub fn boot_time(&self, now: DateTime<Utc>) -> Duration {
        (now - self.booted_at).to_std().unwrap_or_default()
    }

    /// Time has been leapt over in which nothing happened but what happens each second.
    pub(super) fn leapt(&mut self, server: &Server, now: DateTime<Utc>, boot: Duration) {
        self.waiting.clear();
        self.ticks_at = now + TimeDelta::seconds(1);
        self.watcher
            .look(true, server.state.lease.pulse(), boot, boot);
        let is_wanted = false;
        let changes = server.state.lease.changes;
        match &mut self.part {
            Part::Works(term) => {
                if let Some(hold) = &mut term.hold {
                    let heard = Heard::Ours { changes, is_wanted };
                    hold.hear(Question::Renew, boot, heard);
                }
            }
            Part::Standby => {
                self.patience.begin(boot);
                self.mark = Mark {
                    has_lost: self.mark.has_lost,
                    ..server.mark()
                };
            }
            _ => {}
        }
    }
}

impl Sim {
    /// Time by the clock that an instance counts by.
    pub(in crate::sim) fn boot_time(&self, host: usize) -> Duration {
        let instance = self.instance(host).unwrap();
        match self.bug {
            // As if the wall clock were fit to count by.
            Some(Bug::WallClock) => instance.boot_time(self.hosts[host].time(self.now)),
            _ => instance.boot_time(self.now),
        }
    }

    /// What is due for an instance, if its machine is awake.
    pub(in crate::sim) fn tend(&mut self, host: usize) -> Done {
        let one = &self.hosts[host];
        if one.awake_at(self.now) > self.now {
            return Ok(());
        }
        if self.hosts[host].process.is_none() && self.hosts[host].suspended_until.take().is_some() {
            self.trouble_shared();
        }
        let one = &self.hosts[host];
        if !self.instance(host).unwrap().is_running() {
            return match one.starts_at {
                Some(at) if at <= self.now => self.start_instance(host),
                _ => Ok(()),
            };
        }
        self.give_up(host)?;
        let instance = self.instance(host).unwrap();
        if instance.is_running() && instance.ticks_at <= self.now {
            self.tick(host);
        }
        self.work(host)
    }

    fn start_instance(&mut self, host: usize) -> Done {
        self.say(host, format_args!("starts"));
        self.trouble_shared();
        let has_host_id = self.bug == Some(Bug::HolderIsHost);
        self.hosts[host].starts_at = None;
        let boot = self.boot_time(host);
        let name = self.hosts[host].name.clone();
        let now = self.now;
        let instance = self.instance_mut(host);
        instance.life += 1;
        instance.id = match has_host_id {
            true => name,
            false => format!("{name}-{}", instance.life),
        };
        instance.part = Part::Standby;
        instance.watcher = Watcher::default();
        instance.patience = Patience::default();
        instance.patience.begin(boot);
        instance.ticks_at = now;
        self.step()?;
        self.tick(host);
        Ok(())
    }

    /// What happens each second.
    fn tick(&mut self, host: usize) {
        let (now, boot) = (self.now, self.boot_time(host));
        let at = self.hosts[host].time(now);
        let instance = self.instance_mut(host);
        instance.ticks_at = DateTime::<Utc>::MAX_UTC;
        let mark = instance.mark.clone();
        match &mut instance.part {
            Part::Works(term) if term.hold.is_some() => {
                let fence = term.fence.clone();
                let question = term.hold.as_mut().unwrap().question(boot);
                let ask = Ask::Hold(question, boot, fence, at);
                if !instance.is_waiting(Channel::Keeper) {
                    self.ask(host, Channel::Keeper, ask);
                }
            }
            Part::Standby | Part::Works(_) => {
                if !instance.is_waiting(Channel::Seat) {
                    self.ask(host, Channel::Seat, Ask::View(mark));
                }
            }
            Part::Down | Part::Taking | Part::Loading(_) | Part::Leaving => {}
        }
    }

    /// An answer has come, or none.
    pub(super) fn hear(&mut self, host: usize, channel: Channel, said: Said) -> Done {
        let now = self.now;
        let instance = self.instance_mut(host);
        let Some(wait) = instance.waiting.remove(&channel) else {
            return Ok(());
        };
        match (channel, said) {
            (Channel::Seat, said) => {
                instance.ticks_at = now + TimeDelta::from_std(LOOK_EACH).unwrap();
                self.hear_of_lease(host, wait.sent_at, said)
            }
            (Channel::Keeper, said) => {
                instance.ticks_at = now + TimeDelta::from_std(LOOK_EACH).unwrap();
                if let Part::Leaving = instance.part {
                    self.has_left(host);
                    return Ok(());
                }
                let heard = match said {
                    Said::Heard(heard) => heard,
                    _ => Heard::Nothing,
                };
                self.hear_of_hold(host, wait.question, heard)
            }
            (Channel::Store, said) => self.hear_of_rows(host, said),
        }
    }

    /// What whoever waits for a turn has asked.
    fn hear_of_lease(&mut self, host: usize, sent_at: DateTime<Utc>, said: Said) -> Done {
        let (boot, at) = (self.boot_time(host), self.hosts[host].time(self.now));
        let began = boot.saturating_sub((self.now - sent_at).to_std().unwrap_or_default());
        let instance = self.instance_mut(host);
        let is_orphan = instance.term().is_some();
        let look = match said {
            Said::Taken(Some((epoch, last_sign))) => {
                let handover = Handover {
                    unrecorded_since: Handover::unrecorded_since(last_sign, at),
                    began_at: at,
                    is_orphan: false,
                };
                return self.has_taken(host, epoch, handover);
            }
            Said::Taken(None) => {
                instance.part = Part::Standby;
                return Ok(());
            }
            Said::Seen { lease, line, head } => {
                let holder = lease.holder.as_ref();
                let is_held = holder.is_some_and(|holder| *holder != instance.id);
                let sight = instance.watcher.look(is_held, lease.pulse(), began, boot);
                instance.catch_up(&line, head);
                Look::Seen {
                    sight,
                    is_of_command: false,
                }
            }
            _ => Look::Unreachable,
        };
        if let Part::Taking = instance.part {
            instance.part = Part::Standby;
            return Ok(());
        }
        if is_orphan {
            if look != Look::Unreachable {
                self.say(host, format_args!("reaches the database again"));
                self.begin_to_end(host);
            }
            return Ok(());
        }
        match instance.patience.after(look, boot) {
            Turn::Take(pulse) => {
                instance.watcher.forget();
                instance.part = Part::Taking;
                let ask = Ask::Take(instance.id.clone(), pulse, at);
                self.ask(host, Channel::Seat, ask);
                self.step()
            }
            Turn::Orphan => self.begin_orphan(host),
            Turn::Wait | Turn::Want => {
                if look != Look::Unreachable {
                    self.check_taken_over();
                }
                Ok(())
            }
        }
    }

    /// What the thread has asked that renews the lease.
    fn hear_of_hold(
        &mut self,
        host: usize,
        question: Option<(Question, Duration)>,
        heard: Heard,
    ) -> Done {
        let instance = self.instance_mut(host);
        let mark = instance.mark.clone();
        let is_waiting = instance.is_waiting(Channel::Store);
        let Some(term) = instance.term_mut() else {
            return Ok(());
        };
        let Some((hold, (question, sent))) = term.hold.as_mut().zip(question) else {
            return Ok(());
        };
        hold.hear(question, sent, heard);
        if hold.is_lost() {
            self.superseded(host);
            return Ok(());
        }
        let is_behind = hold.is_reached() && hold.changes() != mark.change;
        let is_wanted = hold.is_wanted();
        if is_wanted && term.ends_at.is_none() {
            self.begin_to_end(host);
        } else if is_behind && !is_waiting {
            self.ask(host, Channel::Store, Ask::Pull(mark, false));
        }
        self.deliver(host);
        Ok(())
    }

    /// The lease is taken: the history is read.
    fn has_taken(&mut self, host: usize, epoch: i64, handover: Handover) -> Done {
        self.say(host, format_args!("has taken the lease: term {epoch}"));
        let instance = self.instance_mut(host);
        let fence = Fence::Holder {
            id: instance.id.clone(),
            epoch,
        };
        let ask = Ask::Load(instance.mark.clone(), fence.clone());
        let term = Term::new(fence, Some(Hold::default()), handover);
        instance.part = Part::Loading(Box::new(term));
        self.ask(host, Channel::Store, ask);
        self.step()
    }

    fn has_left(&mut self, host: usize) {
        let boot = self.boot_time(host);
        let instance = self.instance_mut(host);
        if instance.is_ending {
            return instance.die();
        }
        instance.part = Part::Standby;
        instance.patience.begin(boot);
        instance.patience.yielded(boot);
    }
}

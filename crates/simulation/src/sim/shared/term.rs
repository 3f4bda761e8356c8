//! An instance at work on a shared history, as its daemon is.
//!
//! Owns: how a term begins and ends, the commits that the loop waits for, and what is written when the server can be
//! reached again. The engine, its unwritten changes and the fence of its calls are the product's own.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use redkeep_core::engine::{PendingChanges, Request, Requests};
use redkeep_core::history::{Change, Handover, History, news};
use redkeep_core::lease::{Fence, Hold, Line, Mark, Unwritten};
use redkeep_core::names::Trigger;
use redkeep_core::reply::Reply;
use redkeep_core::run::Run;

use super::super::Sim;
use super::super::bug::Bug;
use super::super::drive::Done;
use super::super::host::Process;
use super::super::ledger::Ledger;
use super::super::wire::UnderWay;
use super::instance::{Channel, Instance, Part};
use super::server::{Ask, Said, Write};

/// Calls in flight get so long at the end.
const DRAIN: TimeDelta = TimeDelta::seconds(20);

/// What a term has.
pub struct Term {
    pub fence: Fence,
    /// `None` where it works without the database.
    pub hold: Option<Hold>,
    handover: Handover,
    pub pending: PendingChanges,
    /// All that led to what is pending, with the term in which each was decided.
    pub journal: Vec<(i64, Change)>,
    /// What the loop waits for to be committed.
    committing: Option<Vec<Change>>,
    /// What has come meanwhile.
    replies: VecDeque<(UnderWay, Reply)>,
    /// Until when calls may end, once the term is to end.
    pub ends_at: Option<DateTime<Utc>>,
    is_flushed: bool,
    /// Whether a commit that was behind has taken in what others have written.
    has_news: bool,
}

impl Term {
    pub fn new(fence: Fence, hold: Option<Hold>, handover: Handover) -> Self {
        Self {
            fence,
            hold,
            handover,
            pending: PendingChanges::default(),
            journal: Vec::new(),
            committing: None,
            replies: VecDeque::new(),
            ends_at: None,
            is_flushed: false,
            has_news: false,
        }
    }

    fn epoch(&self) -> i64 {
        match self.fence {
            Fence::Holder { epoch, .. } => epoch,
            Fence::Wish | Fence::Orphan => 0,
        }
    }

    pub fn is_committing(&self) -> bool {
        self.committing.is_some()
    }
}

impl Instance {
    /// Brings the copy up to date.
    pub(super) fn catch_up(&mut self, line: &Line, head: String) {
        if let Some(since) = self.mark.since(line) {
            self.mark = Mark {
                change: line.changes,
                id: head,
                has_lost: since.has_lost,
            };
        }
    }
}

impl Sim {
    /// Whether a host's loop waits for a commit.
    pub(in crate::sim) fn is_committing(&self, host: usize) -> bool {
        let instance = self.instance(host);
        let term = instance.and_then(Instance::term);
        term.is_some_and(Term::is_committing)
    }

    /// Whether a host's loop plans nothing: it waits for a commit, or its term is to end.
    pub(in crate::sim) fn is_paused(&self, host: usize) -> bool {
        let term = self.instance(host).and_then(Instance::term);
        term.is_some_and(|term| term.is_committing() || term.ends_at.is_some())
    }

    /// Whether a host may do what only one may do.
    pub(in crate::sim) fn is_trusted(&self, host: usize) -> bool {
        let Some(instance) = self.instance(host) else {
            return true;
        };
        let hold = instance.term().and_then(|term| term.hold.as_ref());
        hold.is_some_and(|hold| hold.is_trusted(self.boot_time(host)))
    }

    /// What the store has said: the rows, or what became of those that were written.
    pub(super) fn hear_of_rows(&mut self, host: usize, said: Said) -> Done {
        let instance = self.instance_mut(host);
        if let Part::Loading(_) = instance.part {
            return self.hear_of_history(host, said);
        }
        let Some(term) = instance.term_mut() else {
            return Ok(());
        };
        match said {
            Said::Seen { line, head, .. } => {
                instance.catch_up(&line, head);
                let has_lost = instance.mark.has_lost;
                if self.is_committing(host) {
                    self.instance_mut(host).term_mut().unwrap().has_news = true;
                    self.write(host);
                    return Ok(());
                }
                if has_lost {
                    // What is in memory is of a history that is no more.
                    self.superseded(host);
                    return Ok(());
                }
                self.receive(host);
                Ok(())
            }
            Said::Written(Ok((change, stay))) => {
                term.pending.written();
                term.journal.clear();
                instance.mark.change = change;
                instance.mark.id = instance.next_id.clone();
                let has_lost = instance.mark.has_lost;
                self.committed(host, stay)?;
                if has_lost {
                    // The next look would find it.
                    self.superseded(host);
                }
                Ok(())
            }
            Said::Written(Err(Unwritten::Behind)) => {
                let ask = Ask::Pull(instance.mark.clone(), true);
                self.ask(host, Channel::Store, ask);
                Ok(())
            }
            Said::Written(Err(Unwritten::LeaseLost)) => {
                if let Some(hold) = &mut term.hold {
                    hold.lose();
                }
                self.superseded(host);
                Ok(())
            }
            _ if term.is_committing() => {
                let boot = self.boot_time(host);
                let term = self.instance_mut(host).term_mut().unwrap();
                term.pending.failed(boot);
                self.committed(host, Vec::new())
            }
            _ => Ok(()),
        }
    }

    /// The history of a term that begins.
    fn hear_of_history(&mut self, host: usize, said: Said) -> Done {
        let now = self.now;
        let bug = self.bug;
        let instance = self.instance_mut(host);
        instance.ticks_at = now;
        let part = std::mem::replace(&mut instance.part, Part::Standby);
        let (Said::Loaded(ledger, mark), Part::Loading(mut term)) = (said, part) else {
            return Ok(());
        };
        instance.mark = mark;
        let mut history = ledger.history();
        let mut handover = term.handover;
        if bug == Some(Bug::PrunesAtOnce) {
            handover.began_at -= TimeDelta::minutes(15);
        }
        history.handover = Some(handover);
        if let Some(old) = instance.leftover.take() {
            term.journal = old.journal;
            term.pending = old.pending;
        }
        instance.part = Part::Works(term);
        self.begin(host, *ledger, history)
    }

    /// Works by the copy, if there is one.
    pub(super) fn begin_orphan(&mut self, host: usize) -> Done {
        let now = self.hosts[host].time(self.now);
        let bug = self.bug;
        let instance = self.instance_mut(host);
        let Some(copy) = instance.copy() else {
            return Ok(());
        };
        let handover = Handover {
            unrecorded_since: None,
            began_at: now,
            is_orphan: true,
        };
        let mut history = copy.history();
        history.handover = Some(handover);
        let fence = match bug {
            Some(Bug::OrphanWrites) => Fence::Wish,
            _ => Fence::Orphan,
        };
        instance.part = Part::Works(Box::new(Term::new(fence, None, handover)));
        self.say(host, format_args!("works without the database"));
        self.begin(host, (*copy).clone(), history)
    }

    /// The daemon of a term starts.
    fn begin(&mut self, host: usize, ledger: Ledger, history: History) -> Done {
        let clock_right_since = self.hosts[host].evidence.clock_right_since;
        let one = &mut self.hosts[host];
        one.journal.ledger = ledger;
        one.forget();
        one.evidence.clock_right_since = clock_right_since;
        self.start_engine(host, history)
    }

    /// Ends at once, as another instance has taken over: what was not written is in the snapshots' tags.
    pub(super) fn superseded(&mut self, host: usize) {
        self.say(host, format_args!("has lost the lease"));
        let is_kept = self.bug == Some(Bug::LateJournal);
        let boot = self.boot_time(host);
        self.abort(host);
        let instance = self.instance_mut(host);
        let part = std::mem::replace(&mut instance.part, Part::Standby);
        if let (Part::Works(term), true) = (part, is_kept) {
            instance.leftover = Some(term);
        }
        instance.patience.begin(boot);
    }

    /// Its calls are not waited for any more; what they have sent arrives all the same.
    fn abort(&mut self, host: usize) {
        self.hosts[host].process = None;
        self.calls.retain(|_, call| call.host != host);
        self.wires
            .retain(|wire| wire.host != host || !wire.is_answered());
    }

    /// The term is to end: nothing begins any more, and calls in flight get their time.
    pub(super) fn begin_to_end(&mut self, host: usize) {
        let ends_at = self.now + DRAIN;
        if let Some(term) = self.instance_mut(host).term_mut() {
            term.ends_at.get_or_insert(ends_at);
        }
    }

    /// What the daemon of a term does now.
    pub(super) fn work(&mut self, host: usize) -> Done {
        let Some(term) = self.instance(host).and_then(Instance::term) else {
            return Ok(());
        };
        if term.is_committing() {
            return Ok(());
        }
        let Some(ends_at) = term.ends_at else {
            return match &self.hosts[host].process {
                Some(process) if process.turns_at <= self.now => self.turn(host),
                _ => Ok(()),
            };
        };
        let is_drained = !self.calls.values().any(|call| call.host == host);
        if !is_drained && self.now < ends_at {
            return Ok(());
        }
        if !term.is_flushed {
            let term = self.instance_mut(host).term_mut().unwrap();
            term.is_flushed = true;
            term.pending.hurry();
            self.hand_in(host, Vec::new())?;
        }
        if !self.is_committing(host) {
            self.leave(host);
        }
        Ok(())
    }

    fn leave(&mut self, host: usize) {
        self.abort(host);
        let (at, boot) = (self.hosts[host].time(self.now), self.boot_time(host));
        let instance = self.instance_mut(host);
        let part = std::mem::replace(&mut instance.part, Part::Leaving);
        match part {
            Part::Works(term) if term.hold.is_some() => {
                self.say(host, format_args!("gives the lease up"));
                self.ask(host, Channel::Keeper, Ask::Release(term.fence, at));
            }
            _ if instance.is_ending => instance.die(),
            _ => {
                instance.part = Part::Standby;
                instance.patience.begin(boot);
            }
        }
    }

    /// Commits, and goes on when that is done: at once, or when the server has answered.
    pub(in crate::sim) fn hand_in(&mut self, host: usize, changes: Vec<Change>) -> Done {
        self.check_losses(&changes);
        self.hosts[host].journal.commit(&changes);
        let boot = self.boot_time(host);
        let term = self.instance_mut(host).term_mut().unwrap();
        term.pending.extend(&changes);
        let epoch = term.epoch();
        let decided = changes.iter().map(|change| (epoch, change.clone()));
        term.journal.extend(decided);
        term.committing = Some(changes);
        if !term.pending.is_due(boot) {
            return self.taken_over_by_engine(host, Vec::new());
        }
        let is_reached = term.hold.as_ref().is_none_or(Hold::is_reached);
        if !term.fence.may_write() || !is_reached {
            term.pending.failed(boot);
            return self.taken_over_by_engine(host, Vec::new());
        }
        if term.pending.send().is_empty() {
            term.pending.written();
            return self.taken_over_by_engine(host, Vec::new());
        }
        self.write(host);
        if let Some(process) = &mut self.hosts[host].process {
            process.turns_at = DateTime::<Utc>::MAX_UTC;
        }
        Ok(())
    }

    fn write(&mut self, host: usize) {
        let id = self.shared().server.new_id();
        let instance = self.instance_mut(host);
        let after = instance.mark.clone();
        let term = instance.term_mut().unwrap();
        let write = Write {
            fence: term.fence.clone(),
            after,
            id: id.clone(),
            changes: term.pending.send(),
            journal: term.journal.clone(),
        };
        instance.next_id = id;
        self.ask(host, Channel::Store, Ask::Write(Box::new(write)));
    }

    /// The loop goes on after a commit that it has waited for.
    fn committed(&mut self, host: usize, stay: Vec<Run>) -> Done {
        self.taken_over_by_engine(host, stay)?;
        self.step()?;
        if let Some(process) = &mut self.hosts[host].process {
            process.turns_at = self.now;
        }
        while let Some(term) = self.instance_mut(host).term_mut()
            && !term.is_committing()
            && let Some((call, reply)) = term.replies.pop_front()
        {
            self.take_in(&call, reply)?;
        }
        if let Some(term) = self.instance_mut(host).term_mut()
            && !term.is_committing()
            && std::mem::take(&mut term.has_news)
        {
            self.receive(host);
        }
        Ok(())
    }

    fn taken_over_by_engine(&mut self, host: usize, stay: Vec<Run>) -> Done {
        let is_trusted = self.is_trusted(host);
        let term = self.instance_mut(host).term_mut().unwrap();
        let changes = term.committing.take().unwrap_or_default();
        let is_written = term.pending.is_written() && is_trusted;
        let changes = news(changes, &stay);
        for run in &stay {
            // As the store has it.
            let runs = &mut self.hosts[host].journal.ledger.runs;
            runs.insert(run.slot.clone(), run.clone());
        }
        if let Some(Process { engine, .. }) = &mut self.hosts[host].process {
            engine.committed(changes, stay);
            engine.set_written(is_written);
        }
        Ok(())
    }

    /// A reply has come while the loop waits for a commit.
    pub(in crate::sim) fn put_aside(&mut self, call: UnderWay, reply: Reply) {
        let host = call.host;
        if let Some(term) = self.instance_mut(host).term_mut() {
            term.replies.push_back((call, reply));
        }
    }

    /// The engine hears what people have asked for elsewhere.
    fn receive(&mut self, host: usize) {
        let server = &self.shared.as_ref().unwrap().server.state.ledger;
        let is_wanted = |run: &&Run| run.trigger == Trigger::Manual && !run.is_ended();
        let requests = Requests {
            pauses: server.pauses.clone(),
            runs: server.runs.values().filter(is_wanted).cloned().collect(),
            confirmations: server.confirmations.clone(),
            actions: { server.actions.values() }
                .filter(|one| one.end.is_none())
                .cloned()
                .collect(),
            rebuilt_at: server.rebuilt_at,
        };
        let belief = &mut self.hosts[host].journal.ledger;
        belief.confirmations.clone_from(&requests.confirmations);
        belief.rebuilt_at = requests.rebuilt_at.or(belief.rebuilt_at);
        for action in &requests.actions {
            belief
                .actions
                .entry(action.id)
                .or_insert_with(|| action.clone());
        }
        for run in &requests.runs {
            belief
                .runs
                .entry(run.slot.clone())
                .or_insert_with(|| run.clone());
        }
        let instance = &mut self.shared.as_mut().unwrap().instances[host];
        let (
            Some(term),
            Some(Process {
                engine, turns_at, ..
            }),
        ) = (instance.term_mut(), &mut self.hosts[host].process)
        else {
            return;
        };
        let news = engine.receive(requests, &term.pending);
        let runs = news.into_iter().filter_map(|news| match news {
            Request::Snapshot(run) => Some(Change::Run(run)),
            _ => None,
        });
        engine.committed(runs.collect(), Vec::new());
        *turns_at = self.now;
    }
}

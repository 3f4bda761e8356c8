//! Several instances that share a history, and the server that has it.
//!
//! Owns: the way of a statement to the server and of its answer back, and what cuts that off. What an instance does is
//! `instance`'s and `term`'s; what the server does is `server`'s. A host without a place here has a history of its own.

pub mod instance;
mod outside;
pub mod server;
mod term;

use chrono::{DateTime, TimeDelta, Utc};

use super::Sim;
use super::bug::Bug;
use super::drive::Done;
use instance::{Channel, Instance};
use server::{Ask, Said, Server};

/// A client gives a statement up after so long.
const GIVE_UP: TimeDelta = TimeDelta::seconds(5);

/// The way between a host and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Open,
    /// Nobody answers at the other end, and whoever asks is told so.
    Cut,
    /// What is sent stays on the way.
    Frozen,
}

/// A statement on its way.
struct Statement {
    number: u64,
    host: usize,
    /// Which of the host's processes has sent it.
    life: u32,
    channel: Channel,
    at: DateTime<Utc>,
    stage: Stage,
}

enum Stage {
    /// On the way to the server.
    Sent(Ask),
    /// The server is at it; what the fence has said at the beginning, where no lock holds it.
    Begun(Ask, Option<bool>),
    /// Its answer is on the way back.
    Answered(Said),
}

/// The shared history with those who share it.
pub struct Shared {
    pub server: Server,
    /// By host.
    pub instances: Vec<Instance>,
    statements: Vec<Statement>,
    sent: u64,
    /// When something last kept instances from the server or from each other.
    pub troubled_at: DateTime<Utc>,
}

impl Shared {
    /// How many instances there are, with clocks of their own.
    pub fn new(count: usize, now: DateTime<Utc>) -> Self {
        let instances = (0..count).map(|number| Instance::new(number, now));
        let mut server = Server {
            writes_for: (1, 30),
            ..Server::default()
        };
        server.state.ledger.is_told_again = true;
        Self {
            server,
            instances: instances.collect(),
            statements: Vec::new(),
            sent: 0,
            troubled_at: now,
        }
    }

    fn instance(&mut self, host: usize) -> &mut Instance {
        &mut self.instances[host]
    }
}

impl Sim {
    /// The instance of a host that shares its history.
    pub(super) fn instance(&self, host: usize) -> Option<&Instance> {
        self.shared.as_ref()?.instances.get(host)
    }

    pub(super) fn has_shared(&self, host: usize) -> bool {
        self.instance(host).is_some()
    }

    fn shared(&mut self) -> &mut Shared {
        self.shared.as_mut().unwrap()
    }

    fn instance_mut(&mut self, host: usize) -> &mut Instance {
        self.shared().instance(host)
    }

    /// Sends a statement; its answer comes to the instance's `hear`.
    fn ask(&mut self, host: usize, channel: Channel, ask: Ask) {
        let there = self.dice.milliseconds((1, 20));
        let is_kept = self.dice.permille(500);
        let now = self.now;
        let shared = self.shared();
        shared.sent += 1;
        let number = shared.sent;
        let instance = shared.instance(host);
        let gives_up_at = match instance.link {
            Link::Cut => now + there,
            Link::Open | Link::Frozen => now + GIVE_UP,
        };
        instance.waits(channel, number, now, gives_up_at, &ask);
        let (life, link) = (instance.life, instance.link);
        let at = match link {
            Link::Open => now + there,
            Link::Frozen if is_kept => DateTime::<Utc>::MAX_UTC,
            Link::Frozen | Link::Cut => return,
        };
        shared.statements.push(Statement {
            number,
            host,
            life,
            channel,
            at,
            stage: Stage::Sent(ask),
        });
    }

    /// The way between a host and the server becomes another one.
    pub fn set_link(&mut self, host: usize, link: Link) {
        let now = self.now;
        let shared = self.shared.as_mut().unwrap();
        if shared.instances[host].link == link {
            return;
        }
        shared.troubled_at = now;
        let instance = &mut shared.instances[host];
        instance.link = link;
        if link != Link::Open {
            instance.keep_copy(&shared.server);
        }
        let dice = &mut self.dice;
        shared.statements.retain_mut(|one| {
            if one.host != host || matches!(one.stage, Stage::Begun(..)) {
                return true;
            }
            let is_lucky = dice.permille(500);
            match link {
                // What was frozen arrives late, or not at all.
                Link::Open if one.at == DateTime::<Utc>::MAX_UTC => {
                    one.at = now + dice.milliseconds((1, 90_000));
                    is_lucky
                }
                Link::Open => true,
                Link::Cut => is_lucky && matches!(one.stage, Stage::Sent(_)),
                Link::Frozen => {
                    one.at = DateTime::<Utc>::MAX_UTC;
                    true
                }
            }
        });
        self.say(host, format_args!("way to the database: {link:?}"));
    }

    /// When a statement goes on: an answer comes to a host that is awake.
    fn goes_on_at(&self, one: &Statement) -> DateTime<Utc> {
        match one.stage {
            Stage::Answered(_) => self.hosts[one.host].awake_at(one.at),
            Stage::Sent(_) | Stage::Begun(..) => one.at,
        }
    }

    /// When something is to be done for the shared history.
    pub(super) fn next_of_shared(&self) -> Option<DateTime<Utc>> {
        let shared = self.shared.as_ref()?;
        let statements = shared.statements.iter().map(|one| self.goes_on_at(one));
        let instances = shared.instances.iter().enumerate();
        let instances = instances.filter_map(|(host, one)| {
            let at = one.next_at()?;
            Some(self.hosts[host].awake_at(at))
        });
        statements.chain(instances).min()
    }

    /// Carries on every statement whose time has come.
    pub(super) fn carry_on_statements(&mut self) {
        let mut index = 0;
        while let Some(shared) = &self.shared
            && let Some(one) = shared.statements.get(index)
        {
            if self.goes_on_at(one) > self.now {
                index += 1;
                continue;
            }
            let one = self.shared().statements.swap_remove(index);
            if let Some(later) = self.carry_on(one) {
                self.shared().statements.push(later);
            }
        }
    }

    fn carry_on(&mut self, one: Statement) -> Option<Statement> {
        let now = self.now;
        let (host, number, channel) = (one.host, one.number, one.channel);
        match one.stage {
            Stage::Sent(ask) => {
                let works_for = ask.works_for(self.shared().server.writes_for);
                let works_for = self.dice.milliseconds(works_for);
                let has_no_lock = self.bug == Some(Bug::NoLock);
                let server = &mut self.shared().server;
                let is_unlocked = has_no_lock && matches!(ask, Ask::Write(_));
                let mut at = now + works_for;
                let was_held = match &ask {
                    Ask::Write(write) if is_unlocked => Some(server.is_held_by(&write.fence)),
                    _ => None,
                };
                if ask.locks() && !is_unlocked {
                    at = now.max(server.locked_until) + works_for;
                    server.locked_until = at;
                }
                let stage = Stage::Begun(ask, was_held);
                Some(Statement { at, stage, ..one })
            }
            Stage::Begun(ask, was_held) => {
                let back = self.dice.milliseconds((1, 20));
                let is_kept = self.dice.permille(500);
                let server = &mut self.shared().server;
                let said = server.carry_out(ask, was_held, (host, one.life), now);
                let at = match self.instance_mut(host).link {
                    Link::Open => now + back,
                    Link::Frozen if is_kept => DateTime::<Utc>::MAX_UTC,
                    Link::Frozen | Link::Cut => return None,
                };
                let stage = Stage::Answered(said);
                Some(Statement { at, stage, ..one })
            }
            Stage::Answered(said) => {
                let instance = self.instance_mut(host);
                let awaited = instance.life == one.life && instance.is_awaited(channel, number);
                if awaited {
                    let done = self.hear(host, channel, said);
                    self.settle(host, done);
                }
                None
            }
        }
    }

    /// Gives up what was waited for in vain.
    fn give_up(&mut self, host: usize) -> Done {
        let now = self.now;
        while let Some(channel) = self.instance_mut(host).given_up(now) {
            self.hear(host, channel, Said::Nothing)?;
        }
        Ok(())
    }
}

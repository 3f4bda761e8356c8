//! The way of a request to AWS and of its answer back.
//!
//! Owns: when each arrives, what it suffers on the way, and that a call goes on with every answer. Never knows what a call
//! is for.

use chrono::{DateTime, TimeDelta, Utc};

use super::Sim;
use super::drive::Done;
use super::serve::{hangs, latency, leaves_open};
use super::wire::{Answered, Request, State, UnderWay, Wire};

/// The SDK's limit for one attempt.
const ATTEMPT_TIMEOUT: TimeDelta = TimeDelta::seconds(30);

impl Sim {
    /// When a request gets to AWS, or its answer to a host that is awake.
    pub(super) fn comes_at(&self, wire: &Wire) -> DateTime<Utc> {
        match wire.is_answered() {
            true => self.hosts[wire.host].awake_at(wire.arrives_at),
            false => wire.arrives_at,
        }
    }

    /// Lets a call go on as far as the answers that have come lead.
    pub(super) fn go_on(&mut self, number: u64, mut call: UnderWay) -> Done {
        call.set_trusted(self.is_trusted(call.host));
        let (requests, reply) = call.go_on();
        for request in requests {
            let budget = call.budget.checked_sub(1);
            call.budget = budget.unwrap_or_else(|| {
                panic!(
                    "I11: a call sends one more request than it takes of the budget: {}",
                    request.operation()
                )
            });
            self.step()?;
            self.watch_fence(call.host, &request);
            self.send(number, &call, request);
            self.step()?;
        }
        let Some(mut reply) = reply else {
            self.calls.insert(number, call);
            return Ok(());
        };
        if let Some(bug) = self.bug {
            bug.bend_reply(&mut reply);
        }
        if self.is_committing(call.host) {
            self.put_aside(call, reply);
            return Ok(());
        }
        self.take_in(&call, reply)
    }

    fn send(&mut self, call: u64, under_way: &UnderWay, request: Request) {
        let latency = self.dice.milliseconds(self.latency.there);
        self.wires.push(Wire {
            host: under_way.host,
            life: under_way.life,
            call,
            account: under_way.account,
            region: under_way.scope.region.clone(),
            sent_at: self.now,
            arrives_at: self.now + latency,
            is_slow_by: TimeDelta::zero(),
            state: State::Sent(request),
        });
    }

    /// Carries out what has arrived at AWS, and hands over the answers that have come.
    pub(super) fn carry_on_wires(&mut self) {
        let mut index = 0;
        while index < self.wires.len() {
            let wire = &self.wires[index];
            if self.comes_at(wire) > self.now {
                index += 1;
            } else if wire.is_answered() {
                let wire = self.wires.swap_remove(index);
                self.hand_over(wire);
            } else {
                self.arrive(index);
            }
        }
    }

    /// A request has got to AWS, which takes its time or carries it out.
    fn arrive(&mut self, index: usize) {
        let mut wire = self.wires.swap_remove(index);
        let aws = match wire.account {
            0 => &mut self.aws,
            other => &mut self.elsewhere.accounts[other - 1],
        };
        let region = wire.region.as_str();
        let (request, fault_effect) = match wire.state {
            State::Sent(request) => {
                let fault_effect = aws.fault_effect(&request, region);
                let (there, back) = aws.slowness(&request, &mut self.dice);
                wire.is_slow_by = back;
                let latency = latency(&fault_effect) + there;
                if !latency.is_zero() {
                    wire.arrives_at += latency;
                    wire.state = State::Waits(request, fault_effect);
                    return self.wires.push(wire);
                }
                (request, fault_effect)
            }
            State::Waits(request, fault_effect) => (request, fault_effect),
            State::Answered(_) => unreachable!("it is handed over"),
        };
        wire.arrives_at = match hangs(&fault_effect) {
            true => wire.sent_at + ATTEMPT_TIMEOUT,
            false => self.now + wire.is_slow_by + self.dice.milliseconds(self.latency.back),
        };
        let leaves_open = match &request {
            Request::Create(wanted, _) if leaves_open(&fault_effect) => {
                Some(wanted.snapshot_id.to_string())
            }
            _ => None,
        };
        self.watch_hands((wire.call, wire.account, &wire.region), &request);
        let (now, is_look) = (self.now, matches!(request, Request::Snapshots(..)));
        let aws = self.account(wire.account);
        let served = aws.carry_out(request, &fault_effect, region, now);
        if let Some(told) = served.told {
            self.log.say(self.now, "aws", format_args!("{told}"));
        }
        wire.state = State::Answered(Answered {
            hand_over: served.hand_over,
            looked_at: is_look.then_some(self.now),
            leaves_open,
        });
        let (host, life) = (wire.host, wire.life);
        self.wires.push(wire);
        if self.is_alive(host, life) {
            let done = self.step();
            self.settle(host, done);
        }
    }

    fn is_alive(&self, host: usize, life: u32) -> bool {
        self.hosts[host].lives == life && self.hosts[host].process.is_some()
    }

    /// An answer has come: its call goes on.
    fn hand_over(&mut self, wire: Wire) {
        let State::Answered(answer) = wire.state else {
            unreachable!("it has not been carried out");
        };
        let alive = self.is_alive(wire.host, wire.life);
        let Some(mut call) = self.calls.remove(&wire.call).filter(|_| alive) else {
            return;
        };
        call.looked_at = answer.looked_at.or(call.looked_at);
        if let Some(id) = answer.leaves_open {
            let evidence = &mut self.hosts[wire.host].evidence;
            evidence.left_open(&call.scope, &id, self.now);
        }
        (answer.hand_over)();
        let done = self.go_on(wire.call, call);
        self.settle(wire.host, done);
    }
}

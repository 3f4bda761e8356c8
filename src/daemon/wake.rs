//! What wakes the loop.
//!
//! Owns: the wait for a reply, a tick, a signal or the end of the longest sleep, and the notice that somebody has set the
//! clock. Never decides what is due: a wake-up that comes late or twice changes nothing.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::ticker::Tick;
use super::{CLOCK_STEP, Daemon, Signal};
use crate::clock::{boottime, sleep};
use crate::plan::LONGEST_SLEEP;
use crate::redshift::Redshift;

impl<R: Redshift> Daemon<R> {
    /// Waits until there may be something to plan; `false` when the daemon is to stop.
    pub(super) async fn wait(
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
                    self.take_in_the_others().await;
                    return true;
                }
                () = self.writing.answered() => {
                    self.pending.hurry();
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
                    Some(Signal::Yield) => {
                        self.is_asked_to_yield = true;
                        false
                    }
                    Some(Signal::Stop) | None => false,
                },
                () = &mut longest => return true,
            }
        }
    }

    /// Whether there is something to plan.
    pub(super) async fn ticked(&mut self, tick: Tick) -> bool {
        match tick {
            Tick::Second => {
                self.tell_instances();
                if self.is_outdated {
                    self.show_in_time();
                }
                if !self.is_asked_to_yield && self.is_to_yield() {
                    self.is_asked_to_yield = true;
                    return true;
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

    /// Whether another instance is to work: somebody wants that, or this one has not been able to for long.
    fn is_to_yield(&mut self) -> bool {
        if self.parts.store.is_wanted() {
            info!("another instance is asked to take over; this one finishes its calls");
            return true;
        }
        let unfit = self.unfit();
        let is_long = self.unfit.see(unfit.is_some(), boottime());
        if let (true, Some(reason)) = (is_long, unfit) {
            warn!(
                reason,
                "this instance cannot do its work, and lets another one try"
            );
        }
        is_long
    }

    /// What keeps this instance from its work while the database answers and another instance could try.
    fn unfit(&self) -> Option<&'static str> {
        let store = &self.parts.store;
        let is_alone = store.peers().is_none_or(|peers| peers.alive < 2);
        if is_alone || !store.is_trusted() {
            return None;
        }
        let scopes = &self.parts.engine.observed().scopes;
        let is_cut_off = !scopes.is_empty() && scopes.values().all(|view| view.trouble.is_some());
        let is_unwritable = self.pending.is_failing();
        match (is_unwritable, is_cut_off) {
            (true, _) => Some("its copy of the history cannot be written"),
            (false, true) => Some("AWS answers it in no account and region"),
            (false, false) => None,
        }
    }

    /// Notices that somebody has set the clock: then AWS's is asked again before anything starts.
    pub(super) fn watch_clocks(&mut self) {
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
    /// back it stays silent until the old time has come round again. A turn that was cut off goes on at once.
    fn longest_sleep(&self) -> Duration {
        if self.is_cut {
            return Duration::ZERO;
        }
        let wanted = self.wake_at - self.parts.clock.now() + TimeDelta::seconds(1);
        let longest = wanted.clamp(TimeDelta::seconds(1), LONGEST_SLEEP).to_std();
        let longest = longest.unwrap_or(Duration::from_secs(1));
        self.parts
            .notifier
            .watchdog_interval()
            .map_or(longest, |half| half.min(longest))
    }
}

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
use crate::clock::sleep;
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
                if self.parts.store.is_wanted() && !self.is_asked_to_yield {
                    info!("another instance is asked to take over; this one finishes its calls");
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

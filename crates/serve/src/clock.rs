//! The clock: the only file that reads the time or sleeps.
//!
//! Owns: the wall clock, the monotonic clock, sleeping. Never decides anything: every decision takes
//! `now` as an argument, so that it can be tested at any instant, on either side of a clock change.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// A source of time.
///
/// Wall time says what is due; monotonic time says how long to wait. They part when somebody sets the
/// clock, and the daemon compares them to notice that.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, in UTC.
    fn now(&self) -> DateTime<Utc>;

    /// Time since an arbitrary fixed instant, which no clock step moves.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Time since this machine was started: no step of a clock moves it, and it goes on while the machine sleeps
/// (`CLOCK_BOOTTIME`).
pub fn boottime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Waits for `duration` of monotonic time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that sleeps"
)]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

//! The clockwork: tokio-cron-scheduler as the registry of what wakes the loop.
//!
//! Owns: one job each second that asks whether the plan's `wake_at` has come, and the daily copy. Never
//! decides what is due: a late, lost or doubled tick changes nothing, since the plan looks at what is. All
//! schedules here are in UTC and have six fields; the crate's own handling of time zones is not relied on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::clock::Clock;

/// What the clockwork says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// The plan's `wake_at` has come.
    Wake,
    /// The time of the daily copy has come.
    Copy,
}

/// When the loop wants to be woken next; shared between the loop and the clockwork.
#[derive(Debug, Clone, Default)]
pub struct WakeAt(Arc<AtomicI64>);

impl WakeAt {
    /// Sets the instant.
    pub fn set(&self, at: DateTime<Utc>) {
        self.0.store(at.timestamp_millis(), Ordering::Relaxed);
    }

    /// The instant.
    pub fn get(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0.load(Ordering::Relaxed)).unwrap_or_default()
    }

    fn has_come(&self, now: DateTime<Utc>) -> bool {
        self.0.load(Ordering::Relaxed) <= now.timestamp_millis()
    }
}

const EACH_SECOND: &str = "* * * * * *";
const DAILY_COPY: &str = "0 17 3 * * *";
/// Far more than the two jobs need: the crate loses fires when its channel overflows.
const CHANNEL_SIZE: usize = 256;

/// Starts the clockwork, which sends to `ticks` until the scheduler is dropped.
///
/// # Errors
/// When the scheduler cannot be set up.
pub async fn start(
    wake_at: WakeAt,
    clock: Arc<dyn Clock>,
    ticks: mpsc::Sender<Tick>,
) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new_with_channel_size(CHANNEL_SIZE).await?;
    let copies = ticks.clone();
    // A full channel means that the loop has a tick waiting already.
    let wake = Job::new(EACH_SECOND, move |_, _| {
        if wake_at.has_come(clock.now()) {
            let _ = ticks.try_send(Tick::Wake);
        }
    })?;
    let copy = Job::new(DAILY_COPY, move |_, _| {
        let _ = copies.try_send(Tick::Copy);
    })?;
    scheduler.add(wake).await?;
    scheduler.add(copy).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

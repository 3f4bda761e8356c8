//! The ticker: tokio-cron-scheduler as the registry of what wakes the loop.
//!
//! Owns: one job each second, at which the loop asks whether the plan's `wake_at` has come, and the daily
//! upkeep of the history.
//! Never decides what is due: a late, lost or doubled tick changes nothing, since the plan looks at what is. All
//! schedules here are in UTC and have six fields; the crate's own handling of time zones is not relied on.

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// What the ticker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// A second has passed.
    Second,
    /// The time of the history's daily upkeep has come.
    Upkeep,
}

const EACH_SECOND: &str = "* * * * * *";
const DAILY_UPKEEP: &str = "0 17 3 * * *";
/// Far more than the two jobs need: the crate loses fires when its channel overflows.
const CHANNEL_SIZE: usize = 256;

/// Starts the ticker, which sends to `ticks` until the scheduler is dropped.
///
/// # Errors
/// When the scheduler cannot be set up.
pub async fn start(ticks: mpsc::Sender<Tick>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new_with_channel_size(CHANNEL_SIZE).await?;
    let daily = ticks.clone();
    // A full channel means that the loop has a tick waiting already.
    let second = Job::new(EACH_SECOND, move |_, _| {
        let _ = ticks.try_send(Tick::Second);
    })?;
    let upkeep = Job::new(DAILY_UPKEEP, move |_, _| {
        let _ = daily.try_send(Tick::Upkeep);
    })?;
    scheduler.add(second).await?;
    scheduler.add(upkeep).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

//! A command that does a daemon's work where no daemon runs.
//!
//! Owns: holding the state directory for it, and giving that up to a daemon that starts meanwhile. Never decides what the
//! work is, or whether it is done.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::config::{Config, Sources};
use crate::daemon::{Daemon, Exit, Mode, Signal};
use crate::store::Check;

use super::Failure;
use super::run::standby;
use super::signals::forward_signals;
use super::standby::Role;
use super::state_lock::{daemon_wants, hold};
use super::wiring::{Shown, other, own_history, parts};

/// Between two looks at the history for what has become of the work.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// Why a command does not work on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped<T> {
    /// Somebody else holds the state directory, and does the work.
    Busy,
    /// The work is done, or the person has stopped it.
    Finished,
    /// The command has seen enough, and this is what.
    Enough(T),
    /// A daemon wants the state directory, and goes on with the work.
    ForDaemon,
}

/// Does a daemon's work for `mode`, until that is finished, `enough` has ended, or a daemon wants to do it.
pub(super) async fn work_alone<T>(
    config: &Config,
    sources: &Sources,
    clock: Arc<dyn Clock>,
    mode: Mode,
    enough: impl Future<Output = T>,
) -> Result<Stopped<T>, Failure> {
    let lock = match hold(&config.state_dir) {
        Ok(lock) => lock,
        Err(Failure::Busy(_)) => return Ok(Stopped::Busy),
        Err(failure) => return Err(failure),
    };
    // Held until the work has ended.
    let _lock = lock;
    let opened = match standby(config, sources, &clock, Role::Command)? {
        None => own_history(config, sources, &*clock, Check::First)?,
        Some(mut standby) => {
            let opened = standby.take_if_free().await?;
            standby.leave().await;
            match opened {
                Some(opened) => opened,
                None => return Ok(Stopped::Busy),
            }
        }
    };
    let shown = Shown::new(&*clock)?;
    let parts = parts(config.clone(), sources.clone(), clock, opened, shown).await?;
    let (signal, mut signals) = mpsc::channel(4);
    forward_signals(&signal).map_err(other)?;
    let work = Daemon::new(parts).run(mode, &mut signals);
    tokio::pin!(work);
    let stopped = tokio::select! {
        ending = &mut work => return Ok(match ending {
            Exit::Yielded => Stopped::ForDaemon,
            _ => Stopped::Finished,
        }),
        seen = enough => Stopped::Enough(seen),
        () = daemon_wants(&config.state_dir) => Stopped::ForDaemon,
    };
    // It lets the calls in flight end, as a daemon that is stopped does; one that is gone already has none.
    let _ = signal.send(Signal::Stop).await;
    work.await;
    Ok(stopped)
}

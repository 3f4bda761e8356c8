//! The signals that the process gets, and the last moment at which it ends after one that asks it to stop.
//!
//! Owns: the thread that hears them, which works on when every other one waits for a disk that does not answer. Never
//! decides what is stopped or how: whoever is told does.

use std::future::Future;
use std::io;
use std::process::exit;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::error;

use crate::clock::sleep;
use crate::daemon::Signal;
use crate::logging;

/// A process that was asked to stop ends within this time, whatever does not answer. Calls in flight have 20 s of it and
/// the listener 5 s; systemd's patience (`TimeoutStopSec` of the unit) is longer.
const LONGEST_STOP: Duration = Duration::from_secs(35);

/// What the process is asked by signals, from now on.
pub(super) fn signals() -> io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(4);
    forward_signals(&sender)?;
    Ok(receiver)
}

/// Sends what the process is asked by signals; when this returns, none is lost.
pub(super) fn forward_signals(to: &mpsc::Sender<Signal>) -> io::Result<()> {
    let (tell, told) = std::sync::mpsc::channel();
    let sender = to.clone();
    let hear = move || {
        let begun = Builder::new_current_thread().enable_all().build();
        let begun = begun.and_then(|runtime| {
            let streams = runtime.block_on(async { Streams::open() })?;
            Ok((runtime, streams))
        });
        match begun {
            Ok((runtime, streams)) => {
                let _ = tell.send(Ok(()));
                runtime.block_on(hear(streams, sender));
            }
            Err(error) => drop(tell.send(Err(error))),
        }
    };
    let thread = thread::Builder::new().name("redkeep-signals".to_owned());
    thread.spawn(hear)?;
    told.recv()
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The signals that mean something.
struct Streams {
    reload: UnixSignal,
    terminate: UnixSignal,
    interrupt: UnixSignal,
}

impl Streams {
    fn open() -> io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.reload.recv() => Signal::Reload,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }
}

async fn hear(mut streams: Streams, to: mpsc::Sender<Signal>) {
    loop {
        let asked = streams.next().await;
        if asked != Signal::Stop {
            // Who has not heard the last four reads the files again anyway.
            let _ = to.try_send(asked);
            continue;
        }
        tokio::spawn(end_at_last());
        // Never lost, however many reloads are still to be heard.
        let _ = to.send(asked).await;
    }
}

/// Ends the process where it has not ended by itself. What the history lacks then, the next start finds by the snapshots'
/// names and tags.
async fn end_at_last() {
    sleep(LONGEST_STOP).await;
    error!(
        "not stopped within {}s of the signal: the disk of the history may not answer; ending anyway",
        LONGEST_STOP.as_secs()
    );
    logging::flush();
    exit(1);
}

/// Ends when the process is asked to stop.
pub(super) fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut signals = signals()?;
    Ok(async move {
        while let Some(signal) = signals.recv().await {
            if signal == Signal::Stop {
                break;
            }
        }
    })
}

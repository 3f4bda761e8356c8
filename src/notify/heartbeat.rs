//! The daemon's own sign of life.
//!
//! Owns: when it is sent: only when the daemon's loop has turned within the last minute, it can do its work (as `/readyz`
//! says), and a row that was just now written is in the history. So it stops when redkeep is dead, stuck or blind, and when
//! the history cannot be written though nothing is to be written. It is never made up for.

use std::time::Duration;

use tracing::{info, warn};

use super::parcel::{Sent, in_time, post};
use super::{Means, TIMEOUT, healthchecks, secret};
use crate::clock::sleep;
use crate::error_chain::with_causes;
use crate::http::health::{ProbeAnswer, alive, ready};
use crate::outbox::Receiver;

/// A loop that turned longer ago is stuck: it never sleeps longer than half a minute.
const TURNED_WITHIN: Duration = Duration::from_secs(60);

/// How soon it is looked again while there is none.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How soon it is looked again after a start.
const LOOK_FIRST: Duration = Duration::from_millis(500);

/// Sends it for as long as the daemon runs.
pub(super) async fn beat(receiver: Receiver, means: Means) {
    let pace = receiver.repeat_after.to_std().unwrap_or(TURNED_WITHIN);
    let mut was_well = true;
    begun(&means).await;
    loop {
        let sent = match well(&means).await {
            Ok(()) => sign(&receiver, &means).await,
            Err(why) => Err(why),
        };
        let result = if sent.is_ok() { "delivered" } else { "failed" };
        means.metrics.notified(receiver.name.as_str(), result, 1);
        match (&sent, was_well) {
            (Err(why), true) => {
                warn!(receiver = %receiver.name, reason = why, "no heartbeat is sent");
            }
            (Ok(()), false) => info!(receiver = %receiver.name, "the heartbeat is sent again"),
            _ => {}
        }
        was_well = sent.is_ok();
        // The first one comes as soon as the daemon can do its work, and so does the first one after a trouble.
        let pause = if was_well { pace } else { pace.min(LOOK_AGAIN) };
        sleep(pause).await;
    }
}

/// Waits until the daemon that has just begun has its first answers, or should: before that a lack of signs is no trouble.
async fn begun(means: &Means) {
    let has_begun = async {
        while means.health.condition().is_beginning() {
            sleep(LOOK_FIRST).await;
        }
    };
    let _ = tokio::time::timeout(TURNED_WITHIN, has_begun).await;
}

/// Whether the daemon lives up to a sign of life.
async fn well(means: &Means) -> Result<(), String> {
    let condition = means.health.condition();
    let now = means.clock.monotonic();
    if now.saturating_sub(condition.last_turn) > TURNED_WITHIN {
        return Err("the daemon's loop has stopped".to_owned());
    }
    for answer in [alive(&condition, now), ready(&condition)] {
        if let ProbeAnswer::Bad(reasons) = answer {
            return Err(reasons.join("; "));
        }
    }
    let written = means.store.beat(means.clock.now());
    match tokio::time::timeout(TIMEOUT, written).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err("the history cannot be written in time".to_owned()),
    }
}

async fn sign(receiver: &Receiver, means: &Means) -> Result<(), String> {
    let url = secret::address(&receiver.target).await;
    let url = url.map_err(|error| error.to_string())?;
    let body = format!(
        "redkeep {}: the daemon works and writes its history",
        env!("CARGO_PKG_VERSION")
    );
    let outgoing = healthchecks::sign_of_life(&url, body);
    let sent = post(&means.client, receiver, outgoing, means.clock.now());
    match in_time(sent).await {
        Sent::Delivered(_) => Ok(()),
        Sent::Refused(why) | Sent::Failed { why, .. } => Err(why),
    }
}

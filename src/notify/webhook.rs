//! redkeep's own JSON, by POST.
//!
//! Owns: its fields (docs/notifications.md) and its signature. The id is the same in every attempt, so that a receiver can
//! tell a repetition.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::parcel::Contents;
use crate::aws::Outgoing;
use crate::outbox::Message;
use crate::slot::rfc3339;
use redkeep_core::notify::delivery::Form;

pub(super) fn request(
    url: String,
    secret: Option<&str>,
    contents: &Contents<'_>,
    now: DateTime<Utc>,
) -> Outgoing {
    let body = body(contents);
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("idempotency-key", contents.message().id.clone()),
    ];
    if let Some(secret) = secret {
        headers.push(("redkeep-signature", signature(secret, now, &body)));
    }
    Outgoing { url, headers, body }
}

fn body(contents: &Contents<'_>) -> String {
    let Message {
        id,
        receiver,
        event,
        state,
        severity: _,
        dedup_key,
        since,
        created_at,
        due_at: _,
        run_id: _,
        count,
        content,
    } = contents.message();
    let form = match contents.form() {
        Form::Single => "single",
        Form::Summary => "summary",
        Form::Digest => "digest",
    };
    json!({
        "version": 1,
        "id": id,
        "form": form,
        "receiver": receiver.as_str(),
        "namespace": contents.namespace.as_str(),
        "event": event.as_str(),
        "state": state.as_str(),
        "severity": contents.message().severity_now().as_str(),
        "dedup_key": dedup_key,
        "since": rfc3339(*since),
        "created_at": rfc3339(*created_at),
        "count": count,
        "title": content.title,
        "reason": content.reason,
        "action": content.action,
        "policy": content.policy,
        "account": content.account,
        "region": content.region,
        "cluster": content.cluster,
        "scheduled_at": content.scheduled_at,
        "local_time": content.local_time,
        "snapshot_id": content.snapshot_id,
        "messages": contents.delivery.covers,
    })
    .to_string()
}

/// `t=<seconds>,v1=<hex>`: HMAC-SHA-256 over the seconds, a full stop and the body. The time is signed, so that an old
/// message cannot be played again.
fn signature(secret: &str, now: DateTime<Utc>, body: &str) -> String {
    let seconds = now.timestamp();
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{seconds}.{body}").as_bytes());
    let code = mac.finalize().into_bytes();
    let digits: String = { code.iter() }.map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha_256_of_time_and_body() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let wanted = "9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        let got = signature("key", at, "{}");
        assert_eq!(got, format!("t=1700000000,v1={wanted}"));
    }
}

//! People who see to a snapshot at the last moment: redkeep has decided by its listing, and its call has not begun.
//!
//! Owns: what they do, and the watch over what becomes of it (I2). The call looks at the snapshot once more before it
//! changes anything, and has to find what they did; nobody can find what is done between that look and the change.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use redkeep_core::names::{Region, Retention};
use redkeep_core::plan::Call;
use redkeep_core::snapshot::{Snapshot, SnapshotId, tag};
use redkeep_sandbox::tag::Tag;

use super::Sim;
use super::bug::Bug;
use super::wire::Request;

/// What people have done at the last moment.
#[derive(Default)]
pub struct Hands {
    /// How many calls of a thousand they come before.
    pub permille: u64,
    /// Since when they hold a snapshot: by account, region and name.
    held: BTreeMap<(usize, String, String), DateTime<Utc>>,
}

/// The snapshot that a call is to remove, or to keep for longer.
fn about_to_change(call: &Call) -> Option<&SnapshotId> {
    match call {
        Call::Remove { removal, .. } if removal.look_at.is_none() => Some(&removal.id),
        Call::Extend { id, .. } => Some(id),
        _ => None,
    }
}

impl Sim {
    /// Somebody holds the snapshot that the call is about, just before the call begins.
    pub(super) fn come_before(&mut self, call: &Call) {
        let Some(id) = about_to_change(call).filter(|_| self.hands.permille > 0) else {
            return;
        };
        if !self.dice.permille(self.hands.permille) {
            return;
        }
        let scope = call.scope();
        let account = self.elsewhere.home(&scope.account);
        let (now, bug, id) = (self.now, self.bug, id.to_string());
        let aws = self.account(account);
        // What was told of it is no longer so.
        aws.region(now);
        let region = aws.account.region_mut(scope.region.as_str(), now);
        let Ok(snapshot) = region.snapshot_mut(&id) else {
            return;
        };
        if snapshot.tags.iter().any(|one| one.key == tag::HOLD) {
            return;
        }
        snapshot.tags.push(Tag {
            key: tag::HOLD.to_owned(),
            value: snapshot.retention_days.to_string(),
        });
        snapshot.retention_days = -1;
        if bug == Some(Bug::UnseenHold) {
            aws.disguises.insert(id.clone(), without_hold);
        }
        self.log.say(
            now,
            "people",
            format_args!("hold {id} at the last moment, by hand"),
        );
        let place = (account, scope.region.to_string(), id);
        self.hands.held.insert(place, now);
    }

    /// I2: what was held before the call began is neither removed nor given an end, unless a person releases it.
    pub(super) fn watch_hands(
        &mut self,
        (call, account, region): (u64, usize, &Region),
        request: &Request,
    ) {
        let id = match request {
            Request::Delete(id, ..) | Request::KeepFor(id, Retention::Days(_), _) => id.as_str(),
            Request::Untag(arn, key, _) if key == tag::HOLD => {
                arn.rsplit_once('/').map_or("", |(_, id)| id)
            }
            _ => return,
        };
        let place = (account, region.to_string(), id.to_owned());
        let (Some(held_at), Some(call)) = (self.hands.held.get(&place), self.calls.get(&call))
        else {
            return;
        };
        if call.acts_on.is_some() {
            self.hands.held.remove(&place);
            return;
        }
        assert!(
            call.sent_at < *held_at,
            "I2: {id} is on hold since {held_at}, and a call that began at {} changes it",
            call.sent_at
        );
    }
}

/// As it was before somebody held it.
fn without_hold(snapshot: &mut Snapshot) {
    let before = snapshot.tags.remove(tag::HOLD);
    let before = before.and_then(|days| days.parse().ok());
    snapshot.manual_snapshot_retention_period = before.or(Some(7));
}

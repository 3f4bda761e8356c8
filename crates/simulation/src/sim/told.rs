//! What the log says of changes and calls.
//!
//! Owns: the words. A listing without trouble is not worth a line.

use std::fmt;

use redkeep_core::history::Change;
use redkeep_core::plan::Call;
use redkeep_core::slot::rfc3339;

/// A change as the log tells it.
pub struct Told<'a>(pub &'a Change);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Change::Pair(pair, state) => {
                let (from, mark) = (rfc3339(state.active_from), rfc3339(state.watermark));
                let closed = if state.is_active() { "" } else { ", closed" };
                write!(
                    f,
                    "{pair}: {:?} active from {from}, done until {mark}{closed}",
                    state.schedule
                )
            }
            Change::Clamped(pair, state) => {
                write!(f, "{pair}: taken back to {}", rfc3339(state.watermark))
            }
            Change::Rebuilt(at) => write!(f, "history rebuilt at {}", rfc3339(*at)),
            Change::Run(run) | Change::Adopted(run) => {
                write!(f, "{}: {:?}", run.slot, run.state)?;
                run.message
                    .iter()
                    .try_for_each(|message| write!(f, " ({message})"))?;
                run.gone
                    .iter()
                    .try_for_each(|gone| write!(f, ", {}", gone.reason.as_str()))
            }
            Change::Extended(extension) => {
                let (from, to) = (extension.from, extension.to);
                write!(f, "{}: kept for {to} instead of {from}", extension.slot)
            }
            Change::Renamed(one) => write!(f, "the account {} is {} now", one.from, one.to),
            Change::Account(name, number) => write!(f, "the account {name} is {number}"),
            Change::Removal(removal) => {
                let (id, why) = (&removal.id, removal.why.as_str());
                match &removal.end {
                    Some(end) => write!(f, "{id}: {}", end.text()),
                    None => write!(f, "{id} is to be removed: {why}"),
                }
            }
            Change::Passed(pass) => {
                let (word, count) = (pass.result.as_str(), pass.plan.len());
                write!(
                    f,
                    "a pass over {}: {word}, {count} in {}",
                    pass.policy, pass.plan_hash
                )
            }
            Change::Condition(condition) => {
                let (key, over) = (&condition.key, condition.is_over);
                let cause = key.cause.as_str();
                write!(f, "{} knows of {cause}, over: {over}", key.receiver)
            }
            Change::Message(message) => {
                let (state, title) = (message.state.as_str(), &message.content.title);
                write!(f, "{} is to be told ({state}): {title}", message.receiver)
            }
            Change::SnapshotAction(action) => {
                let said = action
                    .end
                    .as_ref()
                    .map_or("open".to_owned(), |end| end.text());
                write!(f, "{} {}: {said}", action.kind.as_str(), action.snapshot)
            }
            Change::Missed(range) => {
                let (first, last) = (rfc3339(range.first_at), rfc3339(range.last_at));
                write!(
                    f,
                    "{}: {} missed from {first} to {last}",
                    range.pair, range.count
                )
            }
        }
    }
}

/// A call as the log tells it.
pub struct ToldCall<'a>(pub &'a Call);

impl fmt::Display for ToldCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Call::List { scope, .. } => write!(f, "lists {scope}"),
            Call::Create { request, .. } => write!(f, "asks for {}", request.snapshot_id),
            Call::Describe { id, .. } => write!(f, "looks for {id}"),
            Call::Explain { id, .. } => write!(f, "asks why {id} failed"),
            Call::Extend { id, extension, .. } => write!(f, "extends {id} to {}", extension.to),
            Call::Remove { removal, .. } => write!(f, "removes {}", removal.id),
            Call::SnapshotAction { action, .. } => {
                write!(f, "asks to {} {}", action.kind.as_str(), action.snapshot)
            }
        }
    }
}

//! Retention: which snapshot is kept for how long.
//!
//! Owns: the tier of a slot (`tier`), which of the last good snapshots are kept from expiring (`guard`), which are
//! removed (`prune`), and what a hold does (`hold`).
//! Never asks AWS and never reads a clock.

pub mod guard;
pub mod hold;
pub mod prune;
pub mod tier;

pub use tier::{Choice, TierSlot, choose, held};

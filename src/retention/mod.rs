//! Retention: which snapshot is kept for how long.
//!
//! Owns: the tier of a slot (`tier`), and which of the last good snapshots are kept from expiring (`guard`).
//! Never asks AWS and never reads a clock.

pub mod guard;
pub mod tier;

pub use tier::{Choice, Held, choose, held};

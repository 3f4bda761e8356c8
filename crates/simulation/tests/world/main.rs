//! The world in virtual time, against the sandbox's pure model: what docs/semantics.md promises, end to end.
//!
//! `sim` is the simulation, `setup` the words that the scenarios are written with; every other file is a group
//! of scenarios. Nothing here uses HTTP or a real clock, and each test is the same on every machine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what helpers unwrap is the test's own ground; its failure is the test's failure"
)]

mod absence;
mod blind;
mod clocks;
mod crashes;
mod edits;
mod fates;
mod fleet;
mod guard;
mod holds;
mod identity;
mod instances;
mod losses;
mod notify;
mod pairs;
mod prune;
mod queue;
mod refusals;
mod removed_accounts;
mod renames;
mod rpo;
mod tiers;
mod time;
mod wishes;
mod years;
mod zones;

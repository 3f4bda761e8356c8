//! redkeep takes manual snapshots of Amazon Redshift clusters on cron schedules, and can account for every
//! slot that was due.
//!
//! ```text
//! redkeep.toml ─► Config ───────────────────────┐
//! clusters, snapshots (Describe*) ─► Observed ──┤
//! history (Store) ──────────────────────────────┼─► plan(now) ─► changes ─► Store::commit
//!                                               │            └─► calls ──► Redshift ─► Reply
//!                                               │                                        │
//!                                               └───── Store::commit ◄── changes ◄── take_in
//!                                                         └─► metrics, commands
//! ```
//!
//! The one idea: a slot names its snapshot. [`snapshot::SnapshotId`] is a pure function of the namespace and
//! the slot, CreateClusterSnapshot accepts a name once, and so a retry, a restart and a second host all ask
//! for the same snapshot. Planning over a history with unfinished runs is recovery; there is no other.
//!
//! Read the modules in this order. The first three groups are pure: they take `now` as an argument and touch
//! nothing.

// The words: parsed once, valid ever after.
pub mod digest;
pub mod names;
pub mod policy;
pub mod schedule;
pub mod slot;
pub mod snapshot;

// What is known: the configuration, the past, what was seen.
pub mod config;
pub mod history;
pub mod observed;
pub mod pause;
pub mod run;
pub mod upkeep;

// What is decided: what to do, what an answer means, when to try again.
pub mod coverage;
pub mod doctor;
pub mod explain;
pub mod forecast;
pub mod iam;
pub mod plan;
pub mod reply;
pub mod report;
pub mod retention;
pub mod retry;
pub mod rpo;
pub mod world;

// The seam to Redshift, and the shell around the core.
pub mod aws;
pub mod cause;
pub mod cli;
pub mod clock;
pub mod daemon;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod redshift;
pub mod safe_file;
pub mod sandbox;
pub mod spool;
pub mod store;
pub mod systemd;
pub mod tzdb;

#[cfg(test)]
#[path = "../tests/support/deadline.rs"]
mod deadline;
#[cfg(test)]
mod samples;

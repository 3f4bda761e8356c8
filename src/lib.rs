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
//! What is decided, and how, is in `redkeep-core`, and the policy file in `redkeep-policy-file`; both are re-exported here,
//! and this crate is the shell around them. ARCHITECTURE.md is the map.

pub use redkeep_core::{
    coverage, days, digest, edit, engine, error_chain, execute, explain, forecast, history, iam,
    import, names, observed, operations, outbox, outline, ownership, pause, plan, policy, redshift,
    refusals, remedy, reply, report, retention, retry, rpo, run, schedule, seen, settings,
    shared_tags, slot, snapshot, standing, suggest, timing, tzdb,
};
pub use redkeep_policy_file as config;
pub use redkeep_sandbox as sandbox;
pub use redkeep_serve::{clock, safe_file};
pub use redkeep_store as store;

// The shell around the core.
pub mod aws;
pub mod cli;
pub mod daemon;
pub mod doctor;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod page;
pub mod spool;
pub mod systemd;
mod told;

#[cfg(test)]
#[path = "../tests/support/deadline.rs"]
mod deadline;

//! What redkeep decides, and nothing that it does.
//!
//! ```text
//! Config ──────────┐
//! Observed ────────┼─► plan(now) ─► changes, for the store to commit
//! History ─────────┘            └─► calls ─► execute (over the trait Redshift) ─► Reply ─► take_in ─► changes
//! ```
//!
//! Owns: slots and their names, the run's states, planning, the meaning of answers, retention, reports. Everything is a
//! function of configuration, observation, history and `now`: the manifest has no runtime, SDK, SQL or log, and
//! `clippy.toml` forbids files, the environment, the network and clocks. The simulation runs this crate as it is.

// The words: parsed once, valid ever after.
pub mod brief;
pub mod digest;
pub mod error_chain;
pub mod names;
pub mod policy;
pub mod problem;
pub mod schedule;
pub mod seen;
pub mod shared_tags;
pub mod slot;
pub mod snapshot;
pub mod suggest;
pub mod timing;
pub mod tzdb;

// What is known: the configuration, the past, what was seen.
pub mod history;
pub mod observed;
pub mod operations;
pub mod outbox;
pub mod outline;
pub mod ownership;
pub mod pause;
pub mod run;
pub mod settings;

// What is decided: what to do, what an answer means, when to try again.
pub mod coverage;
pub mod days;
pub mod edit;
pub mod engine;
pub mod explain;
pub mod forecast;
pub mod iam;
pub mod import;
pub mod lease;
pub mod notify;
pub mod plan;
pub mod refusals;
pub mod remedy;
pub mod reply;
pub mod report;
pub mod retention;
pub mod retry;
pub mod rpo;
pub mod standing;

// The seam to Redshift, and the making of a call over it.
pub mod execute;
pub mod redshift;

#[cfg(test)]
mod test_fixtures;

//! An embedded Redshift control plane: strict, deterministic, and plain about what it leaves out.
//!
//! Owns: a model of AWS accounts ([`account`], [`cloud`]), the operations on them ([`operations`]), a fault plan
//! ([`faults`]), and a server that speaks the Query protocol, so that the SDKs, the AWS CLI and boto3 work
//! against it. Never talks to AWS, never uses a random source, and shares no rule with the rest of redkeep:
//! a sandbox that borrowed the daemon's checks would agree with its mistakes.
//!
//! ```text
//!  bytes ─► receive ─► admit (log, fault plan) ─► operation(account, request, now) ─► state file ─► answer
//!            auth       faults, request_log        operations/, cluster, snapshot      state_file    xml
//! ```
//!
//! The model is pure: `now` is a part of every request, and what time does by itself is derived at each
//! look, so reading writes nothing. Only `server`, `receive`, `control` and `state_file` do I/O.
//!
//! `docs/sandbox.md` lists for each operation what it checks, by which document of AWS, and what it does not
//! model; and the paths of the control endpoint.

pub mod account;
mod answer;
mod auth;
pub mod cloud;
pub mod cluster;
mod control;
mod digest;
pub mod error;
pub mod event;
pub mod faults;
mod names;
pub mod operations;
mod page;
pub mod query;
mod receive;
mod request_log;
mod retention;
pub mod role;
mod server;
pub mod snapshot;
mod state_file;
pub mod tag;
pub mod xml;

pub use account::LimitsChange;
pub use faults::{Fault, FaultPlan, FaultPlanError, FaultRule};
pub use server::{Sandbox, SandboxError, SandboxOptions, SeedCluster};
pub use state_file::StateFileError;

#[cfg(test)]
#[path = "../../../tests/support/deadline.rs"]
mod deadline;

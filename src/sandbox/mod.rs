//! An embedded Redshift control plane: strict, deterministic, and plain about what it leaves out.
//!
//! Owns: a model of one AWS account ([`account`]), the operations on it ([`operations`]), a fault plan
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
//! # Operations
//!
//! Parameters that no operation knows are ignored, as Query services do. Checks come in the order: header,
//! Action and Version, service of the credential scope, form of the parameters, existence, state, name,
//! quota.
//!
//! | operation | checked | not modelled |
//! |---|---|---|
//! | CreateCluster | name, node type, nodes, user, password, database, port, retention periods, tags, limit of clusters | networks, keys, roles, versions, maintenance |
//! | DescribeClusters | name (case-sensitive, not with Marker), tags, paging | members about networks, roles, HSM, resize, schedules |
//! | PauseCluster, ResumeCluster | exactly `available`, exactly `paused` | the snapshot that pausing makes, node types that cannot pause |
//! | DeleteCluster | final snapshot named or skipped, state | the status `final-snapshot` |
//! | CreateClusterSnapshot | name, retention period, tags, cluster there and exactly `available`, name free in the region in any case, quota | a cluster that refuses while it reads `available` (a fault rule can) |
//! | DescribeClusterSnapshots | one of name, ARN, cluster; type, times, owner, tags (either-or), ClusterExists, order, paging | automated snapshots, those of other accounts |
//! | ModifyClusterSnapshot | `available`, retention period, not in the past unless Force (which deletes) | accounts with access |
//! | CreateTags, DeleteTags | ARN of a cluster or snapshot here, rules of tags | tags of other resources |
//! | DeleteClusterSnapshot | there, of that cluster, `available`, `failed` or `cancelled` | accounts with access, snapshots that others depend on |
//! | DescribeEvents | source with type, times, Duration, paging | events of anything but snapshots |
//! | GetCallerIdentity (STS) | nothing | users: every access key is the same one |
//!
//! Everywhere: signatures are not checked (an `Authorization` header with a credential scope must be
//! there, its region counts), IAM is not modelled, an answer is consistent at once
//! (unless a fault rule makes a snapshot late). A manual snapshot
//! disappears `ManualSnapshotRetentionPeriod` days after `SnapshotRetentionStartTime`, which is when it was
//! begun. Sizes are derived from names; times are exactly those of the limits.
//!
//! # The control endpoint
//!
//! | request | body | effect |
//! |---|---|---|
//! | `POST /_sandbox/faults` | a [`FaultRule`] | adds it; 201 with the plan |
//! | `PUT /_sandbox/faults` | an array of them | replaces the plan |
//! | `GET`, `DELETE /_sandbox/faults` | | shows the plan with what is left of each rule; clears it |
//! | `POST /_sandbox/clusters/NAME/state` | `{"region", "status"}` | puts a cluster into any status |
//! | `POST /_sandbox/snapshots/NAME/state` | `{"region", "status"}` | the same for a snapshot; no event |
//! | `PUT /_sandbox/limits` | any of [`AccountLimits`] | changes those |
//! | `PUT /_sandbox/clock` | `{"offset_seconds"}` | moves the sandbox's present and its `Date` header |
//! | `GET /_sandbox/state` | | the account |
//! | `GET /_sandbox/requests` | | the last 1,000 requests that named a credential scope, without credentials |
//!
//! A wrong body is answered 400 with the reason in plain text. The account, its limits included, is in the
//! state file; the fault plan, the clock's offset and the request log end with the process.

pub mod account;
mod answer;
mod auth;
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
mod server;
pub mod snapshot;
mod state_file;
pub mod tag;
pub mod xml;

pub use account::AccountLimits;
pub use faults::{Fault, FaultPlan, FaultRule};
pub use server::{Sandbox, SandboxError, SandboxOptions, SeedCluster};
pub use state_file::StateFileError;

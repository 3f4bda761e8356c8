//! redkeep in virtual time: whole daemons against the sandbox's pure model, and what must hold in every life.
//!
//! Owns: the simulated host, the model of AWS behind the trait `Redshift`, the oracles and witnesses of the invariants of
//! docs/semantics.md, the planted bugs, and lives that are drawn from a seed. It runs the product's own core as it is, never a
//! second version of it; nothing here uses HTTP or a real clock. A broken invariant is a panic: this crate is for tests.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a broken invariant is a panic, and only tests read this"
)]

pub mod seed;
pub mod setup;
pub mod sim;

//! Lives drawn from seeds, and the invariants of docs/semantics.md that hold in every one of them.
#![cfg(test)]
#![expect(
    clippy::panic,
    reason = "what helpers unwrap is the test's own ground; its failure is the test's failure"
)]

mod century;
mod cores;
mod planted;
mod seed;
#[expect(dead_code, reason = "the scenarios of tests/world use the rest")]
mod sim;

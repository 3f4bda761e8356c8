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

/// Whether the long lives are to be lived: with REDKEEP_SIMULATION=1.
///
/// They are apart for as long as some of them end badly: with the strains of `seed/strain.rs` they find out more than
/// redkeep stands yet (CONTRIBUTING.md).
fn is_asked_for() -> bool {
    let asked = std::env::var_os("REDKEEP_SIMULATION").is_some();
    if !asked {
        eprintln!("skipped, because REDKEEP_SIMULATION is not set");
    }
    asked
}

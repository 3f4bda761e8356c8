//! Several instances on a real PostgreSQL (Debian's package `postgresql`).
//!
//! Without it these tests say that they are skipped; with `REDKEEP_REQUIRE_PEERS=1` its absence is a failure.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, one that is skipped says so, and these live in real time"
)]

mod instances;
mod moving;
#[path = "../../live/store/sample.rs"]
#[allow(dead_code, reason = "the tests of the file use more of it")]
mod sample;
mod server;
mod store;

//! Several instances on a real PostgreSQL (Debian's package `postgresql`).
//!
//! Without it these tests say that they are skipped; with `REDKEEP_REQUIRE_PEERS=1` its absence is a failure.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, one that is skipped says so, and these live in real time"
)]

mod host;
mod instances;
mod moving;
mod promotion;
#[path = "../../live/store/sample.rs"]
#[expect(dead_code, reason = "the tests of the file use more of it")]
mod sample;
mod schema;
mod server;
mod store;
mod told;

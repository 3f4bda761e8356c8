//! The program: parses the command line, runs one command, and turns its end into an exit code.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use redkeep::cli::Cli;
use redkeep::clock::SystemClock;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match Cli::parse().execute(Arc::new(SystemClock::new())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = failure.to_string();
            if !message.is_empty() {
                // Nothing can be done when stderr is closed; the exit code still tells.
                let _ = writeln!(std::io::stderr(), "redkeep: {message}");
            }
            failure.exit_code()
        }
    }
}

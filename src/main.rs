//! The program: parses the command line, runs one command, and turns its end into an exit code.

use std::process::ExitCode;
use std::sync::Arc;

use redkeep::cli::Cli;
use redkeep::clock::SystemClock;
use redkeep::logging;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let ended = cli.execute(Arc::new(SystemClock::new())).await;
    let code = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = failure.to_string();
            if !message.is_empty() {
                logging::say(&format!("redkeep: {message}"));
            }
            failure.exit_code()
        }
    };
    logging::flush();
    code
}

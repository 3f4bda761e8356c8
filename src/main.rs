//! The program: parses the command line, runs one command, and turns its end into an exit code.

use std::process::ExitCode;
use std::sync::Arc;

use redkeep::cli::Cli;
use redkeep::clock::SystemClock;
use redkeep::logging;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let mut builder = Builder::new_multi_thread();
    let runtime = match builder.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            logging::say(&format!("redkeep: the system gives no threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let command = cli.execute(Arc::new(SystemClock::new()));
    let ended = runtime.block_on(command);
    // The look-up of a host's name may hang for long, and cannot be cut off: nobody waits for it.
    runtime.shutdown_background();
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

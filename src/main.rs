//! The process edge: parse, run, print the error chain, exit code.

use std::process::ExitCode;
use std::time::Duration;

use glimpse::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::read();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("glimpse: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(cli.run());
    // What was waited for has ended; work that was given up on must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    match outcome {
        Ok(ending) => ExitCode::from(ending.code()),
        Err(error) => {
            eprintln!("glimpse: {}", error.chain());
            ExitCode::from(error.code())
        }
    }
}

//! The entry point of the process: parses the command line, runs the command and returns the exit code.

use std::process::ExitCode;
use std::time::Duration;

use glimpse::cli::Cli;
use glimpse::decode_helper;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A helper has no runtime, no settings and no other command.
    if decode_helper::is_helper() {
        return decode_helper::serve();
    }
    decode_helper::install();
    let cli = Cli::read();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("glimpse: the async runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run());
    // Everything that must finish has finished. Abandoned tasks must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_millis(500));
    ExitCode::from(code)
}

//! Decodes the images whose decoders contain `unsafe` code in processes of the same binary (`glimpse decode-helper`), so that a
//! hostile file costs one image and cannot reach the secrets of the service (ADR 0025).
//!
//! A helper reads requests from its standard input and answers on its standard output, one after the other. It has no files, no
//! network and no environment, and a limit on memory and CPU time for each request. It ends when its standard input ends, so that
//! none is left if the service is killed.

mod wire;

#[cfg(unix)]
mod confine;
#[cfg(unix)]
mod pool;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod serve;

#[cfg(unix)]
pub use pool::{HelperPool, HelperSettings};
#[cfg(unix)]
pub use serve::serve;

/// The argument that makes a process of this binary a helper.
pub const ARGUMENT: &str = "decode-helper";

/// Whether the command line of this process is that of a helper.
pub fn is_helper() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Starts helpers from the binary of this process when they are needed.
#[cfg(unix)]
pub fn install() {
    crate::imaging::isolated::install(HelperPool::new(HelperSettings::of_this_binary()));
}

/// Does nothing: helpers need Unix sockets. Their formats are refused.
#[cfg(not(unix))]
pub fn install() {}

/// Fails: helpers need Unix sockets.
#[cfg(not(unix))]
pub fn serve() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}

//! The processes that decode AVIF and JPEG XL, for tests that use the library in their own process.

use std::time::Duration;

use glimpse::decode_helper::{HelperPool, HelperSettings};
use glimpse::imaging::isolated;

/// Installs the helpers: this binary is not `glimpse`, so that it cannot start them from itself.
pub(crate) fn install() {
    isolated::install(pool(4));
}

/// Helpers of the binary that belongs to these tests.
pub(crate) fn pool(max_processes: usize) -> HelperPool {
    let program = env!("CARGO_BIN_EXE_glimpse").into();
    HelperPool::new(HelperSettings { program, max_processes, time: Duration::from_mins(2) })
}

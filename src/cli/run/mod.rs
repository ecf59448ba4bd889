//! Commands that run until they are asked to stop.

pub(super) mod clip;
pub(super) mod demo;
pub(super) mod serve;
pub(super) mod worker;

use super::CliError;
use crate::config::{self, Settings};
use crate::shutdown::Shutdown;
use crate::telemetry::LogGuard;

/// Starts logging, which lasts until the guard is dropped, and the handling of signals. Logs a warning for each variable of the environment that is
/// misspelt or has a former name.
fn begin(settings: &Settings) -> Result<(Shutdown, LogGuard), CliError> {
    let logs = settings.telemetry.begin();
    for warning in config::warnings() {
        tracing::warn!("{warning}");
    }
    Ok((Shutdown::on_signals().map_err(CliError::Signals)?, logs))
}

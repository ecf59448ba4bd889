//! Logs, as text or as JSON lines. They go to standard error, because standard output is for results. [`metrics`] has
//! the metrics.

pub mod metrics;

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

/// The settings of logging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetrySettings {
    /// `GLIMPSE_LOG`: what is logged, such as `info,glimpse=debug`; `info` by default.
    pub glimpse_log: String,
    /// `GLIMPSE_LOG_FORMAT`: `pretty` (default) or `json`.
    pub glimpse_log_format: String,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { glimpse_log: "info".to_owned(), glimpse_log_format: "pretty".to_owned() }
    }
}

impl TelemetrySettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// A message that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        EnvFilter::try_new(&self.glimpse_log).map_err(|error| {
            format!("GLIMPSE_LOG is `{}`: {error}; it must be a filter such as info,glimpse=debug", self.glimpse_log)
        })?;
        match self.glimpse_log_format.as_str() {
            "pretty" | "json" => Ok(()),
            other => Err(format!("GLIMPSE_LOG_FORMAT is `{other}`; it must be `pretty` or `json`")),
        }
    }

    /// Starts logging. A second call in one process has no effect.
    pub fn begin(&self) {
        let filter = EnvFilter::try_new(&self.glimpse_log).unwrap_or_else(|_| EnvFilter::new("info"));
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr.with_max_level(tracing::Level::TRACE));
        let outcome = match self.glimpse_log_format.as_str() {
            "json" => logs.json().flatten_event(true).try_init(),
            _ => logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        };
        // Only tests call this twice.
        drop(outcome);
    }
}

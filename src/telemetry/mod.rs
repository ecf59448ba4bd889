//! Logs: for people or as JSON lines, to standard error, so that standard output stays for results. What is counted is
//! in [`metrics`].

pub mod metrics;

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

/// The settings of logging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetrySettings {
    /// `GLIMPSE_LOG`: what is logged, as `info,glimpse=debug`; `info` by default.
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
    /// Checks what can be checked without asking anyone.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        EnvFilter::try_new(&self.glimpse_log).map_err(|error| format!("GLIMPSE_LOG: {error}"))?;
        match self.glimpse_log_format.as_str() {
            "pretty" | "json" => Ok(()),
            other => Err(format!("GLIMPSE_LOG_FORMAT is `{other}`; it must be `pretty` or `json`")),
        }
    }

    /// Begins to log. A second call in one process changes nothing.
    pub fn begin(&self) {
        let filter = EnvFilter::try_new(&self.glimpse_log).unwrap_or_else(|_| EnvFilter::new("info"));
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr.with_max_level(tracing::Level::TRACE));
        let outcome = match self.glimpse_log_format.as_str() {
            "json" => logs.json().flatten_event(true).try_init(),
            _ => logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        };
        // Only tests begin twice.
        drop(outcome);
    }
}

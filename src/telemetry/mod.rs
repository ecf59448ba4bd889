//! Logs, as text or as JSON lines. They go to standard error, because standard output is for results. [`metrics`] has
//! the metrics.

mod filter;
pub mod metrics;

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::fmt::writer::MakeWriterExt;

pub use filter::LogFilter;

/// The settings of logging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetrySettings {
    /// `GLIMPSE_LOG`: what is logged, such as `info,glimpse=debug`; `info` by default.
    pub glimpse_log: LogFilter,
    /// `GLIMPSE_LOG_FORMAT`: `pretty` (default) or `json`.
    pub glimpse_log_format: LogFormat,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { glimpse_log: LogFilter::default(), glimpse_log_format: LogFormat::Pretty }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum LogFormat {
    /// Text for people.
    Pretty,
    /// JSON for programs.
    Json,
}

impl TryFrom<String> for LogFormat {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match name.as_str() {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("it must be `pretty` or `json`"),
        }
    }
}

impl TelemetrySettings {
    /// Starts logging. A second call in one process has no effect.
    pub fn begin(&self) {
        let logs = tracing_subscriber::fmt()
            .with_env_filter(self.glimpse_log.filter())
            .with_writer(std::io::stderr.with_max_level(tracing::Level::TRACE));
        let outcome = match self.glimpse_log_format {
            LogFormat::Json => logs.json().flatten_event(true).try_init(),
            LogFormat::Pretty => logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        };
        // Only tests call this twice.
        drop(outcome);
    }
}

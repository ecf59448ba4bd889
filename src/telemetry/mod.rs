//! Logs, as text or as JSON lines. They go to standard error, because standard output is for results. [`metrics`] has
//! the metrics, and [`traces`] the spans.

mod filter;
pub mod metrics;
pub mod traces;

use std::fmt;
use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

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
        match name.trim().to_ascii_lowercase().as_str() {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("it must be `pretty` or `json`"),
        }
    }
}

/// Lines that wait to be written. If standard error accepts no more data, further lines are dropped.
const MAX_WAITING_LINES: usize = 10_000;

/// Keeps logging. Dropping it writes the lines that wait, for at most about a second.
#[must_use = "hold it until the process ends"]
pub struct LogGuard {
    _writer: WorkerGuard,
}

impl fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogGuard").finish_non_exhaustive()
    }
}

impl TelemetrySettings {
    /// Starts logging. A second call in one process has no effect.
    ///
    /// A thread of its own writes the lines, so that a full disk, a closed pipe or a reader that does not read costs
    /// lines of the log, and never stops the work that is logged.
    pub fn begin(&self) -> LogGuard {
        let writer = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MAX_WAITING_LINES);
        let (writer, guard) = writer.finish(std::io::stderr());
        let logs = tracing_subscriber::fmt()
            .with_env_filter(self.glimpse_log.filter())
            .with_writer(writer)
            // It would report a failed write on standard error, and panic if that fails too.
            .log_internal_errors(false);
        let outcome = match self.glimpse_log_format {
            LogFormat::Json => logs.json().flatten_event(true).try_init(),
            LogFormat::Pretty => logs.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        };
        // Only tests call this twice.
        drop(outcome);
        LogGuard { _writer: guard }
    }
}

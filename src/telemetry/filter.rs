//! The filter of log lines.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// The name of this crate, which is the first part of the targets of its log lines.
const OWN_TARGET: &str = "glimpse";

/// A filter such as `info,glimpse=debug`: comma-separated levels, for all log lines or for those of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// Returns the filter for warnings and errors.
    pub fn warn() -> Self {
        Self("warn".to_owned())
    }

    pub(super) fn filter(&self) -> EnvFilter {
        // The text was checked when it was read.
        EnvFilter::try_new(&self.0).unwrap_or_default()
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for LogFilter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let directives: Vec<&str> = text.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
        // The parser would take a misspelt level for a target: nothing else would be logged.
        if let Some(wrong) = directives.iter().find(|directive| !is_level(directive) && !names_target(directive)) {
            return Err(format!("`{wrong}` is not a level; it must be {}, or TARGET=LEVEL", LEVELS.join(", ")));
        }
        let text = directives.join(",");
        EnvFilter::try_new(&text)
            .map_err(|error| format!("{error}; it must be a filter such as info,glimpse=debug"))?;
        Ok(Self(text))
    }
}

impl From<LogFilter> for String {
    fn from(filter: LogFilter) -> Self {
        filter.0
    }
}

fn is_level(directive: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(directive))
        || matches!(directive.parse::<u8>(), Ok(number) if number <= 5)
}

/// Whether the directive is for a target: with a level (`hyper=warn`), with a span (`[job]`), or for this crate.
fn names_target(directive: &str) -> bool {
    directive.contains(['=', '[', '{', '}', ']'])
        || directive == OWN_TARGET
        || directive.strip_prefix(OWN_TARGET).is_some_and(|rest| rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused_with_the_levels() {
        for text in ["inof", "glimpse=debug,wran", "hyper", "6"] {
            let error = LogFilter::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("info, debug"), "{error}");
        }
        assert!(LogFilter::try_from("glimpse=inof".to_owned()).unwrap_err().contains("info,glimpse=debug"));
        for text in
            ["info", "INFO", "off", "3", "info,glimpse=debug", "warn, hyper=off", "glimpse::jobs", "[job]=debug"]
        {
            LogFilter::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}

//! The times of a mirror's runs: a cron expression in a time zone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use sha2::{Digest, Sha256};

use crate::domain::{MirrorName, Timestamp};

/// Maximum number of characters of an expression.
pub(crate) const MAX_EXPRESSION: usize = 100;

/// A run starts at most this long after the time of its schedule, and at most a tenth of the time to the next run, so
/// that mirrors with the same schedule do not all start at once.
const MAX_JITTER: Duration = Duration::from_mins(1);

/// A cron expression with five fields, in a time zone.
///
/// When clocks go forward, a fixed time in the missing hour runs directly after it, and a pattern with `*` or `/` in its
/// hours or minutes skips it. When clocks go back, a fixed time runs once, and such a pattern runs in both hours.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    cron: Cron,
    zone: Tz,
}

/// Why an expression or a time zone is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// The expression is not valid.
    #[error(
        "`{expression}` is not a cron expression with five fields (minute, hour, day of month, month, day of week): {reason}"
    )]
    Expression {
        /// The beginning of the expression.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// The expression has no time in the future, such as 30 February.
    #[error("`{0}` never matches a time")]
    Never(String),
    /// The time zone is not known.
    #[error("`{0}` is not an IANA time zone, such as `Europe/Berlin` or `UTC`")]
    TimeZone(String),
}

impl Schedule {
    /// Parses an expression and the name of a time zone.
    ///
    /// # Errors
    /// [`InvalidSchedule`]
    pub(crate) fn parse(expression: &str, zone: &str) -> Result<Self, InvalidSchedule> {
        let zone = parse_zone(zone)?;
        let shown: String = expression.chars().take(MAX_EXPRESSION).collect();
        let invalid = |reason: String| InvalidSchedule::Expression { expression: shown.clone(), reason };
        if expression.chars().count() > MAX_EXPRESSION {
            return Err(invalid(format!("it has more than {MAX_EXPRESSION} characters")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| invalid(error.to_string()))?;
        let schedule = Self { cron, zone };
        match schedule.next_after(Timestamp::now()) {
            Some(_) => Ok(schedule),
            None => Err(InvalidSchedule::Never(shown)),
        }
    }

    /// Returns the first time of the expression after `time`; `None` if there is none.
    pub(crate) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = DateTime::<Utc>::from_timestamp(time.unix_seconds(), 0)?.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&time, false).ok()?;
        Timestamp::from_unix_seconds(next.timestamp())
    }

    /// Returns when the next run after `time` starts: the next time of the expression, plus the jitter of the mirror,
    /// which is always the same for one name.
    pub(crate) fn next_run(&self, name: &MirrorName, time: Timestamp) -> Option<Timestamp> {
        let next = self.next_after(time)?;
        let interval = self.next_after(next).map_or(MAX_JITTER.as_secs(), |later| {
            u64::try_from(later.unix_seconds() - next.unix_seconds()).unwrap_or_default()
        });
        let jitter = jitter(name, MAX_JITTER.as_secs().min(interval / 10));
        Timestamp::from_unix_seconds(next.unix_seconds().saturating_add_unsigned(jitter))
    }
}

/// Parses the name of a time zone.
///
/// # Errors
/// [`InvalidSchedule::TimeZone`]
pub(crate) fn parse_zone(zone: &str) -> Result<Tz, InvalidSchedule> {
    zone.parse().map_err(|_| InvalidSchedule::TimeZone(zone.chars().take(MAX_EXPRESSION).collect()))
}

/// Returns a number of seconds up to `max` that depends only on the name.
fn jitter(name: &MirrorName, max: u64) -> u64 {
    let hash = Sha256::digest(name.as_str().as_bytes());
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    number % (max + 1)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;

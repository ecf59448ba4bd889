//! Parses `Retry-After` in one place for every dependency, and limits it.

use std::time::{Duration, SystemTime};

/// The shortest parsed wait: a value of 0 asks for a retry at once.
const MIN_RETRY_AFTER: Duration = Duration::from_millis(100);
/// The shortest pause if a dependency asks for a shorter one, unless the caller's own growing pause is still shorter
/// than this.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, even if the dependency asked for a longer one.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Parses `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3). Returns `None` if it is neither. The result is
/// between 100 ms and 5 minutes.
pub fn parse_retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(SystemTime::now()).unwrap_or_default()
    };
    Some(wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER))
}

/// Returns how long to wait if the dependency asked for `requested` and the caller's own growing pause would be `pause`.
pub(super) fn limited_wait(requested: Duration, pause: Duration) -> Duration {
    requested.clamp(pause.min(MIN_PAUSE), MAX_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_parsed_and_limited() {
        assert_eq!(parse_retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("0"), Some(MIN_RETRY_AFTER));
        assert_eq!(parse_retry_after("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(MIN_RETRY_AFTER));
        let ahead = httpdate::fmt_http_date(SystemTime::now() + Duration::from_mins(1));
        let ahead = parse_retry_after(&ahead).unwrap();
        assert!((1..=60).contains(&ahead.as_secs()), "{ahead:?}");
        for text in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(parse_retry_after(text), None, "{text}");
        }
    }

    #[test]
    fn a_wait_has_a_growing_minimum_and_a_maximum() {
        let pause = Duration::from_millis(300);
        assert_eq!(limited_wait(Duration::ZERO, pause), pause);
        assert_eq!(limited_wait(Duration::ZERO, 40 * pause), MIN_PAUSE);
        assert_eq!(limited_wait(Duration::from_secs(7), 40 * pause), Duration::from_secs(7));
        assert_eq!(limited_wait(Duration::from_hours(9), pause), MAX_RETRY_AFTER);
    }
}

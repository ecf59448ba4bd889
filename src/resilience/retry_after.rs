//! `Retry-After`, read in one place for every dependency, and bounded.

use std::time::{Duration, SystemTime};

/// The shortest wait that is read: 0 asks us to come back at once.
const SHORTEST: Duration = Duration::from_millis(100);
/// A dependency that asks us back too soon is left alone for this long, or for a growing pause that is shorter.
const FLOOR: Duration = Duration::from_secs(1);
/// A dependency is asked again after this, even if it asked for a longer wait.
pub(super) const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// Reads `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3). `None` if it is neither.
pub fn parse_retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(SystemTime::now()).unwrap_or_default()
    };
    Some(wait.clamp(SHORTEST, LONGEST_ASKED))
}

/// How long to wait if the dependency asked for `asked`, and the caller's own growing pause would be `pause`.
pub(super) fn bounded(asked: Duration, pause: Duration) -> Duration {
    asked.clamp(pause.min(FLOOR), LONGEST_ASKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_bounded() {
        assert_eq!(parse_retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("0"), Some(SHORTEST));
        assert_eq!(parse_retry_after("99999999"), Some(LONGEST_ASKED));
        assert_eq!(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(SHORTEST));
        let ahead = httpdate::fmt_http_date(SystemTime::now() + Duration::from_mins(1));
        let ahead = parse_retry_after(&ahead).unwrap();
        assert!((1..=60).contains(&ahead.as_secs()), "{ahead:?}");
        for nonsense in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(parse_retry_after(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_wait_has_a_floor_that_grows_and_a_ceiling() {
        let pause = Duration::from_millis(300);
        assert_eq!(bounded(Duration::ZERO, pause), pause);
        assert_eq!(bounded(Duration::ZERO, 40 * pause), FLOOR);
        assert_eq!(bounded(Duration::from_secs(7), 40 * pause), Duration::from_secs(7));
        assert_eq!(bounded(Duration::from_hours(9), pause), LONGEST_ASKED);
    }
}

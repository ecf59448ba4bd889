//! Parses `Retry-After` in one place for every dependency, and limits it.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The shortest parsed wait: a value of 0 asks for a retry at once.
const MIN_RETRY_AFTER: Duration = Duration::from_millis(100);
/// The longest parsed wait, even if the server asks for a longer one.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Returns how long a reply asks to wait, if it does.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// Parses `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3). Returns `None` if it is neither. The result is
/// between 100 ms and 5 minutes.
pub(crate) fn parse_retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(SystemTime::now()).unwrap_or_default()
    };
    Some(wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER))
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
}

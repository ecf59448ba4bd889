//! How long a key is valid.

use crate::domain::Timestamp;

/// Maximum number of days: ten years.
const MAX_DAYS: i64 = 3_650;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Parses a number with `h`, `d` or `w`. Returns seconds.
pub(super) fn parse_seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("must be a number with h, d or w, such as 30d, and at most {MAX_DAYS}d, not {text}");
    let (number, unit) = [("h", HOUR), ("d", DAY), ("w", 7 * DAY)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
        .ok_or_else(wrong)?;
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(unit).filter(|seconds| (1..=MAX_DAYS * DAY).contains(seconds));
    seconds.ok_or_else(wrong)
}

/// Returns the time this many seconds from now.
pub(super) fn from_now(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_unix_seconds(Timestamp::now().unix_seconds().checked_add(seconds)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(parse_seconds("30d"), Ok(2_592_000));
        assert_eq!(parse_seconds("2w"), Ok(1_209_600));
        assert_eq!(parse_seconds("1h"), Ok(3_600));
        for wrong in ["", "d", "30", "0d", "-1d", "3651d", "99999999999999999999d", "1.5d"] {
            assert!(parse_seconds(wrong).unwrap_err().contains("such as 30d"), "{wrong}");
        }
    }
}

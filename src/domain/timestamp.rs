//! A point in time in UTC, written as RFC 3339 in replies, in payloads and in SQLite.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A point in time in UTC with microseconds. The texts of two timestamps sort in the same order as the timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

/// The text is not an RFC 3339 date and time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 date and time, such as 2026-01-31T12:00:00Z")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// Returns the current time.
    pub fn now() -> Self {
        Self::from_utc(OffsetDateTime::now_utc())
    }

    /// Converts seconds since 1970. Returns `None` for years that RFC 3339 cannot express.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self::from_utc)
    }

    /// Converts microseconds since 1970. Returns `None` for years that RFC 3339 cannot express.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok().map(Self::from_utc)
    }

    /// Parses an RFC 3339 date and time with any offset.
    ///
    /// # Errors
    /// Returns [`InvalidTimestamp`] with the text if it is not RFC 3339.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok();
        // In UTC, it can be after the last year.
        let utc = parsed.and_then(|time| time.checked_to_offset(UtcOffset::UTC));
        utc.map(Self::from_utc).ok_or_else(|| InvalidTimestamp(text.to_owned()))
    }

    /// Returns the seconds from `earlier` to this time; negative if `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0).as_seconds_f64()
    }

    /// Returns the whole seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Returns the exact microseconds since 1970.
    pub fn unix_micros(self) -> i64 {
        self.0.unix_timestamp() * 1_000_000 + i64::from(self.0.microsecond())
    }

    /// Returns the time of a clock that is this many minutes ahead of UTC; `None` if it cannot be expressed.
    pub(super) fn at_offset(self, minutes: i16) -> Option<OffsetDateTime> {
        self.0.checked_to_offset(UtcOffset::from_whole_seconds(i32::from(minutes) * 60).ok()?)
    }

    /// Converts the time of a clock that is this many minutes ahead of UTC; `None` if it cannot be expressed.
    pub(crate) fn from_clock(clock: PrimitiveDateTime, offset_minutes: i16) -> Option<Self> {
        let offset = UtcOffset::from_whole_seconds(i32::from(offset_minutes) * 60).ok()?;
        clock.assume_offset(offset).checked_to_offset(UtcOffset::UTC).map(Self::from_utc)
    }

    fn from_utc(time: OffsetDateTime) -> Self {
        let utc = time.to_offset(UtcOffset::UTC);
        Self(utc.replace_microsecond(utc.microsecond()).unwrap_or(utc))
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        Self::from_utc(time.into())
    }
}

impl From<Timestamp> for std::time::SystemTime {
    fn from(time: Timestamp) -> Self {
        time.0.into()
    }
}

impl fmt::Display for Timestamp {
    /// Always writes six digits of a second: texts of the same length sort in the order of time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.microsecond()
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_sort_in_the_order_of_time() {
        let early = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let late = Timestamp::parse("2026-01-31T14:00:00.5+01:00").unwrap();
        assert_eq!(early.to_string(), "2026-01-31T12:00:00.000000Z");
        assert_eq!(late.to_string(), "2026-01-31T13:00:00.500000Z");
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn microseconds_are_counted_on_both_sides_of_1970() {
        assert_eq!(Timestamp::parse("2026-01-31T12:00:00.000001Z").unwrap().unix_micros(), 1_769_860_800_000_001);
        let before = Timestamp::parse("1969-12-31T23:59:59.999999Z").unwrap();
        assert_eq!(before.unix_micros(), -1);
        assert_eq!(Timestamp::from_unix_micros(-1), Some(before));
    }

    #[test]
    fn text_that_is_not_a_date_is_refused_and_named() {
        for text in ["yesterday", "9999-12-31T23:00:00-02:00"] {
            let error = Timestamp::parse(text).unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")));
        }
    }
}

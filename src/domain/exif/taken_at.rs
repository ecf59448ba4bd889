//! When an image was taken, by the clock of the camera.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

use crate::domain::Timestamp;

/// When an image was taken: the moment, and the offset of the camera's clock from UTC if it is known. If it is not known, the
/// moment is the time of the clock as if it were UTC.
///
/// The text is RFC 3339 with that offset, or with `Z` if it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenAt {
    moment: Timestamp,
    offset_minutes: Option<i16>,
}

/// The month in which an image was taken, by the clock of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TakenMonth {
    /// The year; `None` for any year.
    year: Option<u16>,
    /// 1 to 12.
    month: u8,
}

/// The text is not RFC 3339, or its year is not from 1 to 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 date and time of the years 1 to 9999, such as 2026-01-31T12:00:00+01:00")]
pub struct InvalidTakenAt(String);

/// The text is not a month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a month: 2024-06, or 06 for June of any year, not `{0}`")]
pub struct InvalidTakenMonth(String);

/// The largest difference of a clock from UTC, in minutes.
const MAX_OFFSET_MINUTES: i16 = 24 * 60 - 1;

impl TakenAt {
    /// Returns the time; `None` if the offset or the year of the clock is not possible.
    pub fn new(moment: Timestamp, offset_minutes: Option<i16>) -> Option<Self> {
        let taken_at = Self { moment, offset_minutes };
        let possible = offset_minutes.is_none_or(|offset| offset.abs() <= MAX_OFFSET_MINUTES);
        (possible && (1..=9999).contains(&taken_at.local()?.year())).then_some(taken_at)
    }

    /// Parses RFC 3339. The offset `Z` is an unknown one.
    ///
    /// # Errors
    /// Returns [`InvalidTakenAt`] with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidTakenAt> {
        let invalid = || InvalidTakenAt(text.to_owned());
        let moment = Timestamp::parse(text).map_err(|_| invalid())?;
        let offset_minutes =
            if text.ends_with(['Z', 'z']) { None } else { Some(parse_offset(text).ok_or_else(invalid)?) };
        Self::new(moment, offset_minutes).ok_or_else(invalid)
    }

    /// Returns the moment, by which times are compared.
    pub fn moment(self) -> Timestamp {
        self.moment
    }

    /// Returns the month of the year, and the month of any year.
    pub(super) fn months(self) -> [TakenMonth; 2] {
        let (year, month) =
            self.local().map_or((None, 1), |local| (u16::try_from(local.year()).ok(), local.month().into()));
        [TakenMonth { year, month }, TakenMonth { year: None, month }]
    }

    /// Whether the image was taken in this month.
    pub fn is_in(self, month: TakenMonth) -> bool {
        self.months().contains(&month)
    }

    /// Returns the time of the camera's clock; `None` if it cannot be expressed.
    fn local(self) -> Option<OffsetDateTime> {
        self.moment.at_offset(self.offset_minutes.unwrap_or_default())
    }
}

/// Returns the minutes of the offset at the end of an RFC 3339 text: `+02:00`.
fn parse_offset(text: &str) -> Option<i16> {
    let offset = text.get(text.len().checked_sub("+02:00".len())?..)?;
    let (sign, rest) = (offset.as_bytes()[0], offset.get(1..)?);
    let (hours, minutes) = rest.split_once(':')?;
    let minutes = hours.parse::<i16>().ok()? * 60 + minutes.parse::<i16>().ok()?;
    match sign {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
}

impl fmt::Display for TakenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `new` has checked that the time can be expressed.
        let Some(t) = self.local() else { return self.moment.fmt(f) };
        let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second())?;
        if t.microsecond() > 0 {
            write!(f, ".{:06}", t.microsecond())?;
        }
        match self.offset_minutes {
            None => f.write_str("Z"),
            Some(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
            }
        }
    }
}

impl Serialize for TakenAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TakenAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl TakenMonth {
    /// Parses `2024-06`, or `06` or `6` for June of any year.
    ///
    /// # Errors
    /// Returns [`InvalidTakenMonth`] with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidTakenMonth> {
        let number =
            |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u16>().ok())?;
        let parsed = match text.split_once('-') {
            Some((year, month)) if year.len() == 4 && month.len() == 2 => number(year).map(Some).zip(number(month)),
            None if text.len() <= 2 => Some(None).zip(number(text)),
            _ => None,
        };
        let month = parsed.and_then(|(year, month)| Some(Self { year, month: u8::try_from(month).ok()? }));
        let possible = |month: &Self| month.year != Some(0) && (1..=12).contains(&month.month);
        month.filter(possible).ok_or_else(|| InvalidTakenMonth(text.to_owned()))
    }

    /// Whether a text is a month of a year, and not of any year.
    pub fn has_year(text: &str) -> bool {
        text.len() == "2024-06".len()
    }
}

impl fmt::Display for TakenMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            Some(year) => write!(f, "{year:04}-{:02}", self.month),
            None => write!(f, "{:02}", self.month),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_its_offset_and_its_month_is_that_of_the_camera() {
        for (text, moment, months) in [
            ("2024-07-01T00:30:00+02:00", "2024-06-30T22:30:00Z", ["2024-07", "07"]),
            ("2024-07-01T00:30:00+00:00", "2024-07-01T00:30:00Z", ["2024-07", "07"]),
            ("2024-07-01T00:30:00Z", "2024-07-01T00:30:00Z", ["2024-07", "07"]),
            ("2024-12-31T23:59:59.250000-09:30", "2025-01-01T09:29:59.25Z", ["2024-12", "12"]),
            ("0001-01-01T00:00:00+14:00", "0000-12-31T10:00:00Z", ["0001-01", "01"]),
        ] {
            let taken_at = TakenAt::parse(text).unwrap();
            assert_eq!(taken_at.to_string(), text);
            assert_eq!(taken_at.moment(), Timestamp::parse(moment).unwrap(), "{text}");
            assert_eq!(taken_at.months().map(|month| month.to_string()), months);
            assert!(taken_at.is_in(TakenMonth::parse(months[0]).unwrap()));
            let json = serde_json::to_string(&taken_at).unwrap();
            assert_eq!(serde_json::from_str::<TakenAt>(&json).unwrap(), taken_at);
        }
    }

    #[test]
    fn impossible_times_and_months_are_refused_and_named() {
        for text in
            ["", "2024-06-30", "2024-06-30T12:00:00", "0000-06-30T12:00:00Z", "9999-12-31T23:00:00-02:00", "ü+02:00"]
        {
            assert!(TakenAt::parse(text).unwrap_err().to_string().contains(&format!("`{text}`")));
        }
        let noon = Timestamp::parse("2024-06-30T12:00:00Z").unwrap();
        assert_eq!(TakenAt::new(noon, Some(24 * 60)), None);
        for text in ["2024-06", "06", "6", "12"] {
            assert_eq!(TakenMonth::parse(text).unwrap().to_string(), if text == "6" { "06" } else { text });
        }
        for text in ["", "0", "13", "2024", "2024-6", "24-06", "2024-00", "0000-01", "+6", "June", "2024-06-30", "006"]
        {
            assert!(TakenMonth::parse(text).unwrap_err().to_string().ends_with(&format!("not `{text}`")));
        }
    }
}

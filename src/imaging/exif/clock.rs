//! Times as cameras write them.

use time::{Date, Month, PrimitiveDateTime, Time};

use crate::domain::{TakenAt, Timestamp};

/// `2024:06:30`
pub(super) const DATE_BYTES: usize = 10;
/// Offsets are multiples of this.
const OFFSET_STEP_MINUTES: i64 = 15;
/// The largest difference of a camera's clock, or of the last fix of its receiver, from the time of the satellites.
const MAX_DRIFT_SECONDS: i64 = 150;
/// The offsets that are in use.
const OFFSETS: std::ops::RangeInclusive<i64> = -12 * 60..=14 * 60;

/// The time of a clock, without its offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock(PrimitiveDateTime);

impl Clock {
    /// Parses `2024:06:30 12:00:00`, and the digits of a fraction of a second.
    pub(super) fn parse(text: &[u8], fraction: Option<&[u8]>) -> Option<Self> {
        let text = str::from_utf8(text).ok()?.trim_start();
        let (date, time) = (text.get(..DATE_BYTES)?, text.get(DATE_BYTES + 1..)?);
        let [year, month, day] = numbers(date, [':', '-'])?;
        let [hour, minute, second] = numbers(time.get(.."12:00:00".len())?, [':', ':'])?;
        let part = |number: u16| u8::try_from(number).ok();
        let date = Date::from_calendar_date(year.into(), Month::try_from(part(month)?).ok()?, part(day)?).ok()?;
        let micros = fraction.map_or(0, micros);
        Some(Self(date.with_time(Time::from_hms_micro(part(hour)?, part(minute)?, part(second)?, micros).ok()?)))
    }

    /// Returns the time, if the clock differs from UTC by this offset.
    pub(super) fn at_offset(self, offset: Option<i16>) -> Option<TakenAt> {
        TakenAt::new(Timestamp::from_clock(self.0, offset.unwrap_or_default())?, offset)
    }

    /// Returns the offset from UTC by the time in UTC of about the same moment; `None` if the times fit to no offset.
    pub(super) fn offset_from(self, utc: Self) -> Option<i16> {
        let seconds = (self.0 - utc.0).whole_seconds();
        let step = OFFSET_STEP_MINUTES * 60;
        let steps = (seconds + seconds.signum() * step / 2) / step;
        let offset = steps * OFFSET_STEP_MINUTES;
        let fits = (seconds - steps * step).abs() <= MAX_DRIFT_SECONDS && OFFSETS.contains(&offset);
        fits.then(|| i16::try_from(offset).ok())?
    }
}

/// Parses three numbers between two separators, each of which is one of the given characters.
fn numbers(text: &str, separators: [char; 2]) -> Option<[u16; 3]> {
    let mut parts = text.split(|c| separators.contains(&c)).map(|digits| {
        // Some software writes ` 9` for `09`.
        let digits = digits.trim_start();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok())?
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Returns the microseconds of the digits of a fraction.
fn micros(digits: &[u8]) -> u32 {
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit()).chain(std::iter::repeat(&b'0'));
    digits.take(6).fold(0, |micros, digit| micros * 10 + u32::from(digit - b'0'))
}

/// Parses `+02:00`, `+0200` or `Z`; `None` for a blank text, and for an offset that is not in use.
pub(super) fn parse_offset(text: &[u8]) -> Option<i16> {
    let text = str::from_utf8(text).ok()?.trim();
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = (text.chars().next()?, text.get(1..)?);
    let (hours, minutes) = rest.split_once(':').or_else(|| rest.split_at_checked(2))?;
    let number = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u8>().ok().map(i64::from))?;
    let minutes = number(hours)? * 60 + number(minutes).filter(|minutes| *minutes < 60)?;
    let offset = match sign {
        '+' => minutes,
        '-' => -minutes,
        _ => return None,
    };
    i16::try_from(offset).ok().filter(|_| OFFSETS.contains(&offset))
}

/// Parses the times of XMP: ISO 8601, with or without an offset, seconds or the time. A date alone is not a time.
pub(super) fn parse_iso(text: &str) -> Option<TakenAt> {
    let text = text.trim();
    let (date, rest) = (text.get(..DATE_BYTES)?, text.get(DATE_BYTES..)?.strip_prefix(['T', ' '])?);
    let zone = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let seconds = if time.len() == "12:00".len() { ":00" } else { "" };
    let clock = Clock::parse(format!("{date} {time}{seconds}").as_bytes(), Some(fraction.as_bytes()))?;
    clock.at_offset(parse_offset(zone.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(text: &str) -> Clock {
        Clock::parse(text.as_bytes(), None).unwrap()
    }

    #[test]
    fn times_of_cameras_and_of_xmp_are_read() {
        let at = |text: &str, fraction: &str, offset: &str| {
            let clock = Clock::parse(text.as_bytes(), Some(fraction.as_bytes()))?;
            clock.at_offset(parse_offset(offset.as_bytes())).map(|taken_at| taken_at.to_string())
        };
        assert_eq!(at("2024:06:30 12:00:01", "", "").as_deref(), Some("2024-06-30T12:00:01Z"));
        assert_eq!(at("2024-06-30 12:00:01", "25 ", "-09:30").as_deref(), Some("2024-06-30T12:00:01.250000-09:30"));
        assert_eq!(at("2024:06:30 12:00:01 ", "1234567", "   :  ").as_deref(), Some("2024-06-30T12:00:01.123456Z"));
        for wrong in [
            "0000:00:00 00:00:00",
            "    :  :     :  :  ",
            "2023:02:29 12:00:00",
            "2024:06:30 24:00:00",
            "2024:06:30",
            "",
        ] {
            assert_eq!(at(wrong, "", "+01:00"), None, "{wrong}");
        }
        let iso = |text| parse_iso(text).map(|taken_at| taken_at.to_string());
        assert_eq!(iso("2024-06-30T12:00").as_deref(), Some("2024-06-30T12:00:00Z"));
        assert_eq!(iso("2024-06-30T12:00:01.5+02:00").as_deref(), Some("2024-06-30T12:00:01.500000+02:00"));
        assert_eq!(iso("2024-06-30T12:00:01Z").as_deref(), Some("2024-06-30T12:00:01+00:00"));
        assert_eq!(iso("2024-06-30T12:00:01-0330").as_deref(), Some("2024-06-30T12:00:01-03:30"));
        assert_eq!(iso("2024-06-30T12:00:01+24:00").as_deref(), Some("2024-06-30T12:00:01Z"));
        assert_eq!([iso("2024-06-30"), iso("2024"), iso("ü")], [const { None }; 3]);
        assert_eq!(at(" 2024:06:30  9:05:03", "", "+02:60").as_deref(), Some("2024-06-30T09:05:03Z"));
        for offset in ["+24:00", "+99:00", "-12:15", "+14:01", "+2", "0200"] {
            assert_eq!(at("2024:06:30 12:00:01", "", offset).as_deref(), Some("2024-06-30T12:00:01Z"), "{offset}");
        }
    }

    #[test]
    fn the_time_of_the_satellites_gives_the_offset_if_it_fits() {
        let noon = clock("2024:06:30 12:00:00");
        for (utc, offset) in [
            ("2024:06:30 10:00:07", Some(120)),
            ("2024:06:30 06:14:00", Some(345)),
            ("2024:06:30 21:31:00", Some(-570)),
            ("2024:06:30 12:02:30", Some(0)),
            ("2024:06:30 11:57:00", None),
            ("2024:06:29 20:00:00", None),
        ] {
            assert_eq!(noon.offset_from(clock(utc)), offset, "{utc}");
        }
    }
}

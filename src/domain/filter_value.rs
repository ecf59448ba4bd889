//! The grammar of filter values, the same in query parameters, JSON bodies, on the command line and on the page.
//!
//! ```text
//! value          the text itself
//! !value         not this value
//! 4..6           a range of numbers or dates of metadata, both bounds included; `4..` and `..6` have one bound
//! \!  \.  \\       the character itself; a backslash before any other character is a plain character
//! ```
//!
//! Several values of one property mean any of them; of several values with `!`, none.

use super::{Condition, ImageFormat, MetaValue, TakenMonth, Timestamp, ValueRange, parse_date, parse_number};

/// Maximum number of values of one property.
pub const MAX_FILTER_VALUES: usize = 32;
/// Maximum bytes of a value: the limit of a value of a metadata file, and its escapes.
const MAX_VALUE_BYTES: usize = 4_096;
/// How to write a text that looks like a range.
const ESCAPE_HINT: &str = "write `\\..` for a text with two dots";

/// A value of a filter cannot be used. The message says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFilterValue(String);

impl Condition<ImageFormat> {
    /// Parses names of formats.
    ///
    /// # Errors
    /// Returns [`InvalidFilterValue`] for a name that is not known.
    pub fn parse_formats<'t>(values: impl IntoIterator<Item = &'t str>) -> Result<Self, InvalidFilterValue> {
        parse(values, |value| {
            ImageFormat::from_name(&value.text).ok_or_else(|| {
                InvalidFilterValue(format!(
                    "must be jpeg, png, webp, gif, tiff, bmp, heic, avif, jxl or raw, not `{}`",
                    value.text
                ))
            })
        })
    }
}

impl Condition<String> {
    /// Parses folders.
    ///
    /// # Errors
    /// Returns [`InvalidFilterValue`] for a text that does not end in `/`.
    pub fn parse_folders<'t>(values: impl IntoIterator<Item = &'t str>) -> Result<Self, InvalidFilterValue> {
        parse(values, |value| {
            let folder = value.text;
            let ends = folder.ends_with('/');
            if ends { Ok(folder) } else { Err(InvalidFilterValue(format!("must end in `/`, not `{folder}`"))) }
        })
    }
}

impl Condition<String> {
    /// Parses names of cameras. Spaces around a name are not a part of it.
    ///
    /// # Errors
    /// Returns [`InvalidFilterValue`] for an empty name.
    pub fn parse_cameras<'t>(values: impl IntoIterator<Item = &'t str>) -> Result<Self, InvalidFilterValue> {
        parse(values, |value| {
            let name = value.text.trim();
            if name.is_empty() { Err(InvalidFilterValue("must not be empty".to_owned())) } else { Ok(name.to_owned()) }
        })
    }
}

impl Condition<TakenMonth> {
    /// Parses months.
    ///
    /// # Errors
    /// Returns [`InvalidFilterValue`] for a text that is not a month.
    pub fn parse_months<'t>(values: impl IntoIterator<Item = &'t str>) -> Result<Self, InvalidFilterValue> {
        parse(values, |value| TakenMonth::parse(&value.text).map_err(|error| InvalidFilterValue(error.to_string())))
    }
}

/// Parses the first and the last moment of a range of times, each a date or a date and time; `None` if both are missing. A
/// date as the last moment includes its day.
///
/// # Errors
/// Returns the number of the bound, and [`InvalidFilterValue`] for a text that is not a date, or for an empty range.
pub fn parse_times(
    after: Option<&str>,
    before: Option<&str>,
) -> Result<Option<ValueRange<Timestamp>>, (usize, InvalidFilterValue)> {
    let invalid = |text: &str| {
        // An address decodes `+` as a space.
        let hint = if text.contains(' ') { "; in an address, `+` must be written as `%2B`" } else { "" };
        InvalidFilterValue(format!("must be a date (2024-04-01) or an RFC 3339 date and time, not `{text}`{hint}"))
    };
    let parse = |text: Option<&str>| text.map(|text| parse_date(text).ok_or_else(|| invalid(text))).transpose();
    let min = parse(after).map_err(|error| (0, error))?.map(|(first, _)| first);
    let max = parse(before).map_err(|error| (1, error))?.map(|(_, last)| last);
    if min.is_none() && max.is_none() {
        return Ok(None);
    }
    let empty = || (1, InvalidFilterValue("is before the first time of the range, so no image can match".to_owned()));
    range(min, max).map(Some).ok_or_else(empty)
}

impl Condition<MetaValue> {
    /// Parses values of metadata.
    ///
    /// # Errors
    /// Returns [`InvalidFilterValue`] for a range whose bounds are not two numbers or two dates.
    pub fn parse_meta<'t>(values: impl IntoIterator<Item = &'t str>) -> Result<Self, InvalidFilterValue> {
        parse(values, |Value { text, dots }| match dots {
            None => Ok(MetaValue::Text(text)),
            Some(at) => parse_range(&text, &text[..at], &text[at + 2..]),
        })
    }
}

fn parse<'t, T>(
    values: impl IntoIterator<Item = &'t str>,
    parse_value: impl Fn(Value) -> Result<T, InvalidFilterValue>,
) -> Result<Condition<T>, InvalidFilterValue> {
    let mut condition = Condition::default();
    for (position, value) in values.into_iter().enumerate() {
        if position == MAX_FILTER_VALUES {
            return Err(InvalidFilterValue(format!("must have at most {MAX_FILTER_VALUES} values")));
        }
        if value.len() > MAX_VALUE_BYTES {
            let bytes = value.len();
            return Err(InvalidFilterValue(format!("a value must have at most {MAX_VALUE_BYTES} bytes, not {bytes}")));
        }
        match value.strip_prefix('!') {
            Some(excluded) => condition.none_of.push(parse_value(Value::unescape(excluded))?),
            None => condition.any_of.push(parse_value(Value::unescape(value))?),
        }
    }
    Ok(condition)
}

/// A value without its escapes.
struct Value {
    text: String,
    /// The position of the first `..` that is not escaped.
    dots: Option<usize>,
}

impl Value {
    fn unescape(mut rest: &str) -> Self {
        let (mut text, mut dots) = (String::with_capacity(rest.len()), None);
        while let Some(next) = rest.chars().next() {
            let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
            let length = if let Some(escaped) = escaped.filter(|c| matches!(c, '!' | '.' | '\\')) {
                text.push(escaped);
                2
            } else if dots.is_none() && rest.starts_with("..") {
                dots = Some(text.len());
                text.push_str("..");
                2
            } else {
                text.push(next);
                next.len_utf8()
            };
            rest = &rest[length..];
        }
        Self { text, dots }
    }
}

fn parse_range(text: &str, low: &str, high: &str) -> Result<MetaValue, InvalidFilterValue> {
    let invalid = |problem: &str| InvalidFilterValue(format!("the range `{text}` {problem}; {ESCAPE_HINT}"));
    if low.is_empty() && high.is_empty() {
        return Err(invalid("has no bound"));
    }
    let range = if let Some((min, max)) = bounds(low, high, parse_number) {
        range(min, max).map(MetaValue::Numbers)
    } else if let Some((min, max)) = bounds(low, high, parse_date) {
        // A day as upper bound is included up to its last moment.
        range(min.map(|(first, _)| first), max.map(|(_, last)| last)).map(MetaValue::Dates)
    } else {
        return Err(invalid("must have two numbers or two dates (2024-04-01, or RFC 3339) as bounds"));
    };
    range.ok_or_else(|| invalid("is empty, because its lower bound is above its upper bound"))
}

/// Parses both bounds of a range. An empty bound is open. Returns `None` if a bound is not valid.
fn bounds<T>(low: &str, high: &str, parse: impl Fn(&str) -> Option<T>) -> Option<(Option<T>, Option<T>)> {
    let bound = |text: &str| if text.is_empty() { Some(None) } else { parse(text).map(Some) };
    bound(low).zip(bound(high))
}

/// Returns a range, or `None` if no value can be in it.
fn range<T: PartialOrd>(min: Option<T>, max: Option<T>) -> Option<ValueRange<T>> {
    let empty = min.as_ref().zip(max.as_ref()).is_some_and(|(min, max)| min > max);
    (!empty).then_some(ValueRange { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn meta(values: &[&str]) -> Condition<MetaValue> {
        Condition::parse_meta(values.iter().copied()).unwrap()
    }

    fn text(value: &str) -> MetaValue {
        MetaValue::Text(value.to_owned())
    }

    #[test]
    fn special_characters_can_be_escaped() {
        for (value, expected) in [
            ("Felis catus", "Felis catus"),
            ("a,b|c!d", "a,b|c!d"),
            (r"\!important", "!important"),
            (r"4\..6", "4..6"),
            (r"4.\.6", "4..6"),
            (r"C:\temp\file", r"C:\temp\file"),
            (r"\\!a", r"\!a"),
            ("3.5", "3.5"),
            ("", ""),
        ] {
            assert_eq!(meta(&[value]), Condition::from(text(expected)), "{value}");
        }
        let mixed = meta(&["a", "!b", r"!\!c", "d"]);
        assert_eq!(mixed, Condition { any_of: vec![text("a"), text("d")], none_of: vec![text("b"), text("!c")] });
    }

    #[test]
    fn ranges_have_numbers_or_dates_as_bounds() {
        let numbers = |min, max| Condition::from(MetaValue::Numbers(ValueRange { min, max }));
        assert_eq!(meta(&["4..6"]), numbers(Some(4.0), Some(6.0)));
        assert_eq!(meta(&["-1.5.."]), numbers(Some(-1.5), None));
        assert_eq!(meta(&["..6"]), numbers(None, Some(6.0)));
        let moment = |text| Some(Timestamp::parse(text).unwrap());
        let (min, max) = (moment("2024-04-01T00:00:00Z"), moment("2024-06-30T23:59:59.999999Z"));
        assert_eq!(meta(&["2024-04-01..2024-06-30"]), MetaValue::Dates(ValueRange { min, max }).into());
        let max = moment("2024-06-30T12:00:00Z");
        assert_eq!(meta(&["..2024-06-30T12:00:00Z"]), MetaValue::Dates(ValueRange { min: None, max }).into());
    }

    #[test]
    fn an_error_says_what_is_allowed() {
        let error = |values: &[&str]| Condition::parse_meta(values.iter().copied()).unwrap_err().to_string();
        assert!(error(&[".."]).contains("`..` has no bound"));
        for range in ["a..b", "!4..2024-01-01", "2024-4-1..2024-06-30", "4...6", "1..2..3"] {
            assert!(error(&[range]).contains("two numbers or two dates"), "{range}");
        }
        assert!(error(&["6..4"]).contains("is empty"));
        assert!(error(&["1"; 33]).contains("at most 32"));
        assert!(error(&[&"a".repeat(4_097)]).contains("not 4097"));
        assert!(Condition::parse_formats(["gif", "!psd"]).unwrap_err().to_string().ends_with("not `psd`"));
        assert!(Condition::parse_folders(["a"]).unwrap_err().to_string().ends_with("not `a`"));
    }

    #[test]
    fn formats_and_folders_can_be_excluded() {
        let formats = Condition { any_of: vec![ImageFormat::Gif], none_of: vec![ImageFormat::Png] };
        assert_eq!(Condition::parse_formats(["gif", "!png"]), Ok(formats));
        let folders = Condition { any_of: vec!["a..b/".to_owned()], none_of: vec!["!c/".to_owned()] };
        assert_eq!(Condition::parse_folders(["a..b/", r"!\!c/"]), Ok(folders));
    }
}

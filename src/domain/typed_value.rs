//! Numbers and dates in the values of metadata, which are texts.

use super::Timestamp;

/// Returns the number that a text is in decimal notation, such as `-3.50` or `1e6`.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let decimal = digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let complete = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.ends_with(|c: char| c.is_ascii_digit());
    let number: f64 = (decimal && complete).then(|| text.parse().ok())??;
    // Adding zero turns -0 into 0.
    number.is_finite().then_some(number + 0.0)
}

/// Returns the first and the last moment of a date (`2024-04-01`, a day in UTC) or of an RFC 3339 date and time.
pub(crate) fn parse_date(text: &str) -> Option<(Timestamp, Timestamp)> {
    const DATE_BYTES: usize = "2024-04-01".len();
    if text.len() == DATE_BYTES {
        let moment = |time: &str| Timestamp::parse(&format!("{text}{time}")).ok();
        return moment("T00:00:00Z").zip(moment("T23:59:59.999999Z"));
    }
    Timestamp::parse(text).ok().map(|moment| (moment, moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_decimal_numbers_are_numbers() {
        for (text, number) in [("5", 5.0), ("05.50", 5.5), ("-3", -3.0), ("1e3", 1000.0), ("-0", 0.0)] {
            assert_eq!(parse_number(text).map(f64::to_bits), Some(f64::to_bits(number)), "{text}");
        }
        for text in
            ["", "-", "5.", ".5", "+5", " 5", "5 m", "1,5", "0x10", "inf", "NaN", "1e999", "2024-04-01", "1.2.3"]
        {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_a_day_and_a_time_is_a_moment() {
        let moment = |text| Timestamp::parse(text).unwrap();
        let day = (moment("2024-02-29T00:00:00Z"), moment("2024-02-29T23:59:59.999999Z"));
        assert_eq!(parse_date("2024-02-29"), Some(day));
        let noon = moment("2024-02-29T12:00:00Z");
        assert_eq!(parse_date("2024-02-29T13:00:00+01:00"), Some((noon, noon)));
        for text in ["2023-02-29", "2024-4-1", "2024", "29.02.2024", "2024-02-29T12:00:00", "20240229xx"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}

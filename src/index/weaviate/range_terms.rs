//! Numbers and dates as terms, so that a filter on a list of terms can compare them with a range.
//!
//! Weaviate filters by declared properties only, but metadata has any number of keys. So each number is written as 16
//! terms: the prefixes of its 16 hexadecimal digits, in an order-preserving encoding. The numbers of a range are those
//! with one of at most 466 prefixes.

use crate::domain::{MetaValue, Timestamp, ValueRange, parse_date, parse_number};

/// Digits of an encoded number.
const DIGITS: u32 = 16;
const SIGN: u64 = 1 << 63;

/// Returns the terms of a value of metadata. There are none if it is neither a number nor a date.
pub(super) fn value_terms(key: &str, text: &str) -> Vec<String> {
    let number = parse_number(text).map(|number| (NUMBER, encode_number(number)));
    let date = parse_date(text).map(|(moment, _)| (DATE, encode_date(moment)));
    let prefixes = |(kind, code): (&'static str, u64)| {
        (1..=DIGITS).map(move |digits| term(kind, key, digits, code >> (4 * (DIGITS - digits))))
    };
    number.into_iter().chain(date).flat_map(prefixes).collect()
}

/// Returns the terms of which a value in the range has exactly one, and any other value none.
pub(super) fn range_terms(key: &str, value: &MetaValue) -> Vec<String> {
    let (kind, (min, max)) = match value {
        MetaValue::Text(_) => return Vec::new(),
        MetaValue::Numbers(range) => (NUMBER, encode_range(*range, encode_number)),
        MetaValue::Dates(range) => (DATE, encode_range(*range, encode_date)),
    };
    cover(min, max).into_iter().map(|(digits, prefix)| term(kind, key, digits, prefix)).collect()
}

const NUMBER: &str = "number";
const DATE: &str = "date";

/// Like other terms, it does not begin or end with a space, and has the length of the key.
fn term(kind: &str, key: &str, digits: u32, prefix: u64) -> String {
    let width = digits as usize;
    format!("{kind}:{}:{key}={prefix:0width$x};", key.len())
}

fn encode_range<T>(ValueRange { min, max }: ValueRange<T>, encode: impl Fn(T) -> u64) -> (u64, u64) {
    (min.map_or(0, &encode), max.map_or(u64::MAX, &encode))
}

/// Encodes a number so that the codes have the order of the numbers.
fn encode_number(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn encode_date(moment: Timestamp) -> u64 {
    moment.unix_micros().cast_unsigned() ^ SIGN
}

/// Returns the fewest prefixes, each with its number of digits, of the codes from `min` to `max`.
fn cover(mut min: u64, mut max: u64) -> Vec<(u32, u64)> {
    let mut prefixes = Vec::new();
    for digits in (1..=DIGITS).rev() {
        if digits == 1 || min >> 4 == max >> 4 {
            prefixes.extend((min..=max).map(|prefix| (digits, prefix)));
            break;
        }
        // The codes that do not fill a group of 16, which has a shorter prefix.
        while min & 0xf != 0 {
            prefixes.push((digits, min));
            min += 1;
        }
        while max & 0xf != 0xf {
            prefixes.push((digits, max));
            max -= 1;
        }
        (min, max) = (min >> 4, max >> 4);
        if min > max {
            break;
        }
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_term_of_each_range_that_contains_it() {
        let numbers =
            ["-1e308", "-7.5", "-1", "0", "1e-300", "1", "3.9999999", "4", "5", "6", "6.0000001", "255", "1e308"];
        let dates = ["0001-01-01", "1969-12-31T23:59:59.999999Z", "1970-01-01", "2024-04-01", "2024-06-30T12:00:00Z"];
        let range = |min: Option<&str>, max: Option<&str>| {
            let (low, high) = (min.unwrap_or_default(), max.unwrap_or_default());
            crate::domain::Condition::parse_meta([format!("{low}..{high}").as_str()]).unwrap().any_of.remove(0)
        };
        for texts in [&numbers[..], &dates[..]] {
            for (at, min) in texts.iter().enumerate() {
                for max in &texts[at..] {
                    for value in [range(Some(min), Some(max)), range(Some(min), None), range(None, Some(max))] {
                        let wanted = range_terms("k", &value);
                        assert!(wanted.len() <= 466, "{}", wanted.len());
                        for text in numbers.iter().chain(&dates) {
                            let terms = value_terms("k", text);
                            let common = terms.iter().filter(|term| wanted.contains(term)).count();
                            assert_eq!(common, usize::from(value.matches(text)), "{text} in {value:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_range_of_small_numbers_has_few_terms() {
        let month = MetaValue::Numbers(ValueRange { min: Some(4.0), max: Some(6.0) });
        assert!(range_terms("month", &month).len() < 20);
        assert!(value_terms("taxon", "Felis catus").is_empty());
        assert_eq!(value_terms("month", "5").len(), 16);
    }
}

//! A [`Filter`] in Weaviate's words.

use super::names;
use super::wire::{FilterTarget, Filters, Operator, TestValue, TextArray};
use crate::domain::{Filter, ImageId, Timestamp};

/// Numbers are doubles on their way: beyond this they are not exact. In microseconds since 1970 it is the year 2255.
const EXACT: i64 = (1 << 53) - 1;

/// What [`names::INDEXED_MICROS`] holds of a moment, and is compared with.
pub(super) fn micros(moment: Timestamp) -> i64 {
    moment.unix_micros().clamp(-EXACT, EXACT)
}

/// A folder as one of [`names::TERMS`]; ends, like the next, with something that is no space.
pub(super) fn folder_term(folder: &str) -> String {
    format!("folder:{folder};")
}

/// A pair of metadata as one of [`names::TERMS`]: with the key's length, or two pairs could read alike.
pub(super) fn meta_term(key: &str, value: &str) -> String {
    format!("meta:{}:{key}={value};", key.len())
}

/// The same in Weaviate's words; `None` where everything matches. Means what [`Filter::matches`] means, which the
/// contract suite holds it against.
pub(super) fn filters(filter: &Filter) -> Option<Filters> {
    let Filter { format, s3_prefix, min_width, min_height, indexed_after, meta } = filter;
    let text = |text: &str| TestValue::Text(text.to_owned());
    let mut all = Vec::new();
    all.extend(format.map(|format| one(names::FORMAT, Operator::Equal, text(format.as_str()))));
    let folder = s3_prefix.iter().map(|folder| folder_term(folder));
    for term in folder.chain(meta.iter().map(|(key, value)| meta_term(key, value))) {
        // Of a list, any element.
        all.push(one(names::TERMS, Operator::Equal, TestValue::Text(term)));
    }
    for (name, least) in [(names::WIDTH, min_width), (names::HEIGHT, min_height)] {
        all.extend(least.map(|least| one(name, Operator::GreaterThanEqual, TestValue::Int(least.into()))));
    }
    let after = indexed_after.map(|moment| TestValue::Int(micros(moment)));
    all.extend(after.map(|after| one(names::INDEXED_MICROS, Operator::GreaterThan, after)));
    match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Filters { operator: Operator::And.into(), operands: all, ..Filters::default() }),
    }
}

/// These ids.
pub(super) fn of_ids(ids: &[ImageId]) -> Filters {
    let values = ids.iter().map(ToString::to_string).collect();
    one(names::ID, Operator::ContainsAny, TestValue::TextArray(TextArray { values }))
}

fn one(property: &str, operator: Operator, value: TestValue) -> Filters {
    Filters {
        operator: operator.into(),
        operands: Vec::new(),
        test_value: Some(value),
        target: Some(FilterTarget { property: property.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_is_no_filter_and_one_thing_is_no_conjunction() {
        assert_eq!(filters(&Filter::default()), None);
        let wide = Filter { min_width: Some(u32::MAX), ..Filter::default() };
        let expected = one("width", Operator::GreaterThanEqual, TestValue::Int(4_294_967_295));
        assert_eq!(filters(&wide), Some(expected));
        let two = filters(&Filter { s3_prefix: Some("a/".into()), ..wide }).unwrap();
        assert_eq!((two.operator(), two.operands.len()), (Operator::And, 2));
    }

    #[test]
    fn pairs_that_read_alike_are_different_terms_and_no_end_is_a_space() {
        let terms = [meta_term("a", "b=c"), meta_term("a=b", "c"), meta_term("a", "b=c "), meta_term("", "")];
        for (at, term) in terms.iter().enumerate() {
            assert_eq!(term.trim(), term);
            assert!(!terms[..at].contains(term), "{term}");
        }
        assert_ne!(folder_term(" a/").trim(), folder_term("a/"));
    }

    #[test]
    fn moments_that_no_double_holds_are_the_last_that_one_does() {
        let far = Timestamp::parse("9999-01-01T00:00:00Z").unwrap();
        assert_eq!(micros(far), EXACT);
        let near = Timestamp::parse("2026-01-31T12:00:00.000001Z").unwrap();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "that is the question")]
        let carried = micros(near) as f64 as i64;
        assert_eq!(carried, near.unix_micros());
    }
}

//! A [`Filter`] in Qdrant's words. Means what [`Filter::matches`] means; the contract suite compares the two.

use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{self, Condition, DatetimeRange, Range};

use super::payload::{META_PAIRS, is_ambiguous, pair};
use crate::domain::{Filter, Timestamp};

/// The conditions, or `None` where everything matches.
pub(super) fn conditions(filter: &Filter) -> Option<qdrant::Filter> {
    let Filter { format, s3_prefix, min_width, min_height, indexed_after, meta } = filter;
    let mut must = Vec::new();
    must.extend(format.map(|format| keyword("format", format.as_str().to_owned())));
    must.extend(s3_prefix.iter().map(|folder| keyword("s3_folders", folder.clone())));
    must.extend(min_width.map(|width| Condition::range("width", at_least(width))));
    must.extend(min_height.map(|height| Condition::range("height", at_least(height))));
    must.extend(indexed_after.map(|moment| Condition::datetime_range("indexed_at", after(moment))));
    must.extend(meta.iter().map(|(key, value)| {
        if is_ambiguous(key, value) {
            keyword(META_PAIRS, pair(key, value))
        } else {
            keyword("meta_kv", format!("{key}={value}"))
        }
    }));
    (!must.is_empty()).then(|| qdrant::Filter::must(must))
}

/// Exactly this. The crate's own conversion makes a search in full text of a string with a blank in it, which finds whatever
/// contains it.
fn keyword(field: &str, value: String) -> Condition {
    Condition::matches(field, MatchValue::Keyword(value))
}

/// A `u32` is exact as the double that a range is made of.
fn at_least(number: u32) -> Range {
    Range { gte: Some(number.into()), ..Range::default() }
}

/// Strictly after. Exact: Qdrant keeps moments as whole microseconds, as we do (`DateTimeWrapper::timestamp` in
/// its `lib/segment/src/types.rs`).
fn after(moment: Timestamp) -> DatetimeRange {
    const SECOND: i64 = 1_000_000;
    let micros = moment.unix_micros();
    let nanos = i32::try_from(micros.rem_euclid(SECOND) * 1_000).unwrap_or_default();
    let moment = prost_types::Timestamp { seconds: micros.div_euclid(SECOND), nanos };
    DatetimeRange { gt: Some(moment), ..DatetimeRange::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_conditions_asks_for_nothing() {
        assert_eq!(conditions(&Filter::default()), None);
    }

    #[test]
    fn moments_before_1970_and_between_seconds_keep_their_place() {
        let of = |text| after(Timestamp::parse(text).unwrap()).gt.unwrap();
        let just_after = of("2026-01-31T12:00:00.000001Z");
        assert_eq!((just_after.seconds, just_after.nanos), (1_769_860_800, 1_000));
        let early = of("1969-12-31T23:59:59.75Z");
        assert_eq!((early.seconds, early.nanos), (-1, 750_000_000));
    }

    #[test]
    fn metadata_with_more_than_one_equals_sign_is_asked_for_unambiguously() {
        let of = |key: &str, value: &str| {
            let meta = [(key.to_owned(), value.to_owned())].into();
            conditions(&Filter { meta, ..Filter::default() }).unwrap().must
        };
        assert_eq!(of("taxon", "Felis catus"), [keyword("meta_kv", "taxon=Felis catus".to_owned())]);
        assert_ne!(of("a", "b=a"), of("a=b", "a"));
        assert_eq!(of("a=b", "a"), [keyword(META_PAIRS, "3:a=b=a".to_owned())]);
    }
}

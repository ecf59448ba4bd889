//! Converts a [`Filter`] into conditions of Qdrant, with the meaning of [`Filter::matches`]; the contract tests compare
//! both.

use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{self, Condition, DatetimeRange, GeoPoint, GeoRadius, Range};

use super::record::{
    CAMERA, LATITUDE, LOCATION, LONGITUDE, META_PAIRS, TAKEN_AT, TAKEN_MONTHS, date_path, is_ambiguous, number_path,
    unambiguous_pair,
};
use crate::domain::{self, BoundingBox, Circle, Filter, MetaValue, Timestamp, ValueRange};

/// Returns the conditions, or `None` if the filter has no condition.
pub(super) fn conditions(filter: &Filter) -> Option<qdrant::Filter> {
    let Filter {
        formats,
        folders,
        min_width,
        min_height,
        indexed_after,
        meta,
        cameras,
        taken,
        taken_months,
        near,
        bbox,
    } = filter;
    let mut all = qdrant::Filter::default();
    add(&mut all, formats, |format| keyword("format", format.as_str().to_owned()));
    add(&mut all, folders, |folder| keyword("s3_folders", folder.clone()));
    for (key, condition) in meta {
        add(&mut all, condition, |value| meta_condition(key, value));
    }
    all.must.extend(min_width.map(|width| Condition::range("width", at_least(width))));
    all.must.extend(min_height.map(|height| Condition::range("height", at_least(height))));
    all.must.extend(indexed_after.map(|moment| Condition::datetime_range("indexed_at", after(moment))));
    add(&mut all, cameras, |camera| keyword(CAMERA, camera.clone()));
    add(&mut all, taken_months, |month| keyword(TAKEN_MONTHS, month.to_string()));
    all.must.extend(taken.map(|range| Condition::datetime_range(TAKEN_AT, times(range))));
    all.must.extend(near.map(|circle| Condition::geo_radius(LOCATION, geo_radius(circle))));
    if let Some(bbox) = bbox {
        all.must.extend(in_box(bbox));
    }
    (!all.must.is_empty() || !all.must_not.is_empty()).then_some(all)
}

/// Returns a filter for the records of earlier versions, which have no numbers and dates of metadata.
pub(super) fn without_typed_metadata() -> qdrant::Filter {
    qdrant::Filter::must([Condition::is_empty("version")])
}

fn add<T>(all: &mut qdrant::Filter, condition: &domain::Condition<T>, convert: impl Fn(&T) -> Condition) {
    let mut any: Vec<_> = condition.any_of.iter().map(&convert).collect();
    match any.len() {
        0 | 1 => all.must.extend(any.pop()),
        _ => all.must.push(qdrant::Filter::should(any).into()),
    }
    all.must_not.extend(condition.none_of.iter().map(convert));
}

fn meta_condition(key: &str, value: &MetaValue) -> Condition {
    match value {
        MetaValue::Text(text) if is_ambiguous(key, text) => keyword(META_PAIRS, unambiguous_pair(key, text)),
        MetaValue::Text(text) => keyword("meta_kv", format!("{key}={text}")),
        MetaValue::Numbers(ValueRange { min, max }) => {
            Condition::range(number_path(key), Range { gte: *min, lte: *max, ..Range::default() })
        }
        MetaValue::Dates(range) => Condition::datetime_range(date_path(key), times(*range)),
    }
}

fn times(ValueRange { min, max }: ValueRange<Timestamp>) -> DatetimeRange {
    DatetimeRange { gte: min.map(timestamp), lte: max.map(timestamp), ..DatetimeRange::default() }
}

fn geo_radius(circle: Circle) -> GeoRadius {
    let center = GeoPoint { lat: circle.center.lat(), lon: circle.center.lon() };
    // The server has the radius in single precision.
    #[expect(clippy::cast_possible_truncation, reason = "at most 2 m in 20,000 km")]
    let radius = circle.radius_m as f32;
    GeoRadius { center: Some(center), radius }
}

/// Returns the conditions for a position in the box. The ranges are exact: a position and a corner with the same steps are the
/// same doubles.
fn in_box(bbox: &BoundingBox) -> [Condition; 2] {
    let between = |min: f64, max: f64| Range { gte: Some(min), lte: Some(max), ..Range::default() };
    let lat = Condition::range(LATITUDE, between(bbox.south_west.lat(), bbox.north_east.lat()));
    let lon = bbox.lon_ranges().into_iter().map(|(west, east)| {
        let [west, east] = [west, east].map(domain::Position::degrees);
        Condition::range(LONGITUDE, between(west, east))
    });
    [lat, qdrant::Filter::should(lon).into()]
}

/// Returns a condition for an exact match. The conversion in the crate turns a string with a space into a full-text
/// match, which also finds texts that only contain it.
fn keyword(field: &str, value: String) -> Condition {
    Condition::matches(field, MatchValue::Keyword(value))
}

/// Returns the range from `number` on. A range consists of doubles, in which a `u32` is exact.
fn at_least(number: u32) -> Range {
    Range { gte: Some(number.into()), ..Range::default() }
}

/// Returns the range strictly after `moment`.
fn after(moment: Timestamp) -> DatetimeRange {
    DatetimeRange { gt: Some(timestamp(moment)), ..DatetimeRange::default() }
}

/// Returns a moment as a bound of a range. It is exact, because Qdrant also stores whole microseconds
/// (`DateTimeWrapper::timestamp` in its `lib/segment/src/types.rs`).
pub(super) fn timestamp(moment: Timestamp) -> prost_types::Timestamp {
    const MICROS_PER_SECOND: i64 = 1_000_000;
    let micros = moment.unix_micros();
    let nanos = i32::try_from(micros.rem_euclid(MICROS_PER_SECOND) * 1_000).unwrap_or_default();
    prost_types::Timestamp { seconds: micros.div_euclid(MICROS_PER_SECOND), nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_filter_has_no_conditions() {
        assert_eq!(conditions(&Filter::default()), None);
    }

    #[test]
    fn moments_before_1970_and_fractions_of_a_second_are_exact() {
        let bound = |text| after(Timestamp::parse(text).unwrap()).gt.unwrap();
        let just_after = bound("2026-01-31T12:00:00.000001Z");
        assert_eq!((just_after.seconds, just_after.nanos), (1_769_860_800, 1_000));
        let early = bound("1969-12-31T23:59:59.75Z");
        assert_eq!((early.seconds, early.nanos), (-1, 750_000_000));
    }

    #[test]
    fn metadata_with_an_equals_sign_is_matched_unambiguously() {
        let conditions_of = |key: &str, value: &str| {
            let meta = [(key.to_owned(), MetaValue::Text(value.to_owned()).into())].into();
            conditions(&Filter { meta, ..Filter::default() }).unwrap().must
        };
        assert_eq!(conditions_of("taxon", "Felis catus"), [keyword("meta_kv", "taxon=Felis catus".to_owned())]);
        assert_ne!(conditions_of("a", "b=a"), conditions_of("a=b", "a"));
        assert_eq!(conditions_of("a=b", "a"), [keyword(META_PAIRS, "3:a=b=a".to_owned())]);
    }
}

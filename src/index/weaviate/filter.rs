//! Converts a [`Filter`] into filters of Weaviate.

use std::collections::BTreeMap;

use super::range_terms::range_terms;
use super::record::property;
use super::wire::{FilterTarget, Filters, GeoCoordinates, Operator, TestValue, TextArray};
use crate::domain::{BoundingBox, Circle, Condition, Filter, ImageId, MetaValue, Timestamp, ValueRange};

/// The largest exact integer: requests carry numbers as doubles. In microseconds since 1970 it is the year 2255.
const MAX_EXACT_INTEGER: i64 = (1 << 53) - 1;

/// Returns the value of a moment in [`property::INDEXED_MICROS`], as it is stored and compared.
pub(super) fn micros(moment: Timestamp) -> i64 {
    moment.unix_micros().clamp(-MAX_EXACT_INTEGER, MAX_EXACT_INTEGER)
}

/// Returns the term of a folder in [`property::TERMS`]. Like a metadata term, it does not end with a space.
pub(super) fn folder_term(folder: &str) -> String {
    format!("folder:{folder};")
}

/// Returns the term of a metadata pair in [`property::TERMS`]. It has the length of the key, so that different pairs
/// differ.
pub(super) fn meta_term(key: &str, value: &str) -> String {
    format!("meta:{}:{key}={value};", key.len())
}

/// Returns the filters, or `None` if `filter` has no condition. They have the meaning of [`Filter::matches`]; the
/// contract tests compare both.
pub(super) fn filters(filter: &Filter) -> Option<Filters> {
    let Filter { formats, folders, min_width, min_height, indexed_after, meta, .. } = filter;
    let mut conditions = Vec::new();
    add(&mut conditions, formats, |format| (property::FORMAT, vec![format.as_str().to_owned()]));
    add(&mut conditions, folders, |folder| (property::TERMS, vec![folder_term(folder)]));
    for (key, condition) in meta {
        add(&mut conditions, condition, |value| match value {
            MetaValue::Text(text) => (property::TERMS, vec![meta_term(key, text)]),
            MetaValue::Numbers(_) | MetaValue::Dates(_) => (property::RANGE_TERMS, range_terms(key, value)),
        });
    }
    for (name, minimum) in [(property::WIDTH, min_width), (property::HEIGHT, min_height)] {
        conditions
            .extend(minimum.map(|minimum| condition(name, Operator::GreaterThanEqual, TestValue::Int(minimum.into()))));
    }
    let after = indexed_after.map(|moment| TestValue::Int(micros(moment)));
    conditions.extend(after.map(|after| condition(property::INDEXED_MICROS, Operator::GreaterThan, after)));
    add_exif(&mut conditions, filter);
    all_of(conditions)
}

/// Adds the conditions on facts of EXIF.
fn add_exif(conditions: &mut Vec<Filters>, filter: &Filter) {
    let Filter { cameras, taken, taken_months, near, bbox, .. } = filter;
    add(conditions, cameras, |camera| (property::CAMERA, vec![camera.clone()]));
    add(conditions, taken_months, |month| (property::TAKEN_MONTHS, vec![month.to_string()]));
    if let Some(ValueRange { min, max }) = taken {
        conditions.extend(range(property::TAKEN_MICROS, min.map(micros), max.map(micros)));
    }
    conditions.extend(near.map(within_distance));
    if let Some(bbox) = bbox {
        conditions.extend(in_box(bbox));
    }
}

/// Returns the conditions for a number in a range.
fn range(property: &'static str, min: Option<i64>, max: Option<i64>) -> impl Iterator<Item = Filters> {
    let bounds = [(Operator::GreaterThanEqual, min), (Operator::LessThanEqual, max)];
    let bounds = bounds.into_iter().filter_map(|(operator, bound)| Some((operator, bound?)));
    bounds.map(move |(operator, bound)| condition(property, operator, TestValue::Int(bound)))
}

fn within_distance(circle: Circle) -> Filters {
    #[expect(clippy::cast_possible_truncation, reason = "the server has positions and distances in single precision")]
    let [latitude, longitude, distance] =
        [circle.center.lat(), circle.center.lon(), circle.radius_m].map(|number| number as f32);
    let geo = GeoCoordinates { latitude, longitude, distance };
    condition(property::LOCATION, Operator::WithinGeoRange, TestValue::Geo(geo))
}

fn in_box(bbox: &BoundingBox) -> Vec<Filters> {
    let between = |property, min: i32, max: i32| range(property, Some(min.into()), Some(max.into()));
    let mut conditions: Vec<Filters> =
        between(property::LATITUDE_E7, bbox.south_west.lat_e7(), bbox.north_east.lat_e7()).collect();
    let lon = bbox
        .lon_ranges()
        .into_iter()
        .filter_map(|(west, east)| all_of(between(property::LONGITUDE_E7, west, east).collect()));
    let mut lon: Vec<Filters> = lon.collect();
    match lon.len() {
        0 | 1 => conditions.extend(lon.pop()),
        _ => conditions.push(combined(Operator::Or, lon)),
    }
    conditions
}

/// Returns the conjunction of conditions, or `None` if there are none.
pub(super) fn all_of(mut conditions: Vec<Filters>) -> Option<Filters> {
    match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        _ => Some(combined(Operator::And, conditions)),
    }
}

/// Adds the filters of a condition. `terms` returns the property of a value, and the texts of which the property or its
/// list has one if the record has the value.
fn add<T>(conditions: &mut Vec<Filters>, wanted: &Condition<T>, terms: impl Fn(&T) -> (&'static str, Vec<String>)) {
    let by_property = |values: &[T]| {
        let mut all = BTreeMap::<&str, Vec<String>>::new();
        for (property, mut texts) in values.iter().map(&terms) {
            all.entry(property).or_default().append(&mut texts);
        }
        all.into_iter()
    };
    let mut any: Vec<Filters> = by_property(&wanted.any_of).map(|(property, texts)| one_of(property, texts)).collect();
    match any.len() {
        0 | 1 => conditions.extend(any.pop()),
        _ => conditions.push(combined(Operator::Or, any)),
    }
    let none = by_property(&wanted.none_of);
    conditions.extend(none.map(|(property, texts)| condition(property, Operator::ContainsNone, text_array(texts))));
}

/// Returns a filter for objects that have one of these texts, in the property or in its list.
fn one_of(property: &str, texts: Vec<String>) -> Filters {
    match &texts[..] {
        [text] => condition(property, Operator::Equal, TestValue::Text(text.clone())),
        _ => condition(property, Operator::ContainsAny, text_array(texts)),
    }
}

/// Returns a filter for the objects of earlier versions, which have no terms for numbers and dates.
pub(super) fn without_typed_metadata() -> Filters {
    let typed = condition(property::VERSION, Operator::GreaterThanEqual, TestValue::Int(0));
    combined(Operator::Not, vec![typed])
}

/// Returns a filter for the objects with a time when the image was taken.
pub(super) fn dated() -> Filters {
    condition(property::TAKEN_MICROS, Operator::GreaterThanEqual, TestValue::Int(-MAX_EXACT_INTEGER))
}

/// Returns a filter for the objects without such a time.
pub(super) fn undated() -> Filters {
    combined(Operator::Not, vec![dated()])
}

/// Returns the conditions for the objects after `last` in the order of the latest `time` first.
pub(super) fn older_than(time: &str, (moment, id): (Timestamp, ImageId)) -> Filters {
    let moment = TestValue::Int(micros(moment));
    let same_moment = condition(time, Operator::Equal, moment.clone());
    let earlier = condition(time, Operator::LessThan, moment);
    let operands = vec![earlier, combined(Operator::And, vec![same_moment, after_id(id)])];
    combined(Operator::Or, operands)
}

/// Returns a filter that matches the ids after `id`.
pub(super) fn after_id(id: ImageId) -> Filters {
    condition(property::ID, Operator::GreaterThan, TestValue::Text(id.to_string()))
}

/// Returns a filter that matches the ids from `first` on and before `end`.
pub(super) fn id_range(first: ImageId, end: Option<ImageId>) -> Option<Filters> {
    let bound = |operator, id: ImageId| condition(property::ID, operator, TestValue::Text(id.to_string()));
    let first = bound(Operator::GreaterThanEqual, first);
    all_of([Some(first), end.map(|end| bound(Operator::LessThan, end))].into_iter().flatten().collect())
}

/// Returns a filter that matches these ids.
pub(super) fn ids_filter(ids: &[ImageId]) -> Filters {
    condition(property::ID, Operator::ContainsAny, text_array(ids.iter().map(ToString::to_string).collect()))
}

fn text_array(values: Vec<String>) -> TestValue {
    TestValue::TextArray(TextArray { values })
}

fn combined(operator: Operator, operands: Vec<Filters>) -> Filters {
    Filters { operator: operator.into(), operands, ..Filters::default() }
}

fn condition(property: &str, operator: Operator, value: TestValue) -> Filters {
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
    fn an_empty_filter_is_none_and_a_single_condition_has_no_conjunction() {
        assert_eq!(filters(&Filter::default()), None);
        let wide = Filter { min_width: Some(u32::MAX), ..Filter::default() };
        let expected = condition("width", Operator::GreaterThanEqual, TestValue::Int(4_294_967_295));
        assert_eq!(filters(&wide), Some(expected));
        let two = filters(&Filter { folders: Condition::from("a/".to_owned()), ..wide }).unwrap();
        assert_eq!((two.operator(), two.operands.len()), (Operator::And, 2));
    }

    #[test]
    fn similar_pairs_have_different_terms_and_no_term_ends_with_a_space() {
        let terms = [meta_term("a", "b=c"), meta_term("a=b", "c"), meta_term("a", "b=c "), meta_term("", "")];
        for (at, term) in terms.iter().enumerate() {
            assert_eq!(term.trim(), term);
            assert!(!terms[..at].contains(term), "{term}");
        }
        assert_ne!(folder_term(" a/").trim(), folder_term("a/"));
    }

    #[test]
    fn moments_beyond_the_exact_range_are_clamped() {
        let far = Timestamp::parse("9999-01-01T00:00:00Z").unwrap();
        assert_eq!(micros(far), MAX_EXACT_INTEGER);
        let near = Timestamp::parse("2026-01-31T12:00:00.000001Z").unwrap();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "the test checks that the conversion is exact"
        )]
        let carried = micros(near) as f64 as i64;
        assert_eq!(carried, near.unix_micros());
    }
}

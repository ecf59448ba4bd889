//! Which payloads match a filter: keywords, ranges and times, on fields, elements of lists and nested keys.

use std::collections::HashMap;

use glimpse::domain::Timestamp;
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{Condition, DatetimeRange, FieldCondition, Filter, GeoRadius, Range, Value};
use tonic::Status;

type Payload = HashMap<String, Value>;

/// Refuses filters that [`matches`] does not support.
pub(super) fn check(filter: &Filter) -> Result<(), Status> {
    let all = filter.must.iter().chain(&filter.should).chain(&filter.must_not);
    let known = |condition: &Condition| match &condition.condition_one_of {
        Some(ConditionOneOf::Filter(filter)) => check(filter).is_ok(),
        Some(ConditionOneOf::IsEmpty(_)) => true,
        Some(ConditionOneOf::Field(field)) => {
            let keyword = |found: &qdrant_client::qdrant::Match| {
                matches!(found.match_value, Some(MatchValue::Keyword(_) | MatchValue::Integer(_)))
            };
            let has_range = field.range.is_some() || field.datetime_range.is_some() || field.geo_radius.is_some();
            field.r#match.as_ref().map_or(has_range, keyword)
        }
        _ => false,
    };
    if filter.min_should.is_none() && all.into_iter().all(known) {
        Ok(())
    } else {
        Err(Status::unimplemented("the Qdrant of the tests does not know this filter"))
    }
}

pub(super) fn matches(filter: &Filter, payload: &Payload) -> bool {
    let holds = |condition: &Condition| match &condition.condition_one_of {
        Some(ConditionOneOf::Filter(filter)) => matches(filter, payload),
        Some(ConditionOneOf::IsEmpty(field)) => is_empty(at(payload, &field.key)),
        Some(ConditionOneOf::Field(field)) => field_matches(field, payload),
        _ => false,
    };
    filter.must.iter().all(holds)
        && (filter.should.is_empty() || filter.should.iter().any(holds))
        && !filter.must_not.iter().any(holds)
}

fn field_matches(field: &FieldCondition, payload: &Payload) -> bool {
    let holds = |kind: &Kind| {
        if let Some(wanted) = &field.r#match {
            match (&wanted.match_value, kind) {
                (Some(MatchValue::Keyword(wanted)), Kind::StringValue(text)) => text == wanted,
                (Some(MatchValue::Integer(wanted)), Kind::IntegerValue(number)) => number == wanted,
                _ => false,
            }
        } else if let Some(range) = &field.range {
            in_range(range, kind)
        } else if let Some(circle) = &field.geo_radius {
            in_circle(circle, kind)
        } else {
            field.datetime_range.as_ref().is_some_and(|range| in_time(range, kind))
        }
    };
    match at(payload, &field.key).and_then(|value| value.kind.as_ref()) {
        Some(Kind::ListValue(list)) => list.values.iter().filter_map(|value| value.kind.as_ref()).any(holds),
        Some(kind) => holds(kind),
        None => false,
    }
}

/// Whether a field does not exist, is null or is an empty list.
fn is_empty(value: Option<&Value>) -> bool {
    match value.and_then(|value| value.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => true,
        Some(Kind::ListValue(list)) => list.values.is_empty(),
        Some(_) => false,
    }
}

/// The value of `a`, of `a.b` or of `a."b"`. A key in quotation marks has neither these nor a backslash.
fn at<'a>(payload: &'a Payload, path: &str) -> Option<&'a Value> {
    if let Some(quoted) = path.strip_prefix('"').and_then(|path| path.strip_suffix('"')) {
        assert!(!quoted.contains(['"', '\\']), "{path} is not a path of Qdrant");
        return payload.get(quoted);
    }
    let Some((first, rest)) = path.split_once('.') else { return payload.get(path) };
    match &payload.get(first)?.kind {
        Some(Kind::StructValue(inner)) => at(&inner.fields, rest),
        _ => None,
    }
}

fn in_range(range: &Range, kind: &Kind) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "as the server compares")]
    let number = match kind {
        Kind::IntegerValue(number) => *number as f64,
        Kind::DoubleValue(number) => *number,
        _ => return false,
    };
    range.gt.is_none_or(|limit| number > limit)
        && range.gte.is_none_or(|limit| number >= limit)
        && range.lt.is_none_or(|limit| number < limit)
        && range.lte.is_none_or(|limit| number <= limit)
}

/// By the haversine formula with the radius of the Earth of the crate `geo`, as the server computes it. The radius of the circle
/// is included.
fn in_circle(circle: &GeoRadius, kind: &Kind) -> bool {
    let Kind::StructValue(position) = kind else { return false };
    let degrees = |name: &str| match position.fields.get(name)?.kind.as_ref()? {
        Kind::DoubleValue(degrees) => Some(*degrees),
        Kind::IntegerValue(degrees) => i32::try_from(*degrees).ok().map(f64::from),
        _ => None,
    };
    let (Some(lat), Some(lon), Some(center)) = (degrees("lat"), degrees("lon"), circle.center) else { return false };
    let half_sine = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let cosines = lat.to_radians().cos() * center.lat.to_radians().cos();
    let h = half_sine(center.lat, lat) + cosines * half_sine(center.lon, lon);
    2.0 * 6_371_008.8 * h.sqrt().asin() <= f64::from(circle.radius)
}

/// In whole microseconds, as the server stores times.
fn in_time(range: &DatetimeRange, kind: &Kind) -> bool {
    let Kind::StringValue(text) = kind else { return false };
    let Ok(moment) = Timestamp::parse(text) else { return false };
    let moment = moment.unix_micros();
    let limit = |limit: &prost_types::Timestamp| limit.seconds * 1_000_000 + i64::from(limit.nanos / 1_000);
    range.gt.as_ref().map(limit).is_none_or(|limit| moment > limit)
        && range.gte.as_ref().map(limit).is_none_or(|limit| moment >= limit)
        && range.lt.as_ref().map(limit).is_none_or(|limit| moment < limit)
        && range.lte.as_ref().map(limit).is_none_or(|limit| moment <= limit)
}

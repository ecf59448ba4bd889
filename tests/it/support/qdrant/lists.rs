//! Points in the order of a value, and counts of values.

use std::collections::{BTreeMap, BTreeSet};

use glimpse::domain::Timestamp;
use qdrant_client::qdrant::facet_value::Variant;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{Direction, FacetHit, FacetValue, FieldType, Filter, OrderBy, Value};
use tonic::Status;

use super::collection::{Collection, Key};
use super::filter;

/// Whether a point matches.
pub(super) fn matches(collection: &Collection, row: usize, filter: Option<&Filter>) -> bool {
    filter.is_none_or(|filter| filter::matches(filter, collection.payload(row)))
}

/// The matching points in the order of a time; those without it are left out. Equal ones are in the order of their ids, in
/// the same direction.
pub(super) fn in_order(
    collection: &Collection,
    order: &OrderBy,
    filter: Option<&Filter>,
) -> Result<Vec<(Key, usize)>, Status> {
    let key = &order.key;
    if collection.indexes.get(key) != Some(&(FieldType::Datetime as i32)) {
        return Err(Status::invalid_argument(format!(
            "Wrong input: No range index for `order_by` key: `{key}`. Please create one to use `order_by`. Check \
             https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support \
             Range conditions"
        )));
    }
    let moment = |row| match collection.payload(row).get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Timestamp::parse(text).ok(),
        _ => None,
    };
    let mut found: Vec<_> = collection
        .ascending()
        .filter(|(_, row)| matches(collection, *row, filter))
        .filter_map(|(key, row)| Some((moment(row)?, key, row)))
        .collect();
    found.sort();
    if order.direction == Some(Direction::Desc.into()) {
        found.reverse();
    }
    Ok(found.into_iter().map(|(_, key, row)| (key, row)).collect())
}

/// The values of an indexed field with the number of matching points, the most frequent first.
pub(super) fn facet(
    collection: &Collection,
    field: &str,
    filter: Option<&Filter>,
    limit: usize,
) -> Result<Vec<FacetHit>, Status> {
    if collection.indexes.get(field) != Some(&(FieldType::Keyword as i32)) {
        return Err(Status::invalid_argument(format!(
            "Wrong input: No appropriate index for faceting: `{field}`. Please create one to facet on this field. Check \
             https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support \
             Match conditions"
        )));
    }
    let mut counts = BTreeMap::<&str, u64>::new();
    for (_, row) in collection.ascending().filter(|(_, row)| matches(collection, *row, filter)) {
        let values = collection.payload(row).get(field).map(texts).unwrap_or_default();
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
    let hit = |(value, count): (&str, u64)| FacetHit {
        value: Some(FacetValue { variant: Some(Variant::StringValue(value.to_owned())) }),
        count,
    };
    Ok(counts.into_iter().take(limit).map(hit).collect())
}

fn texts(value: &Value) -> BTreeSet<&str> {
    match &value.kind {
        Some(Kind::StringValue(text)) => BTreeSet::from([text.as_str()]),
        Some(Kind::ListValue(list)) => list.values.iter().flat_map(texts).collect(),
        _ => BTreeSet::new(),
    }
}

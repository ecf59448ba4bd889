//! Counts of values, and what the records of a collection have together.

use super::aggregate_wire::{
    AggregateRequest, AggregatedProperty, Aggregation, IntegerMeasure, Measure, TextMeasure, TopOccurrence,
};
use super::error::failed;
use super::filter::{after_id, filters, meta_term};
use super::record::property;
use super::wire::Filters;
use super::{WeaviateIndex, schema};
use crate::domain::{
    CollectionName, CollectionSummary, FacetCounts, FacetField, FacetQuery, Facets, FailureKind, ImageId, TakenMonth,
    Timestamp,
};
use crate::index::IndexError;

/// The values of a property in one reply, the most frequent ones. The time that Weaviate takes grows with this number times
/// the number of all values: with 1,000 and 20,000 values it is 0.4 s, with 10,000 7 s.
const MAX_VALUES: usize = 1_000;

/// Counts the values of a field. The values of a metadata key are found among the folders and pairs of all keys, because
/// metadata keys are not properties. If there are more than [`MAX_VALUES`] of them, the least frequent ones are missing.
pub(super) async fn facets(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &FacetQuery,
) -> Result<Facets, IndexError> {
    let uses_exif = matches!(query.field, FacetField::Camera | FacetField::TakenMonth) || query.filter.has_exif();
    schema::readable(&index.rest, collection, uses_exif).await?;
    let (property, prefix, suffix) = match &query.field {
        FacetField::Format => (property::FORMAT, String::new(), ""),
        FacetField::Folder => (property::S3_FOLDERS, String::new(), ""),
        FacetField::Camera => (property::CAMERA, String::new(), ""),
        FacetField::TakenMonth => (property::TAKEN_MONTHS, String::new(), ""),
        FacetField::Meta(key) => {
            let term = meta_term(key, "");
            (property::TERMS, term.trim_end_matches(';').to_owned(), ";")
        }
    };
    let measure = TextMeasure { top_occurences: true, top_occurences_limit: u32::try_from(MAX_VALUES).ok() };
    let found = aggregate(index, collection, filters(&query.filter), &[(property, Measure::Text(measure))]).await?;
    let text = found.into_iter().find_map(|found| found.text?.top_occurences);
    let values = text.unwrap_or_default().items;
    let complete = values.len() < MAX_VALUES;
    let mut counts = FacetCounts::new(query.limit);
    let is_value = |value: &str| query.field != FacetField::TakenMonth || TakenMonth::has_year(value);
    for TopOccurrence { value, occurs } in values.into_iter().filter(|found| is_value(&found.value)) {
        if let Some(value) = value.strip_prefix(&prefix).and_then(|value| value.strip_suffix(suffix)) {
            let count = u64::try_from(occurs).unwrap_or_default();
            match &query.field {
                FacetField::Camera => counts.add(unescaped(value), count),
                FacetField::Format | FacetField::Folder | FacetField::TakenMonth | FacetField::Meta(_) => {
                    counts.add(value, count);
                }
            }
        }
    }
    Ok(counts.into_facets(complete))
}

/// Returns the value of a text property. The server (1.39) counts such values with the escapes that they have in its JSON.
fn unescaped(value: &str) -> String {
    serde_json::from_str(&format!("\"{value}\"")).unwrap_or_else(|_| value.to_owned())
}

/// Returns the summary.
pub(super) async fn summary(
    index: &WeaviateIndex,
    collection: &CollectionName,
) -> Result<CollectionSummary, IndexError> {
    schema::find(&index.rest, collection).await?.require_own(collection)?;
    // With a filter, the numbers are read from the objects; without one, they would need an index.
    let every_id = after_id(ImageId(uuid::Uuid::nil()));
    let sum = IntegerMeasure { sum: true, ..IntegerMeasure::default() };
    let range = IntegerMeasure { maximum: true, minimum: true, ..IntegerMeasure::default() };
    let measures = [(property::SIZE_BYTES, Measure::Integer(sum)), (property::INDEXED_MICROS, Measure::Integer(range))];
    let mut summary = CollectionSummary { total_bytes: Some(0), ..CollectionSummary::default() };
    for AggregatedProperty { property, integer, .. } in aggregate(index, collection, Some(every_id), &measures).await? {
        let integer = integer.unwrap_or_default();
        if property == property::SIZE_BYTES {
            summary.total_bytes = Some(integer.sum.and_then(|sum| u64::try_from(sum).ok()).unwrap_or_default());
        } else {
            summary.oldest = integer.minimum.and_then(Timestamp::from_unix_micros);
            summary.newest = integer.maximum.and_then(Timestamp::from_unix_micros);
        }
    }
    Ok(summary)
}

async fn aggregate(
    index: &WeaviateIndex,
    collection: &CollectionName,
    filters: Option<Filters>,
    measures: &[(&str, Measure)],
) -> Result<Vec<AggregatedProperty>, IndexError> {
    let aggregation = |(property, measure): &(&str, Measure)| Aggregation {
        property: (*property).to_owned(),
        measure: Some(measure.clone()),
    };
    let request = AggregateRequest {
        collection: collection.weaviate_class(),
        objects_count: true,
        aggregations: measures.iter().map(aggregation).collect(),
        filters,
    };
    let reply = match index.rpc.aggregate(request).await {
        Ok(reply) => reply,
        Err(status) => return Err(index.call_failed(&status, collection).await),
    };
    let single =
        reply.single_result.ok_or_else(|| failed(FailureKind::Failed, "the server returned no aggregation"))?;
    Ok(single.aggregations.unwrap_or_default().properties)
}

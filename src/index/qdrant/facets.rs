//! Counts of values, and what the records of a collection have together.

use qdrant_client::qdrant::facet_value::Variant;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{DatetimeRange, Direction, FacetCountsBuilder, FacetHit, Filter, Value};

use super::browse::{Points, TimeField};
use super::collection::server_name;
use super::error::Fault;
use super::record::{CAMERA, META_PAIRS, SIZE_BYTES, TAKEN_MONTHS, is_ambiguous, unambiguous_pair};
use super::{QdrantIndex, filter, lower_limit, schema};
use crate::domain::{CollectionName, CollectionSummary, FacetCounts, FacetField, FacetQuery, Facets, TakenMonth};

/// The metadata pairs in one reply, the most frequent ones: at most a few megabytes.
const MAX_PAIRS: usize = 20_000;
/// The records whose sizes are added up. Qdrant does not add numbers, so each of them is read.
const MAX_ADDED: u64 = 200_000;
const MONTHS: usize = 12;

/// Counts the values of a field. The values of a metadata key are found among the pairs of all keys, because Qdrant needs an
/// index for each counted field. If there are too many pairs, the least frequent ones are missing.
pub(super) async fn facets(
    index: &QdrantIndex,
    collection: &CollectionName,
    query: &FacetQuery,
) -> Result<Facets, Fault> {
    let conditions = filter::conditions(&query.filter).unwrap_or_default();
    let mut counts = FacetCounts::new(query.limit);
    let count = async |field, limit| count_values(index, collection, field, &conditions, limit).await;
    let complete = match &query.field {
        FacetField::Format => count("format", query.limit).await?.add_to(&mut counts, |value| value.get(..)),
        FacetField::Camera => {
            schema::add_missing_indexes(&index.client, collection).await?;
            count(CAMERA, query.limit).await?.add_to(&mut counts, |value| value.get(..))
        }
        FacetField::TakenMonth => {
            schema::add_missing_indexes(&index.client, collection).await?;
            // Each month of any year has a value, too.
            let limit = query.limit.saturating_add(MONTHS);
            count(TAKEN_MONTHS, limit)
                .await?
                .add_to(&mut counts, |value| value.get(..).filter(|month| TakenMonth::has_year(month)))
        }
        FacetField::Folder => count("s3_folders", query.limit).await?.add_to(&mut counts, |value| value.get(..)),
        FacetField::Meta(key) => {
            let (pairs, other_pairs) = futures::try_join!(count("meta_kv", MAX_PAIRS), count(META_PAIRS, MAX_PAIRS))?;
            let all_pairs = pairs.add_to(&mut counts, |pair| {
                pair.strip_prefix(key)?.strip_prefix('=').filter(|value| !is_ambiguous(key, value))
            });
            let all_other_pairs = other_pairs.add_to(&mut counts, |pair| pair.strip_prefix(&unambiguous_pair(key, "")));
            all_pairs && all_other_pairs
        }
    };
    Ok(counts.into_facets(complete))
}

/// The most frequent values of a field of the server.
struct ServerCounts {
    values: Vec<(String, u64)>,
    complete: bool,
}

impl ServerCounts {
    /// Adds the values for which `convert` returns one. Returns whether these are all values of the field.
    fn add_to(self, counts: &mut FacetCounts, convert: impl Fn(&str) -> Option<&str>) -> bool {
        for (value, number) in &self.values {
            if let Some(value) = convert(value) {
                counts.add(value, *number);
            }
        }
        self.complete
    }
}

/// Returns the most frequent values of an indexed field. The numbers are exact, unless the server moves points between its
/// segments. With `exact`, it would count each value by a search of its own.
async fn count_values(
    index: &QdrantIndex,
    collection: &CollectionName,
    field: &str,
    conditions: &Filter,
    limit: usize,
) -> Result<ServerCounts, Fault> {
    loop {
        let requested = index.limits.page.cap(limit.saturating_add(1));
        let request =
            FacetCountsBuilder::new(server_name(collection), field).filter(conditions.clone()).limit(requested as u64);
        match index.client.call(index.client.qdrant().facet(request)).await {
            Ok(reply) => {
                let complete = reply.hits.len() < requested;
                return Ok(ServerCounts { values: reply.hits.into_iter().filter_map(text_value).collect(), complete });
            }
            Err(Fault::Limit(limit)) if lower_limit(&index.limits.page, &limit, requested) => {}
            Err(fault) => return Err(fault),
        }
    }
}

fn text_value(FacetHit { value, count }: FacetHit) -> Option<(String, u64)> {
    match value?.variant? {
        Variant::StringValue(text) => Some((text, count)),
        Variant::IntegerValue(_) | Variant::BoolValue(_) => None,
    }
}

/// Returns the summary of a collection of `count` records.
pub(super) async fn summary(
    index: &QdrantIndex,
    collection: &CollectionName,
    count: u64,
) -> Result<CollectionSummary, Fault> {
    let points = Points { index, collection, conditions: Filter::default() };
    let first = async |direction| {
        let (images, _) = points.in_order_of_time(TimeField::IndexedAt, DatetimeRange::default(), direction, 1).await?;
        Ok::<_, Fault>(images.first().map(|image| image.payload.indexed_at))
    };
    let mut total_bytes = 0_u64;
    let add = async {
        if count <= MAX_ADDED {
            points.each_value(SIZE_BYTES, |_, size| total_bytes = total_bytes.saturating_add(size_bytes(size))).await?;
        }
        Ok(())
    };
    let (oldest, newest, ()) = futures::try_join!(first(Direction::Asc), first(Direction::Desc), add)?;
    Ok(CollectionSummary { total_bytes: (count <= MAX_ADDED).then_some(total_bytes), oldest, newest })
}

fn size_bytes(value: &Value) -> u64 {
    match &value.kind {
        Some(Kind::IntegerValue(size)) => u64::try_from(*size).unwrap_or_default(),
        Some(Kind::StringValue(digits)) => digits.parse().unwrap_or_default(),
        _ => 0,
    }
}

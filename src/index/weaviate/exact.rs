//! A search that compares every vector.
//!
//! The server has no such search for a whole class: it walks its graph. But it compares all objects that match a filter if
//! they are fewer than `flatSearchCutoff` of the class. So the ids, which are hashes and therefore evenly spread, are split
//! into ranges of fewer objects. If the class has quantised vectors, the server scores the best of each range, at least
//! 100, with the stored vectors.

use uuid::Uuid;

use super::filter::{all_of, filters, id_range};
use super::wire::Filters;
use super::{NAME, WeaviateIndex, schema, search};
use crate::domain::{CollectionName, Hit, ImageId, SearchQuery};
use crate::index::IndexError;
use crate::index::shared::sort_hits;

/// The share of `flatSearchCutoff`, in percent, that the objects of a range have on average.
const FILLED_PERCENT: u64 = 70;
/// The largest number of objects that are all read and compared here: 2 MB for vectors of 512 numbers.
const MAX_READ: u64 = 1_000;
/// The smallest `flatSearchCutoff` that is used: with less, a search would need too many requests.
const MIN_CUTOFF: u64 = 20;

/// Returns at least the first `needed` hits of all objects that match the filter of the query, if as many match.
pub(super) async fn ranked(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
    needed: usize,
) -> Result<Vec<Hit>, IndexError> {
    let filters = filters(&query.filter);
    let (cutoff, count) = futures::try_join!(
        schema::flat_search_cutoff(&index.rest, collection),
        index.count(collection, filters.clone())
    )?;
    if filters.is_none()
        && count <= MAX_READ
        && let Some(all) = search::all_hits(index, collection, query).await?
    {
        return Ok(all);
    }
    if cutoff < MIN_CUTOFF {
        let reason = format!("flatSearchCutoff of the class is {cutoff}; it must be at least {MIN_CUTOFF}");
        return Err(IndexError::NoExactSearch { store: NAME, reason });
    }
    let mut hits = Vec::new();
    for range in ranges(count, cutoff * FILLED_PERCENT / 100) {
        let matches: Vec<Filters> = [filters.clone(), range].into_iter().flatten().collect();
        hits.extend(search::ranked(index, collection, query, needed, all_of(matches)).await?);
        sort_hits(&mut hits);
        hits.truncate(needed);
    }
    Ok(hits)
}

/// Returns filters for ranges that have all ids together, each of about `size` of `count` evenly spread ids.
fn ranges(count: u64, size: u64) -> impl Iterator<Item = Option<Filters>> {
    let parts = u128::from(count / size.max(1) + 1);
    let step = u128::MAX / parts;
    let start = move |part: u128| ImageId(Uuid::from_u128(part * step));
    (0..parts).map(move |part| id_range(start(part), (part + 1 < parts).then(|| start(part + 1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::weaviate::wire::{Operator, TestValue};

    /// The bounds in a filter, in order.
    fn bounds(filter: &Filters) -> Vec<(Operator, String)> {
        let own = match &filter.test_value {
            Some(TestValue::Text(id)) => vec![(filter.operator(), id.clone())],
            _ => Vec::new(),
        };
        own.into_iter().chain(filter.operands.iter().flat_map(bounds)).collect()
    }

    #[test]
    fn ranges_begin_where_the_one_before_ends_and_have_every_id() {
        let ranges: Vec<_> = ranges(100_000, 28_000).map(|range| bounds(&range.unwrap())).collect();
        assert_eq!(ranges.len(), 4);
        assert_eq!(ranges[0][0], (Operator::GreaterThanEqual, Uuid::nil().to_string()));
        for pair in ranges.windows(2) {
            let [(operator, end), (next, first)] = [pair[0].last().unwrap(), &pair[1][0]];
            assert_eq!((*operator, *next, end), (Operator::LessThan, Operator::GreaterThanEqual, first));
        }
        assert_eq!(ranges[3].len(), 1, "the last range has no end");
        assert_eq!(super::ranges(0, 28_000).count(), 1);
    }
}

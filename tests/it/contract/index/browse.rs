//! Pages of records in each order, counts of values and sums give in every store what the records themselves give.

use std::collections::BTreeMap;

use glimpse::domain::{
    BrowsePage, BrowseQuery, CollectionName, CollectionSummary, FacetField, FacetQuery, Filter, ImageId, ImageRecord,
    PageStart, StoredImage,
};
use glimpse::index::{ImageIndex, IndexError};
use uuid::Uuid;

use super::filters::{Rng, any_filter, any_record};
use super::support::{fresh, name};

/// An id in the middle, so that the random order begins there and wraps around.
const FIRST: ImageId = ImageId(Uuid::from_u128(0x8000 << 112));

pub(crate) async fn pages_facets_and_sums_agree_with_the_records(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-browsed").await;
    assert_eq!(browse(index, &collection, &Filter::default(), orders()[0].clone(), 5).await, BrowsePage::default());
    let nothing = CollectionSummary { total_bytes: Some(0), oldest: None, newest: None };
    assert_eq!(index.summary(&collection).await.unwrap(), nothing);

    // The moments of these records are only four: most are equal.
    let mut rng = Rng(0x2545_F491_4F6C_DD1D);
    let mut records: Vec<_> = (0..200).map(|n| any_record(&mut rng, n)).collect();
    for (bytes, record) in (1_000..).zip(&mut records) {
        record.payload.size_bytes = bytes;
    }
    index.upsert(&collection, &records).await.unwrap();
    let deleted: Vec<_> = records.drain(..20).map(|record| record.id).collect();
    index.delete(&collection, &deleted).await.unwrap();

    let filters = (0..8).map(|_| any_filter(&mut rng)).chain([Filter::default()]);
    for filter in filters {
        let matching: Vec<_> = records.iter().filter(|record| filter.matches(&record.payload)).collect();
        let limit = if filter.is_empty() { 37 } else { 7 };
        for start in orders() {
            all_pages_are_in_order(index, &collection, &filter, (start, limit), &matching).await;
        }
        for field in ["format", "folder", "camera", "taken_month", "meta.a", "meta.a=b"]
            .map(|name| FacetField::parse(name).unwrap())
        {
            the_facet_counts(index, &collection, &filter, field, &matching).await;
        }
    }
    let moments = || records.iter().map(|record| record.payload.indexed_at);
    let summary = CollectionSummary {
        total_bytes: Some(records.iter().map(|record| record.payload.size_bytes).sum()),
        oldest: moments().min(),
        newest: moments().max(),
    };
    assert_eq!(index.summary(&collection).await.unwrap(), summary);
    index.drop_collection(&collection).await.unwrap();

    let query = BrowseQuery { filter: Filter::default(), start: orders()[0].clone(), limit: 1 };
    let missing = name("contract-never-made");
    assert_eq!(index.browse(&missing, &query).await.unwrap_err(), IndexError::UnknownCollection(missing.clone()));
    let query = FacetQuery { field: FacetField::Format, filter: Filter::default(), limit: 1 };
    assert_eq!(index.facets(&missing, &query).await.unwrap_err(), IndexError::UnknownCollection(missing.clone()));
    assert_eq!(index.summary(&missing).await.unwrap_err(), IndexError::UnknownCollection(missing));
}

fn orders() -> [PageStart; 4] {
    [
        PageStart::Newest { after: None },
        PageStart::Taken { after: None },
        PageStart::Key { after: None },
        PageStart::Random { first: FIRST, after: None },
    ]
}

async fn browse(
    index: &dyn ImageIndex,
    collection: &CollectionName,
    filter: &Filter,
    start: PageStart,
    limit: usize,
) -> BrowsePage {
    index.browse(collection, &BrowseQuery { filter: filter.clone(), start, limit }).await.unwrap()
}

async fn all_pages_are_in_order(
    index: &dyn ImageIndex,
    collection: &CollectionName,
    filter: &Filter,
    (start, limit): (PageStart, usize),
    matching: &[&ImageRecord],
) {
    let image = |record: &&ImageRecord| StoredImage { id: record.id, payload: record.payload.clone() };
    let mut expected: Vec<_> = matching.iter().map(image).collect();
    expected.sort_by(|a, b| start.compare(a, b));
    let (mut found, mut next) = (Vec::new(), Some(start.clone()));
    while let Some(start) = next {
        let page = browse(index, collection, filter, start, limit).await;
        assert!(page.images.len() == limit || page.next.is_none(), "{start:?}: a page is not full", start = page.next);
        found.extend(page.images);
        next = page.next;
    }
    assert_eq!(found, expected, "{start:?} {filter:?}");
}

async fn the_facet_counts(
    index: &dyn ImageIndex,
    collection: &CollectionName,
    filter: &Filter,
    field: FacetField,
    matching: &[&ImageRecord],
) {
    let mut counts = BTreeMap::<String, u64>::new();
    for value in matching.iter().flat_map(|record| field.values(&record.payload)) {
        *counts.entry(value).or_default() += 1;
    }
    let mut expected: Vec<_> = counts.into_iter().collect();
    expected.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for limit in [100, 2] {
        let query = FacetQuery { field: field.clone(), filter: filter.clone(), limit };
        let facets = index.facets(collection, &query).await.unwrap();
        let first: Vec<_> = expected.iter().take(limit).cloned().collect();
        assert_eq!((facets.values, facets.has_more), (first, expected.len() > limit), "{query:?}");
    }
}

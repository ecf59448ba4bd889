//! Pages of records in an order, without a query.
//!
//! Weaviate does not page beyond 10,000 objects by an offset, so a page begins after a time or an id. The property of the
//! key has no index, by which a page could begin after a key: the order of keys reads the key of every matching object
//! (ADR 0016).

use super::error::failed;
use super::filter::{after_id, all_of, dated, filters, ids_filter, older_than, undated};
use super::record::{self, property};
use super::search::{RECORDS_PER_PAGE, request_page, search_request};
use super::wire::{Filters, MetadataRequest, SearchReply, SearchRequest, SortBy};
use super::{WeaviateIndex, schema};
use crate::domain::{
    BrowsePage, BrowseQuery, CollectionName, FailureKind, ImageId, PageStart, StoredImage, TakenAt, Timestamp,
};
use crate::index::IndexError;
use crate::index::shared::{FirstKeys, IdRange, random_ranges};

/// Objects in one reply that has one property of each.
const KEYS_PER_PAGE: usize = 5_000;
const ONLY_ID: MetadataRequest = MetadataRequest { uuid: true, vector: false, distance: false };

/// The objects of a class that match a filter.
struct Objects<'a> {
    index: &'a WeaviateIndex,
    collection: &'a CollectionName,
    filters: Option<Filters>,
}

/// A time of a record by which pages are sorted.
#[derive(Clone, Copy)]
enum TimeField {
    IndexedAt,
    TakenAt,
}

impl TimeField {
    fn property(self) -> &'static str {
        match self {
            Self::IndexedAt => property::INDEXED_MICROS,
            Self::TakenAt => property::TAKEN_MICROS,
        }
    }

    /// Returns the filter for the objects that have the time.
    fn has_time(self) -> Option<Filters> {
        match self {
            Self::IndexedAt => None,
            Self::TakenAt => Some(dated()),
        }
    }

    fn of_image(self, image: &StoredImage) -> Option<Timestamp> {
        match self {
            Self::IndexedAt => Some(image.payload.indexed_at),
            Self::TakenAt => image.payload.exif.taken_at.map(TakenAt::moment),
        }
    }
}

/// Returns a page of records.
pub(super) async fn browse(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &BrowseQuery,
) -> Result<BrowsePage, IndexError> {
    let uses_exif = matches!(query.start, PageStart::Taken { .. }) || query.filter.has_exif();
    schema::readable(&index.rest, collection, uses_exif).await?;
    let objects = Objects { index, collection, filters: filters(&query.filter) };
    let wanted = query.limit.saturating_add(1);
    let images = match &query.start {
        PageStart::Newest { after } => objects.latest(TimeField::IndexedAt, *after, wanted).await?,
        PageStart::Taken { after } => objects.taken(*after, wanted).await?,
        PageStart::Random { first, after } => objects.random(*first, *after, wanted).await?,
        PageStart::Key { after } => return objects.by_key(after.clone(), query.limit).await,
    };
    Ok(BrowsePage::first(images, &query.start, query.limit))
}

impl Objects<'_> {
    /// Returns the records with the latest times when they were taken, and after them those without such a time.
    async fn taken(
        &self,
        after: Option<(Option<Timestamp>, ImageId)>,
        wanted: usize,
    ) -> Result<Vec<StoredImage>, IndexError> {
        let (dated_after, last_undated) = match after {
            None => (Some(None), None),
            Some((Some(moment), id)) => (Some(Some((moment, id))), None),
            Some((None, id)) => (None, Some(id)),
        };
        let mut found = Vec::new();
        if let Some(after) = dated_after {
            found = self.latest(TimeField::TakenAt, after, wanted).await?;
        }
        if found.len() < wanted {
            let filters = all_of(self.filters.iter().cloned().chain([undated()]).collect());
            let undated = Self { filters, ..*self };
            let range = IdRange { after: last_undated, before: None };
            found.extend(undated.in_range(range, wanted - found.len()).await?);
        }
        Ok(found)
    }

    async fn latest(
        &self,
        field: TimeField,
        mut after: Option<(Timestamp, ImageId)>,
        wanted: usize,
    ) -> Result<Vec<StoredImage>, IndexError> {
        let sort_by = vec![sort_by(field.property(), false), sort_by(property::ID, true)];
        let mut found: Vec<StoredImage> = Vec::new();
        while found.len() < wanted {
            let older = after.map(|after| older_than(field.property(), after));
            let filters = all_of(self.filters.iter().cloned().chain(field.has_time()).chain(older).collect());
            let request = |page| SearchRequest {
                filters: filters.clone(),
                sort_by: sort_by.clone(),
                ..search_request(self.collection, &[property::PAYLOAD], ONLY_ID, page)
            };
            let (reply, page) =
                request_page(self.index, self.collection, RECORDS_PER_PAGE.min(wanted - found.len()), request).await?;
            for object in &reply.results {
                found.push(record::stored_image(object)?);
            }
            if reply.results.len() < page {
                break;
            }
            after = found.last().and_then(|last| Some((field.of_image(last)?, last.id)));
        }
        Ok(found)
    }

    async fn random(
        &self,
        first: ImageId,
        after: Option<ImageId>,
        wanted: usize,
    ) -> Result<Vec<StoredImage>, IndexError> {
        let mut found = Vec::new();
        for range in random_ranges(first, after) {
            found.extend(self.in_range(range, wanted - found.len()).await?);
        }
        Ok(found)
    }

    /// Returns the first objects of a range of ids, in their order.
    async fn in_range(&self, range: IdRange, limit: usize) -> Result<Vec<StoredImage>, IndexError> {
        let (mut found, mut after) = (Vec::new(), range.after);
        while found.len() < limit {
            let size = RECORDS_PER_PAGE.min(limit - found.len());
            let (reply, page) = self.by_id(after, property::PAYLOAD, size).await?;
            for object in &reply.results {
                let image = record::stored_image(object)?;
                if range.before.is_some_and(|before| image.id >= before) {
                    return Ok(found);
                }
                after = Some(image.id);
                found.push(image);
            }
            if reply.results.len() < page {
                break;
            }
        }
        Ok(found)
    }

    async fn by_key(&self, after: Option<(String, ImageId)>, limit: usize) -> Result<BrowsePage, IndexError> {
        let start = PageStart::Key { after: after.clone() };
        let (mut keys, mut last_id) = (FirstKeys::new(after, limit), None);
        loop {
            let (reply, page) = self.by_id(last_id, property::S3_KEY, KEYS_PER_PAGE).await?;
            for object in &reply.results {
                let id = record::id(object)?;
                let key = record::text(object, property::S3_KEY);
                keys.offer(key.ok_or_else(|| failed(FailureKind::Failed, format!("the object {id} has no key")))?, id);
                last_id = Some(id);
            }
            if reply.results.len() < page {
                break;
            }
        }
        let (ids, next) = keys.into_page();
        let mut images = get(self.index, self.collection, &ids).await?;
        images.sort_by(|a, b| start.compare(a, b));
        Ok(BrowsePage { images, next })
    }

    /// Returns the first objects after an id, in the order of ids, with one property.
    async fn by_id(
        &self,
        after: Option<ImageId>,
        property: &str,
        size: usize,
    ) -> Result<(SearchReply, usize), IndexError> {
        let request = |page| {
            let request = search_request(self.collection, &[property], ONLY_ID, page);
            match &self.filters {
                // The cheapest way, which Weaviate allows only without a filter.
                None => SearchRequest { after: after.map(|id| id.to_string()).unwrap_or_default(), ..request },
                Some(filters) => SearchRequest {
                    filters: all_of([filters.clone()].into_iter().chain(after.map(after_id)).collect()),
                    sort_by: vec![sort_by(property::ID, true)],
                    ..request
                },
            }
        };
        request_page(self.index, self.collection, size, request).await
    }
}

/// Returns the objects with these ids that exist.
pub(super) async fn get(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<StoredImage>, IndexError> {
    let (mut images, mut rest) = (Vec::with_capacity(ids.len()), ids);
    while !rest.is_empty() {
        let request = |page| SearchRequest {
            filters: Some(ids_filter(&rest[..page])),
            ..search_request(collection, &[property::PAYLOAD], ONLY_ID, page)
        };
        let (reply, page) = request_page(index, collection, RECORDS_PER_PAGE.min(rest.len()), request).await?;
        for object in &reply.results {
            images.push(record::stored_image(object)?);
        }
        rest = &rest[page..];
    }
    Ok(images)
}

fn sort_by(property: &str, ascending: bool) -> SortBy {
    SortBy { ascending, path: vec![property.to_owned()] }
}

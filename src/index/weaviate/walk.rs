//! Walks over all objects of a class in the order of their ids. They read the stored objects and do not use an index.

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::reading::{MAX_RANKED, ask_page, request, sort};
use super::wire::{MetadataRequest, SearchRequest};
use super::{WeaviateIndex, names, objects, schema};
use crate::domain::{CollectionName, Hit, ImageId, SearchQuery};
use crate::index::IndexError;

/// The number of ids in one page.
const PAGE_IDS: usize = 1_000;
/// The bytes of vectors in one page of whole objects.
const PAGE_BYTES: usize = 2 << 20;

/// Returns every record as a hit, best first, or `None` if there are more than [`MAX_RANKED`].
///
/// Used for searches that request a whole collection. The graph that the server searches misses some equal vectors (of
/// 300 one was never found) and all records that are being replaced (none of 64 was found). A walk finds all of them. A
/// search with a filter that matches everything would also compare all vectors; but Weaviate 1.39 may then panic while
/// its graph is emptied, and keeps a lock that blocks every write.
pub(super) async fn every(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Option<Vec<Hit>>, IndexError> {
    let usual = (PAGE_BYTES / (query.embedding.dimension() * size_of::<f32>())).clamp(1, PAGE_IDS);
    let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
    let (mut hits, mut after) = (Vec::new(), String::new());
    loop {
        let page_request =
            |page| SearchRequest { after: after.clone(), ..request(collection, &[names::PAYLOAD], metadata, page) };
        let (reply, page) = ask_page(index, collection, usual, page_request).await?;
        let found = reply.results;
        for found in &found {
            hits.push(objects::hit(found, &query.embedding)?);
        }
        match hits.last() {
            _ if hits.len() > MAX_RANKED => return Ok(None),
            Some(last) if found.len() == page => after = last.id.to_string(),
            _ => break,
        }
    }
    sort(&mut hits);
    Ok(Some(hits))
}

/// Returns every id in ascending order. Reads in pages: an id that is written during the walk may be included or not.
pub(super) fn ids<'a>(
    index: &'a WeaviateIndex,
    collection: &CollectionName,
) -> BoxStream<'a, Result<ImageId, IndexError>> {
    let start = Some(String::new());
    let pages = stream::try_unfold((collection.clone(), start), move |(collection, after)| async move {
        let Some(after) = after else { return Ok::<_, IndexError>(None) };
        if after.is_empty() {
            schema::find(&index.rest, &collection).await?.known(&collection)?;
        }
        let metadata = MetadataRequest { uuid: true, vector: false, distance: false };
        let page_request = |page| SearchRequest { after: after.clone(), ..request(&collection, &[], metadata, page) };
        let (reply, asked) = ask_page(index, &collection, PAGE_IDS, page_request).await?;
        let page = reply.results.iter().map(objects::id).collect::<Result<Vec<_>, _>>()?;
        let full = page.len() == asked;
        let next = page.last().filter(|_| full).map(ToString::to_string);
        Ok(Some((stream::iter(page.into_iter().map(Ok)), (collection, next))))
    });
    pages.try_flatten().boxed()
}

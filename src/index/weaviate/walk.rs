//! Walks over all objects of a class, in order of ids: they read what is stored, and ask no index.

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::reading::{MOST, ask_page, request, sort};
use super::wire::{MetadataRequest, SearchRequest};
use super::{WeaviateIndex, names, objects, schema};
use crate::domain::{CollectionName, Hit, ImageId, SearchQuery};
use crate::index::IndexError;

/// Ids in one page.
const PAGE: usize = 1_000;
/// Bytes of vectors in one page of whole objects.
const PAGE_BYTES: usize = 2 << 20;

/// Every record as a hit, best first, where there are at most [`MOST`]: else `None`.
///
/// For collections of which a search asks for all. The graph that the server searches loses some of those that are
/// equal (of 300 equals one was never found), and all of those that are being replaced (none of 64 were there); a walk
/// does neither. Asked with a filter that lets everything through, it compares one by one, too; but 1.39 may then panic
/// while its graph is emptied, and leaves a lock behind that no write gets past.
pub(super) async fn every(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Option<Vec<Hit>>, IndexError> {
    let usual = (PAGE_BYTES / (query.embedding.dimension() * size_of::<f32>())).clamp(1, PAGE);
    let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
    let (mut hits, mut after) = (Vec::new(), String::new());
    loop {
        let of =
            |page| SearchRequest { after: after.clone(), ..request(collection, &[names::PAYLOAD], metadata, page) };
        let (reply, page) = ask_page(index, collection, usual, of).await?;
        let found = reply.results;
        for found in &found {
            hits.push(objects::hit(found, &query.embedding)?);
        }
        match hits.last() {
            _ if hits.len() > MOST => return Ok(None),
            Some(last) if found.len() == page => after = last.id.to_string(),
            _ => break,
        }
    }
    sort(&mut hits);
    Ok(Some(hits))
}

/// Every id, ascending, in pages: an id that is written meanwhile may or may not be among them.
pub(super) fn ids<'a>(
    index: &'a WeaviateIndex,
    collection: &CollectionName,
) -> BoxStream<'a, Result<ImageId, IndexError>> {
    let begin = Some(String::new());
    let pages = stream::try_unfold((collection.clone(), begin), move |(collection, after)| async move {
        let Some(after) = after else { return Ok::<_, IndexError>(None) };
        if after.is_empty() {
            schema::find(&index.rest, &collection).await?.known(&collection)?;
        }
        let metadata = MetadataRequest { uuid: true, vector: false, distance: false };
        let of = |page| SearchRequest { after: after.clone(), ..request(&collection, &[], metadata, page) };
        let (reply, asked) = ask_page(index, &collection, PAGE, of).await?;
        let page = reply.results.iter().map(objects::id).collect::<Result<Vec<_>, _>>()?;
        let full = page.len() == asked;
        let next = page.last().filter(|_| full).map(ToString::to_string);
        Ok(Some((stream::iter(page.into_iter().map(Ok)), (collection, next))))
    });
    pages.try_flatten().boxed()
}

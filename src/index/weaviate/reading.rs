//! Searches, lookups and walks.

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::error::{failed, of_status};
use super::filter::{everything, filters, of_ids};
use super::objects;
use super::wire::{MetadataRequest, NearVector, PropertiesRequest, SearchReply, SearchRequest};
use super::{WeaviateIndex, names, schema};
use crate::domain::{CollectionName, Hit, ImageId, ImageRecord, SearchQuery, Space, SpaceMismatch, Trouble};
use crate::index::IndexError;

/// What one search may rank at most: the server's own default (`QUERY_MAXIMUM_RESULTS`).
const MOST: usize = 10_000;
/// Ids in one page of a walk.
const PAGE: u32 = 1_000;
/// Records in one reply: some two megabytes at 512 numbers.
const LOOKED_UP: usize = 256;

/// Bytes of vectors that a search asks for beside its hits.
const VECTOR_BYTES: usize = 32 << 20;

/// The nearest. Equals come in order of ids, on every page: the server ranks them as it likes, so more is asked for
/// than the page needs, until the last is worse than the page's last. Where more than [`MOST`] are equal it is those
/// that the server ranked first.
pub(super) async fn search(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Vec<Hit>, IndexError> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let wanted = query.offset.saturating_add(query.limit);
    if wanted > MOST {
        return Err(failed(Trouble::Refused, format!("a search may rank {MOST} records, {wanted} were asked for")));
    }
    // Side by side, because the class is seldom another than was thought. Where it is, that is the answer.
    let (found, ranked) =
        futures::join!(schema::find(&index.rest, collection), ranked(index, collection, query, wanted));
    check_size(&found?.known(collection)?.space, query)?;
    let page = ranked?.into_iter().skip(query.offset).take(query.limit);
    Ok(page.collect())
}

async fn ranked(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
    wanted: usize,
) -> Result<Vec<Hit>, IndexError> {
    let (mut most, mut filters) = ((wanted + 1).min(MOST), filters(&query.filter));
    loop {
        let vector = most * query.embedding.dimension() * size_of::<f32>() <= VECTOR_BYTES;
        let metadata = MetadataRequest { uuid: true, distance: true, vector };
        let request = SearchRequest {
            near_vector: Some(NearVector { vector_bytes: objects::bytes(&query.embedding) }),
            filters: filters.clone(),
            ..request(collection, &[names::PAYLOAD], metadata, most)
        };
        let reply = ask(index, collection, request).await?;
        let all = reply.results.len() < most;
        if all && filters.is_none() {
            // Not all of them, maybe: the graph that is searched without a filter loses some of those that are equal (of
            // 300 equals one was never found). What a filter leaves is compared one by one, up to 40,000.
            filters = Some(everything());
            continue;
        }
        let mut hits =
            reply.results.iter().map(|found| objects::hit(found, &query.embedding)).collect::<Result<Vec<_>, _>>()?;
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        let last_of_page = hits.get(wanted - 1).map(|hit| hit.score);
        let worst = hits.last().map(|hit| hit.score);
        if all || most == MOST || worst < last_of_page {
            return Ok(hits);
        }
        most = (most * 2).clamp(64, MOST);
    }
}

fn check_size(space: &Space, query: &SearchQuery) -> Result<(), IndexError> {
    let (actual, expected) = (query.embedding.dimension(), space.dimension);
    if actual == expected {
        return Ok(());
    }
    let reason = format!("{expected} numbers against {actual}");
    Err(SpaceMismatch { stored: space.name(), offered: format!("a query of {actual} numbers"), reason }.into())
}

/// The records of those of these ids that are there.
pub(super) async fn get(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<ImageRecord>, IndexError> {
    let dimension = schema::find(&index.rest, collection).await?.known(collection)?.space.dimension;
    let mut records = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LOOKED_UP) {
        let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
        let request =
            SearchRequest { filters: Some(of_ids(ids)), ..request(collection, &[names::PAYLOAD], metadata, ids.len()) };
        for found in ask(index, collection, request).await?.results {
            records.push(objects::record(&found, dimension)?);
        }
    }
    Ok(records)
}

/// Every id, ascending, in pages: an id that is written meanwhile may or may not be among them.
pub(super) fn scan<'a>(
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
        let request = SearchRequest { after, limit: PAGE, ..request(&collection, &[], metadata, 0) };
        let results = ask(index, &collection, request).await?.results;
        let page = results.iter().map(objects::id).collect::<Result<Vec<_>, _>>()?;
        let full = page.len() == PAGE as usize;
        let next = page.last().filter(|_| full).map(ToString::to_string);
        Ok(Some((stream::iter(page.into_iter().map(Ok)), (collection, next))))
    });
    pages.try_flatten().boxed()
}

fn request(collection: &CollectionName, properties: &[&str], metadata: MetadataRequest, limit: usize) -> SearchRequest {
    let non_ref_properties = properties.iter().map(|&name| name.to_owned()).collect();
    SearchRequest {
        collection: collection.weaviate_class(),
        properties: Some(PropertiesRequest { non_ref_properties }),
        metadata: Some(metadata),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        uses_127_api: true,
        ..SearchRequest::default()
    }
}

async fn ask(
    index: &WeaviateIndex,
    collection: &CollectionName,
    request: SearchRequest,
) -> Result<SearchReply, IndexError> {
    index.rpc.search(request).await.map_err(|status| of_status(&status, collection))
}

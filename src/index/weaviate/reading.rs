//! Searches and lookups.

use tonic::Status;

use super::error::{Bound, Limit, failed, from_status, limit};
use super::filter::{filters, ids_filter};
use super::objects;
use super::wire::{MetadataRequest, NearVector, PropertiesRequest, SearchReply, SearchRequest};
use super::{WeaviateIndex, names, schema, walk};
use crate::domain::{CollectionName, FailureKind, Hit, ImageId, ImageRecord, SearchQuery, Space, SpaceMismatch};
use crate::index::IndexError;

/// The maximum number of records that one search ranks: the default of the server (`QUERY_MAXIMUM_RESULTS`).
pub(super) const MAX_RANKED: usize = 10_000;
/// Records in one reply: about two megabytes for vectors of 512 numbers.
const GET_PAGE: usize = 256;
/// Hits that are converted before other tasks can run on this thread: one or two milliseconds.
const HITS_PER_YIELD: usize = 500;
/// The maximum bytes of vectors that a search requests with its hits.
const VECTOR_BYTES: usize = 32 << 20;

/// Returns the nearest records. Equal scores are sorted by id on every page. The server ranks equal scores in any
/// order, so more than the page is requested until the last hit is worse than the last hit of the page. If more than
/// [`MAX_RANKED`] scores are equal, the result has those that the server ranked first.
pub(super) async fn search(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Vec<Hit>, IndexError> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let needed = query.offset.saturating_add(query.limit);
    if needed > MAX_RANKED {
        return Err(failed(
            FailureKind::Refused,
            format!("offset + limit is {needed}; it must be at most {MAX_RANKED}"),
        ));
    }
    // In parallel, because the class is rarely missing or different. If it is, the error of the class is returned.
    let (found, ranked) =
        futures::join!(schema::find(&index.rest, collection), ranked(index, collection, query, needed));
    check_size(&found?.known(collection)?.space, query)?;
    let page = ranked?.into_iter().skip(query.offset).take(query.limit);
    Ok(page.collect())
}

async fn ranked(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
    needed: usize,
) -> Result<Vec<Hit>, IndexError> {
    let filters = filters(&query.filter);
    let (mut max_requested, mut with_vectors) = (index.limits.results.cap(MAX_RANKED).max(needed), true);
    let mut requested = (needed + 1).min(max_requested);
    loop {
        let vector = with_vectors && requested * query.embedding.dimension() * size_of::<f32>() <= VECTOR_BYTES;
        let metadata = MetadataRequest { uuid: true, distance: true, vector };
        let request = SearchRequest {
            near_vector: Some(NearVector { vector_bytes: objects::bytes(&query.embedding) }),
            filters: filters.clone(),
            ..request(collection, &[names::PAYLOAD], metadata, requested)
        };
        let reply = match try_ask(index, request).await {
            Ok(reply) => reply,
            Err(status) => match limit(&status) {
                None => return Err(from_status(&status, collection)),
                // Requests the same hits without their vectors, which are optional.
                Some(Limit { bound: Bound::Bytes, .. }) if vector => {
                    with_vectors = false;
                    continue;
                }
                Some(limit) if requested > needed => {
                    let allowed = limit.allowed.filter(|_| limit.bound == Bound::Results).unwrap_or(requested / 2);
                    index.limits.results.learn(allowed);
                    max_requested = allowed.clamp(needed, requested - 1);
                    requested = max_requested;
                    continue;
                }
                Some(limit) => {
                    let every = if filters.is_none() { walk::every(index, collection, query).await? } else { None };
                    return every.ok_or_else(|| limit.into());
                }
            },
        };
        let mut hits = Vec::with_capacity(reply.results.len());
        for chunk in reply.results.chunks(HITS_PER_YIELD) {
            for found in chunk {
                hits.push(objects::hit(found, &query.embedding)?);
            }
            tokio::task::yield_now().await;
        }
        sort(&mut hits);
        let complete = hits.len() < requested;
        if complete && filters.is_none() {
            return Ok(walk::every(index, collection, query).await?.unwrap_or(hits));
        }
        let last_of_page = hits.get(needed - 1).map(|hit| hit.score);
        let worst = hits.last().map(|hit| hit.score);
        if complete || requested == max_requested || worst < last_of_page {
            return Ok(hits);
        }
        requested = (requested * 2).max(64).min(max_requested);
    }
}

/// Sorts hits: best first, equal scores by id.
pub(super) fn sort(hits: &mut [Hit]) {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
}

fn check_size(space: &Space, query: &SearchQuery) -> Result<(), IndexError> {
    let (actual, expected) = (query.embedding.dimension(), space.dimension);
    if actual == expected {
        return Ok(());
    }
    let reason = format!("{expected} numbers against {actual}");
    Err(SpaceMismatch { stored: space.name(), offered: format!("a query of {actual} numbers"), reason }.into())
}

/// Returns the records with these ids that exist.
pub(super) async fn get(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<ImageRecord>, IndexError> {
    let dimension = schema::find(&index.rest, collection).await?.known(collection)?.space.dimension;
    let (mut records, mut rest) = (Vec::with_capacity(ids.len()), ids);
    while !rest.is_empty() {
        let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
        let page_request = |page| SearchRequest {
            filters: Some(ids_filter(&rest[..page])),
            ..request(collection, &[names::PAYLOAD], metadata, page)
        };
        let (reply, page) = ask_page(index, collection, GET_PAGE.min(rest.len()), page_request).await?;
        for found in reply.results {
            records.push(objects::record(&found, dimension)?);
        }
        rest = &rest[page..];
    }
    Ok(records)
}

pub(super) fn request(
    collection: &CollectionName,
    properties: &[&str],
    metadata: MetadataRequest,
    limit: usize,
) -> SearchRequest {
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

/// Requests `usual` objects, or fewer if the server limits the size of a reply. Returns also the number of objects that
/// was requested.
pub(super) async fn ask_page(
    index: &WeaviateIndex,
    collection: &CollectionName,
    usual: usize,
    request: impl Fn(usize) -> SearchRequest,
) -> Result<(SearchReply, usize), IndexError> {
    loop {
        let page = index.limits.results.cap(usual);
        let status = match try_ask(index, request(page)).await {
            Ok(reply) => return Ok((reply, page)),
            Err(status) => status,
        };
        match limit(&status) {
            Some(limit) if page > 1 => {
                let allowed = limit.allowed.filter(|allowed| limit.bound == Bound::Results && *allowed < page);
                index.limits.results.learn(allowed.unwrap_or(page / 2));
            }
            Some(_) | None => return Err(from_status(&status, collection)),
        }
    }
}

async fn try_ask(index: &WeaviateIndex, request: SearchRequest) -> Result<SearchReply, Status> {
    let reply = index.rpc.search(request.clone()).await;
    // Observed with 1.39: a search with a filter panics in the server if its arrays grow at the same time. The second
    // attempt succeeds.
    let panicked = reply.as_ref().is_err_and(|status| status.message().contains("panic occurred"));
    if panicked { index.rpc.search(request).await } else { reply }
}

//! Searches and lookups.

use tonic::Status;

use super::error::{Bound, Limit, failed, limit, of_status};
use super::filter::{filters, of_ids};
use super::objects;
use super::wire::{MetadataRequest, NearVector, PropertiesRequest, SearchReply, SearchRequest};
use super::{WeaviateIndex, names, schema, walk};
use crate::domain::{CollectionName, Hit, ImageId, ImageRecord, SearchQuery, Space, SpaceMismatch, Trouble};
use crate::index::IndexError;

/// What one search may rank at most: the server's own default (`QUERY_MAXIMUM_RESULTS`).
pub(super) const MOST: usize = 10_000;
/// Records in one reply: some two megabytes at 512 numbers.
const LOOKED_UP: usize = 256;
/// Hits that are read before others have their turn on this thread: a millisecond or two.
const AT_A_STRETCH: usize = 500;
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
    let filters = filters(&query.filter);
    let (mut ceiling, mut with_vectors) = (index.limits.results.cap(MOST).max(wanted), true);
    let mut most = (wanted + 1).min(ceiling);
    loop {
        let vector = with_vectors && most * query.embedding.dimension() * size_of::<f32>() <= VECTOR_BYTES;
        let metadata = MetadataRequest { uuid: true, distance: true, vector };
        let request = SearchRequest {
            near_vector: Some(NearVector { vector_bytes: objects::bytes(&query.embedding) }),
            filters: filters.clone(),
            ..request(collection, &[names::PAYLOAD], metadata, most)
        };
        let reply = match try_ask(index, request).await {
            Ok(reply) => reply,
            Err(status) => match limit(&status) {
                None => return Err(of_status(&status, collection)),
                // A page and what is beyond it, without what may be left out.
                Some(Limit { bound: Bound::Bytes, .. }) if vector => {
                    with_vectors = false;
                    continue;
                }
                Some(limit) if most > wanted => {
                    let allowed = limit.allowed.filter(|_| limit.bound == Bound::Results).unwrap_or(most / 2);
                    index.limits.results.learn(allowed);
                    ceiling = allowed.clamp(wanted, most - 1);
                    most = ceiling;
                    continue;
                }
                Some(limit) => {
                    let every = if filters.is_none() { walk::every(index, collection, query).await? } else { None };
                    return every.ok_or_else(|| limit.into());
                }
            },
        };
        let mut hits = Vec::with_capacity(reply.results.len());
        for some in reply.results.chunks(AT_A_STRETCH) {
            for found in some {
                hits.push(objects::hit(found, &query.embedding)?);
            }
            tokio::task::yield_now().await;
        }
        sort(&mut hits);
        let all = hits.len() < most;
        if all && filters.is_none() {
            return Ok(walk::every(index, collection, query).await?.unwrap_or(hits));
        }
        let last_of_page = hits.get(wanted - 1).map(|hit| hit.score);
        let worst = hits.last().map(|hit| hit.score);
        if all || most == ceiling || worst < last_of_page {
            return Ok(hits);
        }
        most = (most * 2).max(64).min(ceiling);
    }
}

/// Best first, equals in order of ids.
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

/// The records of those of these ids that are there.
pub(super) async fn get(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<ImageRecord>, IndexError> {
    let dimension = schema::find(&index.rest, collection).await?.known(collection)?.space.dimension;
    let (mut records, mut rest) = (Vec::with_capacity(ids.len()), ids);
    while !rest.is_empty() {
        let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
        let of = |page| SearchRequest {
            filters: Some(of_ids(&rest[..page])),
            ..request(collection, &[names::PAYLOAD], metadata, page)
        };
        let (reply, page) = ask_page(index, collection, LOOKED_UP.min(rest.len()), of).await?;
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

/// A request for so many objects, or for fewer if the server gives no more at a time. Answers also with how many were
/// asked for.
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
            Some(_) | None => return Err(of_status(&status, collection)),
        }
    }
}

async fn try_ask(index: &WeaviateIndex, request: SearchRequest) -> Result<SearchReply, Status> {
    let answer = index.rpc.search(request.clone()).await;
    // Seen on 1.39: a search with a filter that meets the growing of the server's arrays panics there, and is fine the
    // next time.
    let panicked = answer.as_ref().is_err_and(|status| status.message().contains("panic occurred"));
    if panicked { index.rpc.search(request).await } else { answer }
}

//! Searches, lookups, and reads of all objects of a class.

use tonic::Status;

use super::error::failed;
use super::filter::{filters, ids_filter, without_typed_metadata};
use super::limit::{Bound, Limit, find_limit};
use super::record::{self, property};
use super::wire::{Filters, MetadataRequest, NearVector, PropertiesRequest, SearchReply, SearchRequest};
use super::{WeaviateIndex, exact, schema};
use crate::domain::{CollectionName, FailureKind, Filter, Hit, ImageId, ImageRecord, SearchEffort, SearchQuery};
use crate::index::IndexError;
use crate::index::shared::{check_query, sort_hits};

/// The maximum number of records that one search ranks: the default of the server (`QUERY_MAXIMUM_RESULTS`).
const MAX_RANKED: usize = 10_000;
/// Records in one reply: about two megabytes for vectors of 512 numbers.
pub(super) const RECORDS_PER_PAGE: usize = 256;
/// Hits that are converted before other tasks can run on this thread: one or two milliseconds.
const HITS_PER_YIELD: usize = 500;
/// The maximum bytes of vectors that a search requests with its hits.
const MAX_VECTOR_BYTES: usize = 32 << 20;
/// The number of ids in one page.
const IDS_PER_PAGE: usize = 1_000;
/// The bytes of vectors in one page of whole objects.
const VECTOR_BYTES_PER_PAGE: usize = 2 << 20;

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
    if query.filter.has_exif() {
        schema::readable(&index.rest, collection, true).await?;
    }
    // In parallel, because the class is rarely missing or different. If it is, the error of the class is returned.
    let hits = async {
        match query.effort {
            // The class has the level.
            SearchEffort::Default | SearchEffort::Level(_) => {
                ranked(index, collection, query, needed, filters(&query.filter)).await
            }
            SearchEffort::Exact => exact::ranked(index, collection, query, needed).await,
        }
    };
    let (found, ranked, outdated) =
        futures::join!(schema::find(&index.rest, collection), hits, check_ranges(index, collection, &query.filter));
    check_query(query, &found?.require_own(collection)?.space)?;
    outdated?;
    let page = ranked?.into_iter().skip(query.offset).take(query.limit);
    Ok(page.collect())
}

/// Fails if the filter has ranges and the class has objects without terms for numbers and dates.
pub(super) async fn check_ranges(
    index: &WeaviateIndex,
    collection: &CollectionName,
    filter: &Filter,
) -> Result<(), IndexError> {
    if !filter.has_ranges() {
        return Ok(());
    }
    let metadata = MetadataRequest { uuid: true, distance: false, vector: false };
    let filters = Some(without_typed_metadata());
    let request = SearchRequest { filters, ..search_request(collection, &[], metadata, 1) };
    let reply = match send(index, request).await {
        Ok(reply) => reply,
        Err(status) => return Err(index.call_failed(&status, collection).await),
    };
    if reply.results.is_empty() { Ok(()) } else { Err(IndexError::OutdatedRecords(collection.clone())) }
}

/// Returns at least the first `needed` hits that match the filters, if as many match.
pub(super) async fn ranked(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
    needed: usize,
    filters: Option<Filters>,
) -> Result<Vec<Hit>, IndexError> {
    let (mut max_requested, mut with_vectors) = (index.limits.results.cap(MAX_RANKED).max(needed), true);
    let mut requested = (needed + 1).min(max_requested);
    loop {
        let vector = with_vectors && requested * query.embedding.dimension() * size_of::<f32>() <= MAX_VECTOR_BYTES;
        let metadata = MetadataRequest { uuid: true, distance: true, vector };
        let request = SearchRequest {
            near_vector: Some(NearVector { vector_bytes: record::vector_bytes(&query.embedding) }),
            filters: filters.clone(),
            ..search_request(collection, &[property::PAYLOAD], metadata, requested)
        };
        let reply = match send(index, request).await {
            Ok(reply) => reply,
            Err(status) => match find_limit(&status) {
                None => return Err(index.call_failed(&status, collection).await),
                // Requests the same hits without their vectors, which are optional.
                Some(Limit { bound: Bound::Bytes, .. }) if vector => {
                    with_vectors = false;
                    continue;
                }
                Some(limit) if requested > needed => {
                    let allowed = limit.allowed.filter(|_| limit.bound == Bound::Results).unwrap_or(requested / 2);
                    index.limits.results.lower(allowed);
                    max_requested = allowed.clamp(needed, requested - 1);
                    requested = max_requested;
                    continue;
                }
                Some(limit) => {
                    let all = if filters.is_none() { all_hits(index, collection, query).await? } else { None };
                    return all.ok_or_else(|| limit.into());
                }
            },
        };
        let mut hits = Vec::with_capacity(reply.results.len());
        for chunk in reply.results.chunks(HITS_PER_YIELD) {
            for found in chunk {
                hits.push(record::hit(found, &query.embedding)?);
            }
            tokio::task::yield_now().await;
        }
        sort_hits(&mut hits);
        let complete = hits.len() < requested;
        if complete && filters.is_none() {
            return Ok(all_hits(index, collection, query).await?.unwrap_or(hits));
        }
        let last_of_page = hits.get(needed - 1).map(|hit| hit.score);
        let worst = hits.last().map(|hit| hit.score);
        if complete || requested == max_requested || worst < last_of_page {
            return Ok(hits);
        }
        requested = (requested * 2).max(64).min(max_requested);
    }
}

/// Returns every record as a hit, best first, or `None` if there are more than [`MAX_RANKED`]. Reads the stored objects
/// in the order of their ids and does not use an index.
///
/// Used for searches that request a whole collection. The graph that the server searches misses some equal vectors (of
/// 300 one was never found) and all records that are being replaced (none of 64 was found). Reading all objects finds
/// them. A search with a filter that matches everything would also compare all vectors; but Weaviate 1.39 may then
/// panic while its graph is emptied, and keeps a lock that blocks every write.
pub(super) async fn all_hits(
    index: &WeaviateIndex,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Option<Vec<Hit>>, IndexError> {
    let usual = (VECTOR_BYTES_PER_PAGE / (query.embedding.dimension() * size_of::<f32>())).clamp(1, IDS_PER_PAGE);
    let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
    let (mut hits, mut after) = (Vec::new(), String::new());
    loop {
        let request = |page| SearchRequest {
            after: after.clone(),
            ..search_request(collection, &[property::PAYLOAD], metadata, page)
        };
        let (reply, page) = request_page(index, collection, usual, request).await?;
        for found in &reply.results {
            hits.push(record::hit(found, &query.embedding)?);
        }
        match hits.last() {
            _ if hits.len() > MAX_RANKED => return Ok(None),
            Some(last) if reply.results.len() == page => after = last.id.to_string(),
            _ => break,
        }
    }
    sort_hits(&mut hits);
    Ok(Some(hits))
}

/// Returns the records with these ids that exist.
pub(super) async fn get(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<ImageRecord>, IndexError> {
    let dimension = schema::find(&index.rest, collection).await?.require_own(collection)?.space.dimension;
    let (mut records, mut rest) = (Vec::with_capacity(ids.len()), ids);
    while !rest.is_empty() {
        let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
        let request = |page| SearchRequest {
            filters: Some(ids_filter(&rest[..page])),
            ..search_request(collection, &[property::PAYLOAD], metadata, page)
        };
        let (reply, page) = request_page(index, collection, RECORDS_PER_PAGE.min(rest.len()), request).await?;
        for found in reply.results {
            records.push(record::record(&found, dimension)?);
        }
        rest = &rest[page..];
    }
    Ok(records)
}

/// Returns one page of ids after `after`, ascending, and the last of them if there may be more.
pub(super) async fn ids(
    index: &WeaviateIndex,
    collection: &CollectionName,
    after: Option<ImageId>,
) -> Result<(Vec<ImageId>, Option<ImageId>), IndexError> {
    if after.is_none() {
        schema::find(&index.rest, collection).await?.require_own(collection)?;
    }
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let metadata = MetadataRequest { uuid: true, vector: false, distance: false };
    let request = |page| SearchRequest { after: after.clone(), ..search_request(collection, &[], metadata, page) };
    let (reply, page) = request_page(index, collection, IDS_PER_PAGE, request).await?;
    let ids = reply.results.iter().map(record::id).collect::<Result<Vec<_>, _>>()?;
    let last = ids.last().filter(|_| ids.len() == page).copied();
    Ok((ids, last))
}

pub(super) fn search_request(
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
pub(super) async fn request_page(
    index: &WeaviateIndex,
    collection: &CollectionName,
    usual: usize,
    request: impl Fn(usize) -> SearchRequest,
) -> Result<(SearchReply, usize), IndexError> {
    loop {
        let page = index.limits.results.cap(usual);
        let status = match send(index, request(page)).await {
            Ok(reply) => return Ok((reply, page)),
            Err(status) => status,
        };
        match find_limit(&status) {
            Some(limit) if page > 1 => {
                let allowed = limit.allowed.filter(|allowed| limit.bound == Bound::Results && *allowed < page);
                index.limits.results.lower(allowed.unwrap_or(page / 2));
            }
            Some(_) | None => return Err(index.call_failed(&status, collection).await),
        }
    }
}

async fn send(index: &WeaviateIndex, request: SearchRequest) -> Result<SearchReply, Status> {
    let reply = index.rpc.search(request.clone()).await;
    // Observed with 1.39: a search with a filter panics in the server if its arrays grow at the same time. The second
    // attempt succeeds.
    let panicked = reply.as_ref().is_err_and(|status| status.message().contains("panic occurred"));
    if panicked { index.rpc.search(request).await } else { reply }
}

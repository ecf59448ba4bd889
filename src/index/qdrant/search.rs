//! Searches, with an order of hits that does not depend on the server, and other reads.

use std::collections::HashSet;

use qdrant_client::qdrant::{
    CountPointsBuilder, GetPointsBuilder, PointId, QuantizationSearchParams, QueryPointsBuilder, ScoredPoint,
    ScrollPointsBuilder, ScrollResponse, SearchParams,
};

use super::collection::server_name;
use super::error::{Fault, dependency_error};
use super::limit::Bound;
use super::{NAME, QdrantIndex, filter, lower_limit, record};
use crate::domain::{
    CollectionName, Embedding, FailureKind, Filter, Hit, ImageId, ImageRecord, SearchEffort, SearchQuery,
};
use crate::index::IndexError;
use crate::index::shared::{self, shown_score};

/// Points requested in addition to the page, so that the page rarely ends among equal scores.
const INITIAL_EXTRA: usize = 8;
/// The maximum number of additional points that are requested because of equal scores.
const MAX_EXTRA: usize = 4_096;
/// The maximum bytes of vectors that a search requests with its hits.
const MAX_VECTOR_BYTES: usize = 32 << 20;
/// Ids in one page of `scan`.
const IDS_PER_PAGE: usize = 1_000;
/// Records in one request of `get`: a few megabytes.
pub(super) const RECORDS_PER_PAGE: usize = 500;

/// The values of `hnsw_ef` that the self-test tries. The server's default is `ef_construct`, 100.
pub(super) const LEVELS: [u32; 6] = [128, 256, 512, 1_024, 2_048, 4_096];
/// How many times more points are chosen by quantised vectors than are scored with the stored ones, above the default
/// effort. Not sent otherwise, because the strict mode of a server can refuse it.
const OVERSAMPLING: f64 = 2.0;

/// A point that was found, with its payload not yet parsed.
struct Candidate {
    score: f32,
    id: ImageId,
    point: ScoredPoint,
}

/// Returns the hits of one page; see [`page_of_hits`].
pub(super) async fn search(
    index: &QdrantIndex,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Vec<Hit>, IndexError> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    check_query(index, collection, query).await?;
    check_ranges(index, collection, &query.filter).await?;
    match page_of_hits(index, collection, query).await {
        Err(Fault::Invalid(detail)) => {
            // The collection may have been dropped and created again with another dimension.
            index.forget(collection);
            check_query(index, collection, query).await?;
            Err(dependency_error(FailureKind::Refused, detail).into())
        }
        Err(Fault::Limit(limit)) if query.effort == SearchEffort::Exact && limit.bound == Bound::Exact => {
            let reason = format!("allow it in the strict mode of the server; its message: {}", limit.message);
            Err(IndexError::NoExactSearch { store: NAME, reason })
        }
        hits => hits.map_err(|fault| index.index_error(collection, fault)),
    }
}

/// Fails if the vector of the query has the wrong dimension.
async fn check_query(index: &QdrantIndex, collection: &CollectionName, query: &SearchQuery) -> Result<(), IndexError> {
    if index.cached_dimension(collection) == Some(query.embedding.dimension()) {
        return Ok(());
    }
    shared::check_query(query, &index.space(collection).await?)
}

/// Fails if the filter has ranges and the collection has records without numbers and dates of metadata.
pub(super) async fn check_ranges(
    index: &QdrantIndex,
    collection: &CollectionName,
    filter: &Filter,
) -> Result<(), IndexError> {
    if !filter.has_ranges() {
        return Ok(());
    }
    let request = ScrollPointsBuilder::new(server_name(collection))
        .filter(filter::without_typed_metadata())
        .limit(1)
        .with_payload(false)
        .with_vectors(false);
    let outdated = index.client.call(index.client.qdrant().scroll(request)).await;
    let outdated = outdated.map_err(|fault| index.index_error(collection, fault))?;
    if outdated.result.is_empty() { Ok(()) } else { Err(IndexError::OutdatedRecords(collection.clone())) }
}

/// Returns the hits of one page, sorted by score and then by id. The server sorts by score alone. So all hits up to the
/// end of the page are requested, and more while the last of them has the same score as the last hit of the page. The
/// result is exact unless more than 4,096 vectors have that score; then the server decides which of them are on the
/// page.
async fn page_of_hits(
    index: &QdrantIndex,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Vec<Hit>, Fault> {
    let needed = query.offset.saturating_add(query.limit);
    let mut extra = INITIAL_EXTRA;
    loop {
        let requested = needed.saturating_add(extra);
        let found = nearest(index, collection, query, requested).await?;
        let complete = found.len() < requested;
        let candidates = sorted(found, &query.embedding)?;
        let ends_among_equals = match (candidates.get(needed - 1), candidates.last()) {
            (Some(last_of_page), Some(last)) => last_of_page.score.total_cmp(&last.score).is_eq(),
            _ => true,
        };
        if complete || extra >= MAX_EXTRA || !ends_among_equals {
            return candidates.into_iter().skip(query.offset).take(query.limit).map(hit).collect();
        }
        extra = (extra * 8).min(MAX_EXTRA);
    }
}

/// Returns the first `requested` points, in one request, or in several if the server limits the size of a reply.
async fn nearest(
    index: &QdrantIndex,
    collection: &CollectionName,
    query: &SearchQuery,
    requested: usize,
) -> Result<Vec<ScoredPoint>, Fault> {
    let with_vectors = requested.saturating_mul(query.embedding.dimension() * size_of::<f32>()) <= MAX_VECTOR_BYTES;
    let conditions = filter::conditions(&query.filter);
    let mut found = Vec::new();
    loop {
        let page = index.limits.page.cap(requested - found.len());
        let mut request = QueryPointsBuilder::new(server_name(collection))
            .query(query.embedding.as_slice().to_vec())
            .limit(page as u64)
            .offset(found.len() as u64)
            .with_payload(true)
            .with_vectors(with_vectors)
            .params(search_params(query.effort));
        if let Some(conditions) = &conditions {
            request = request.filter(conditions.clone());
        }
        match index.client.call(index.client.qdrant().query(request)).await {
            Ok(reply) => {
                let received = reply.result.len();
                found.extend(reply.result);
                if received < page || found.len() >= requested {
                    return Ok(found);
                }
            }
            Err(Fault::Limit(limit)) if lower_limit(&index.limits.page, &limit, page) => {}
            Err(fault) => return Err(fault),
        }
    }
}

/// Returns how the server searches. If the collection has quantised vectors, the best points are scored with the stored
/// ones.
fn search_params(effort: SearchEffort) -> SearchParams {
    let rescored = QuantizationSearchParams { rescore: Some(true), ..QuantizationSearchParams::default() };
    match effort {
        SearchEffort::Default => SearchParams { quantization: Some(rescored), ..SearchParams::default() },
        SearchEffort::Exact => {
            let ignored = QuantizationSearchParams { ignore: Some(true), ..QuantizationSearchParams::default() };
            SearchParams { exact: Some(true), quantization: Some(ignored), ..SearchParams::default() }
        }
        SearchEffort::Level(level) => {
            let oversampled = QuantizationSearchParams { oversampling: Some(OVERSAMPLING), ..rescored };
            SearchParams { hnsw_ef: Some(level.into()), quantization: Some(oversampled), ..SearchParams::default() }
        }
    }
}

/// Sorts the points, best first and equal scores by id. A point with a score of NaN is left out: the server puts it
/// before all others, and this service does not write such vectors.
///
/// The score is the cosine with the vector that came with the point. While a point is replaced, the server may return
/// the score of the old version with the payload of the new one (ADR 0011). Without a vector, the score of the server
/// is used.
fn sorted(found: Vec<ScoredPoint>, query: &Embedding) -> Result<Vec<Candidate>, Fault> {
    let mut candidates = Vec::with_capacity(found.len());
    let mut ids = HashSet::with_capacity(found.len());
    for mut point in found {
        if point.score.is_nan() {
            continue;
        }
        let id = record::image_id(point.id.take())?;
        // Pages are read at different moments: a point that is replaced in between may be on two of them.
        if !ids.insert(id) {
            continue;
        }
        let vector = record::dense_vector(point.vectors.take().as_ref());
        let vector = vector.and_then(|vector| Embedding::normalised(vector, query.dimension()).ok());
        let score = shown_score(vector.map_or(point.score, |vector| vector.cosine(query)));
        candidates.push(Candidate { score, id, point });
    }
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    Ok(candidates)
}

fn hit(Candidate { score, id, point }: Candidate) -> Result<Hit, Fault> {
    Ok(Hit { id, score, payload: record::payload(id, point.payload)? })
}

/// Returns the records with these ids that exist.
pub(super) async fn get(
    index: &QdrantIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<ImageRecord>, IndexError> {
    let (mut records, mut rest) = (Vec::with_capacity(ids.len()), ids);
    while !rest.is_empty() {
        let chunk = &rest[..index.limits.page.cap(RECORDS_PER_PAGE).min(rest.len())];
        let list: Vec<PointId> = chunk.iter().copied().map(record::point_id).collect();
        let request = GetPointsBuilder::new(server_name(collection), list).with_payload(true).with_vectors(true);
        match index.client.call(index.client.qdrant().get_points(request)).await {
            Ok(reply) => {
                for point in reply.result {
                    records.push(record::record(point).map_err(|fault| fault.into_index_error(collection))?);
                }
                rest = &rest[chunk.len()..];
            }
            Err(Fault::Limit(limit)) if lower_limit(&index.limits.page, &limit, chunk.len()) => {}
            Err(fault) => return Err(index.index_error(collection, fault)),
        }
    }
    Ok(records)
}

/// Counts the records: exactly, or approximately if the strict mode of the server does not allow exact counts.
pub(super) async fn count(index: &QdrantIndex, collection: &CollectionName) -> Result<u64, IndexError> {
    let count = async |exact| {
        let request = CountPointsBuilder::new(server_name(collection)).exact(exact);
        index.client.call(index.client.qdrant().count(request)).await
    };
    let mut counted = count(true).await;
    if matches!(&counted, Err(Fault::Limit(limit)) if limit.bound == Bound::Exact) {
        counted = count(false).await;
    }
    Ok(counted.map_err(|fault| index.index_error(collection, fault))?.result.unwrap_or_default().count)
}

/// Returns one page of ids from `from` on, ascending, and the start of the next page.
pub(super) async fn ids(
    index: &QdrantIndex,
    collection: &CollectionName,
    from: Option<PointId>,
) -> Result<(Vec<ImageId>, Option<PointId>), IndexError> {
    let page = scroll(index, IDS_PER_PAGE, |size| {
        let request =
            ScrollPointsBuilder::new(server_name(collection)).limit(size).with_payload(false).with_vectors(false);
        if let Some(from) = &from { request.offset(from.clone()) } else { request }
    });
    let (page, _) = page.await.map_err(|fault| index.index_error(collection, fault))?;
    let ids: Result<_, Fault> = page.result.into_iter().map(|point| record::image_id(point.id)).collect();
    Ok((ids.map_err(|fault| fault.into_index_error(collection))?, page.next_page_offset))
}

/// Requests a page of `usual` points, or of fewer if the server limits the size of a reply. Returns also the number of points
/// that was requested.
pub(super) async fn scroll(
    index: &QdrantIndex,
    usual: usize,
    request: impl Fn(u32) -> ScrollPointsBuilder,
) -> Result<(ScrollResponse, usize), Fault> {
    loop {
        let size = index.limits.page.cap(usual);
        let request = request(u32::try_from(size).unwrap_or(u32::MAX));
        match index.client.call(index.client.qdrant().scroll(request)).await {
            Ok(page) => return Ok((page, size)),
            Err(Fault::Limit(limit)) if lower_limit(&index.limits.page, &limit, size) => {}
            Err(fault) => return Err(fault),
        }
    }
}

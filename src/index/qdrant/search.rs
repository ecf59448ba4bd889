//! Searches, with an order of hits that does not depend on the server.

use std::collections::HashSet;

use qdrant_client::qdrant::{QueryPointsBuilder, ScoredPoint};

use super::collection::server_name;
use super::error::Fault;
use super::{QdrantIndex, filter, points, record_smaller_limit};
use crate::domain::{CollectionName, Embedding, Hit, ImageId, SearchQuery};

/// Points requested in addition to the page, so that the page rarely ends among equal scores.
const INITIAL_EXTRA: usize = 8;
/// The maximum number of additional points that are requested because of equal scores.
const MAX_EXTRA: usize = 4_096;

/// The maximum bytes of vectors that a search requests with its hits.
const VECTOR_BYTES: usize = 32 << 20;

/// A point that was found, with its payload not yet parsed.
struct Candidate {
    score: f32,
    id: ImageId,
    point: ScoredPoint,
}

/// Returns the hits of one page, sorted by score and then by id. The server sorts by score alone. So all hits up to the
/// end of the page are requested, and more while the last of them has the same score as the last hit of the page. The
/// result is exact unless more than 4,096 vectors have that score; then the server decides which of them are on the
/// page.
pub(super) async fn search(
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
        let last = needed.checked_sub(1).and_then(|last| candidates.get(last));
        let ends_among_equals =
            last.zip(candidates.last()).is_none_or(|(last, end)| last.score.total_cmp(&end.score).is_eq());
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
    let vectors = requested.saturating_mul(query.embedding.dimension() * size_of::<f32>()) <= VECTOR_BYTES;
    let conditions = filter::conditions(&query.filter);
    let mut found = Vec::new();
    loop {
        let page = index.limits.page.cap(requested - found.len());
        let mut request = QueryPointsBuilder::new(server_name(collection))
            .query(query.embedding.as_slice().to_vec())
            .limit(page as u64)
            .offset(found.len() as u64)
            .with_payload(true)
            .with_vectors(vectors);
        if let Some(conditions) = &conditions {
            request = request.filter(conditions.clone());
        }
        match index.client.call(index.client.qdrant.query(request)).await {
            Ok(reply) => {
                let got = reply.result.len();
                found.extend(reply.result);
                if got < page || found.len() >= requested {
                    return Ok(found);
                }
            }
            Err(Fault::Limit(refused)) if record_smaller_limit(&index.limits.page, &refused, page) => {}
            Err(fault) => return Err(fault),
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
        let id = points::image_id(point.id.take())?;
        // Pages are read at different moments: a point that is replaced in between may be on two of them.
        if !ids.insert(id) {
            continue;
        }
        let vector = points::dense(point.vectors.take().as_ref());
        let vector = vector.and_then(|vector| Embedding::normalised(vector, query.dimension()).ok());
        let score = vector.map_or(point.score, |vector| vector.cosine(query));
        // The cosine can exceed -1..=1 slightly, and adding zero turns -0 into 0. Both are done before the comparison,
        // so that scores that are shown as equal also compare as equal.
        let score = score.clamp(-1.0, 1.0) + 0.0;
        candidates.push(Candidate { score, id, point });
    }
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    Ok(candidates)
}

fn hit(Candidate { score, id, point }: Candidate) -> Result<Hit, Fault> {
    Ok(Hit { id, score, payload: points::payload_of(id, point.payload)? })
}

//! The nearest, in an order that does not depend on the server's.

use std::collections::HashSet;

use qdrant_client::qdrant::{QueryPointsBuilder, ScoredPoint};

use super::collection::name_there;
use super::error::Fault;
use super::{QdrantIndex, filter, points, shrinks};
use crate::domain::{CollectionName, Embedding, Hit, ImageId, SearchQuery};

/// Asked for beyond what is wanted, so that the end of a page seldom falls among equals.
const BEYOND: usize = 8;
/// Asked for beyond it at most, for the sake of equals.
const MAX_BEYOND: usize = 4_096;

/// Bytes of vectors that a search asks for beside its hits.
const VECTOR_BYTES: usize = 32 << 20;

/// A point that was found, its payload not yet read.
struct Candidate {
    score: f32,
    id: ImageId,
    point: ScoredPoint,
}

/// Hits of one page, by score and then by id. The server sorts by score alone, so a page is cut out of all that
/// come before its end, and of more as long as the last of them is equal to the page's last. That is exact
/// unless more than 4,096 vectors are equal there; then which of them are on the page is the server's choice.
pub(super) async fn search(
    index: &QdrantIndex,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Vec<Hit>, Fault> {
    let wanted = query.offset.saturating_add(query.limit);
    let mut beyond = BEYOND;
    loop {
        let asked = wanted.saturating_add(beyond);
        let found = nearest(index, collection, query, asked).await?;
        let all = found.len() < asked;
        let candidates = sorted(found, &query.embedding)?;
        let last = wanted.checked_sub(1).and_then(|last| candidates.get(last));
        let ends_among_equals =
            last.zip(candidates.last()).is_none_or(|(last, end)| last.score.total_cmp(&end.score).is_eq());
        if all || beyond >= MAX_BEYOND || !ends_among_equals {
            return candidates.into_iter().skip(query.offset).take(query.limit).map(hit).collect();
        }
        beyond = (beyond * 8).min(MAX_BEYOND);
    }
}

/// The first `asked` points, in one request, or in several if the server gives fewer at a time.
async fn nearest(
    index: &QdrantIndex,
    collection: &CollectionName,
    query: &SearchQuery,
    asked: usize,
) -> Result<Vec<ScoredPoint>, Fault> {
    let vectors = asked.saturating_mul(query.embedding.dimension() * size_of::<f32>()) <= VECTOR_BYTES;
    let conditions = filter::conditions(&query.filter);
    let mut found = Vec::new();
    loop {
        let page = index.limits.page.cap(asked - found.len());
        let mut request = QueryPointsBuilder::new(name_there(collection))
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
                if got < page || found.len() >= asked {
                    return Ok(found);
                }
            }
            Err(Fault::Limit(refused)) if shrinks(&index.limits.page, &refused, page) => {}
            Err(fault) => return Err(fault),
        }
    }
}

/// Best first, equals by id. A vector of NaN, which only others can have written, is no hit: the server puts it
/// before all others.
///
/// A score is the cosine with the vector that came with the hit. While a point is replaced, the server may give the score
/// of the old edition with the payload of the new one (ADR 0011). Without a vector it is the server's score.
fn sorted(found: Vec<ScoredPoint>, query: &Embedding) -> Result<Vec<Candidate>, Fault> {
    let mut candidates = Vec::with_capacity(found.len());
    let mut ids = HashSet::with_capacity(found.len());
    for mut point in found {
        if point.score.is_nan() {
            continue;
        }
        let id = points::id_here(point.id.take())?;
        // Pages are not of one moment: a point that is replaced meanwhile may be on two of them.
        if !ids.insert(id) {
            continue;
        }
        let vector = points::dense(point.vectors.take().as_ref());
        let vector = vector.and_then(|vector| Embedding::normalised(vector, query.dimension()).ok());
        let score = vector.map_or(point.score, |vector| vector.cosine(query));
        // The server's cosine leaves -1..=1 by a hair; adding zero makes -0 equal to 0. Both before the
        // comparison, so that equal scores, as they are shown, are ties.
        let score = score.clamp(-1.0, 1.0) + 0.0;
        candidates.push(Candidate { score, id, point });
    }
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    Ok(candidates)
}

fn hit(Candidate { score, id, point }: Candidate) -> Result<Hit, Fault> {
    Ok(Hit { id, score, payload: points::payload_of(id, point.payload)? })
}

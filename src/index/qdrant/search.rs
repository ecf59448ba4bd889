//! The nearest, in an order that does not depend on the server's.

use qdrant_client::qdrant::{QueryPointsBuilder, ScoredPoint};

use super::client::Client;
use super::collection::name_there;
use super::error::Fault;
use super::{filter, points};
use crate::domain::{CollectionName, Hit, ImageId, SearchQuery};

/// Asked for beyond what is wanted, so that the end of a page seldom falls among equals.
const BEYOND: usize = 8;
/// Asked for beyond it at most, for the sake of equals.
const MOST_BEYOND: usize = 4_096;

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
    client: &Client,
    collection: &CollectionName,
    query: &SearchQuery,
) -> Result<Vec<Hit>, Fault> {
    let wanted = query.offset.saturating_add(query.limit);
    let mut beyond = BEYOND;
    loop {
        let asked = wanted.saturating_add(beyond);
        let found = nearest(client, collection, query, asked).await?;
        let all = found.len() < asked;
        let candidates = sorted(found)?;
        let last = wanted.checked_sub(1).and_then(|last| candidates.get(last));
        let ends_among_equals =
            last.zip(candidates.last()).is_none_or(|(last, end)| last.score.total_cmp(&end.score).is_eq());
        if all || beyond >= MOST_BEYOND || !ends_among_equals {
            return candidates.into_iter().skip(query.offset).take(query.limit).map(hit).collect();
        }
        beyond = (beyond * 8).min(MOST_BEYOND);
    }
}

async fn nearest(
    client: &Client,
    collection: &CollectionName,
    query: &SearchQuery,
    limit: usize,
) -> Result<Vec<ScoredPoint>, Fault> {
    let mut request = QueryPointsBuilder::new(name_there(collection))
        .query(query.embedding.as_slice().to_vec())
        .limit(limit as u64)
        .with_payload(true);
    if let Some(conditions) = filter::conditions(&query.filter) {
        request = request.filter(conditions);
    }
    Ok(client.call(client.qdrant.query(request)).await?.result)
}

/// Best first, equals by id. A vector of NaN, which only others can have written, is no hit: the server puts it
/// before all others.
fn sorted(found: Vec<ScoredPoint>) -> Result<Vec<Candidate>, Fault> {
    let mut candidates = Vec::with_capacity(found.len());
    for mut point in found {
        if point.score.is_nan() {
            continue;
        }
        let id = points::id_here(point.id.take())?;
        // The server's cosine leaves -1..=1 by a hair; adding zero makes -0 equal to 0. Both before the
        // comparison, so that equal scores, as they are shown, are ties.
        let score = point.score.clamp(-1.0, 1.0) + 0.0;
        candidates.push(Candidate { score, id, point });
    }
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    Ok(candidates)
}

fn hit(Candidate { score, id, point }: Candidate) -> Result<Hit, Fault> {
    Ok(Hit { id, score, payload: points::payload_of(id, point.payload)? })
}

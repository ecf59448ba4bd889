//! Shows images that are the same as one hit.

use std::collections::HashMap;

use utoipa::ToSchema;

use super::MergedHit;
use crate::domain::{Embedding, ImageId, MIN_COPY_COSINE};
use crate::imaging::is_copy;

/// Which images are shown as one hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Collapse {
    /// Each image is a hit of its own.
    #[default]
    None,
    /// Images with the same bytes.
    Identical,
    /// Copies of the same image: resized, recompressed, mirrored, or cropped by at most 20 % of each side.
    Similar,
}

impl Collapse {
    /// Returns the value with this name in requests.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "identical" => Some(Self::Identical),
            "similar" => Some(Self::Similar),
            _ => None,
        }
    }
}

/// A hit, and the hits that it stands for.
#[derive(Clone, Debug)]
pub struct CollapsedHit {
    /// The hit with the best score.
    pub found: MergedHit,
    /// The other hits with the same image.
    pub duplicates: Vec<MergedHit>,
}

/// A hit is compared with this many other hits, the nearest ones.
const MAX_COMPARED: usize = 8;

/// Leaves each hit alone.
pub(super) fn separate(hits: Vec<MergedHit>) -> Vec<CollapsedHit> {
    hits.into_iter().map(|found| CollapsedHit { found, duplicates: Vec::new() }).collect()
}

/// Groups hits with the same bytes. A record without a hash stays alone.
pub(super) fn by_content(hits: Vec<MergedHit>) -> Vec<CollapsedHit> {
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<CollapsedHit> = Vec::new();
    for found in hits {
        let content = &found.hit.payload.content_sha256;
        let position =
            if content.is_empty() { groups.len() } else { *positions.entry(content.clone()).or_insert(groups.len()) };
        match groups.get_mut(position) {
            Some(group) => group.duplicates.push(found),
            None => groups.push(CollapsedHit { found, duplicates: Vec::new() }),
        }
    }
    groups
}

/// Groups hits that are copies of each other.
pub(super) fn by_copy(hits: Vec<MergedHit>, vectors: &HashMap<ImageId, Embedding>) -> Vec<CollapsedHit> {
    let mut groups: Vec<CollapsedHit> = Vec::new();
    for next in by_content(hits) {
        match copy_position(&groups, &next.found, vectors) {
            Some(position) => groups[position].duplicates.extend([next.found].into_iter().chain(next.duplicates)),
            None => groups.push(next),
        }
    }
    groups
}

/// Returns the position of the group whose image is a copy of `found`.
fn copy_position(groups: &[CollapsedHit], found: &MergedHit, vectors: &HashMap<ImageId, Embedding>) -> Option<usize> {
    let (own, signature) = (vectors.get(&found.hit.id)?, found.hit.payload.hashes.as_ref()?);
    let cosine = |group: &CollapsedHit| Some(vectors.get(&group.found.hit.id)?.cosine(own));
    let cosines = groups.iter().map(cosine).enumerate();
    let mut near: Vec<(f32, usize)> =
        cosines.filter_map(|(at, cosine)| Some((cosine.filter(|cosine| *cosine >= MIN_COPY_COSINE)?, at))).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut candidates = near.into_iter().take(MAX_COMPARED).map(|(_, at)| at);
    candidates.find(|at| {
        let other = groups[*at].found.hit.payload.hashes.as_ref();
        other.is_some_and(|other| is_copy(signature, other))
    })
}

//! The exact search: computes the dot product with every vector and keeps the best.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::filter::SlotSet;
use super::version::Version;
use crate::domain::ImageId;
use crate::index::shared::shown_score;

/// A record and its cosine with the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    pub(super) score: f32,
    pub(super) id: ImageId,
    pub(super) slot: u32,
}

/// A better hit is less: the one with the higher score, and of equal scores the one with the lower id.
impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}

/// Returns the `keep` best records of `version`, best first. Works block by block, so that the only loop over all
/// numbers is the small one in `vectors.rs`.
pub(super) fn best(version: &Version, allowed: Option<&SlotSet>, query: &[f32], keep: usize) -> Vec<Scored> {
    let keep = keep.min(version.count());
    if keep == 0 {
        return Vec::new();
    }
    let query = version.map().pad(query);
    // The worst of the hits that are kept is on top.
    let mut heap = BinaryHeap::with_capacity(keep + 1);
    let (mut slots, mut dots) = (Vec::new(), Vec::new());
    for (first, block) in version.blocks() {
        slots.clear();
        dots.clear();
        slots.extend((first..).zip(block).filter(|(_, occupant)| occupant.is_some()).map(|(slot, _)| slot));
        if let Some(allowed) = allowed {
            slots.retain(|&slot| allowed.contains(slot));
        }
        version.map().dots(&slots, &query, &mut dots);
        for (&slot, &dot) in slots.iter().zip(&dots) {
            let score = shown_score(dot);
            if heap.len() == keep && heap.peek().is_some_and(|worst: &Scored| score < worst.score) {
                continue;
            }
            let Some(id) = block[(slot - first) as usize] else { continue };
            heap.push(Scored { score, id, slot });
            if heap.len() > keep {
                heap.pop();
            }
        }
    }
    heap.into_sorted_vec()
}

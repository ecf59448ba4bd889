//! The search: through the lists of the approximate index, or exact. Scores are exact in both cases.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use ivf::{Candidates, Effort};
use tokio::runtime::Handle;

use super::filters::SlotSet;
use super::version::Version;
use crate::domain::{ImageId, SearchEffort};
use crate::index::shared::shown_score;

/// A filter that selects fewer records than this, or less than this part of all, is searched exactly: the lists are not shorter
/// then, and more of them must be visited (measured with filters of 0.3 to 25 % of one million and of five million records).
const MIN_IN_LISTS: usize = 10_000;
const EXACT_PART: usize = 128;
/// The rows that are compared at the same time.
const CHUNK: usize = 1_024;

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

/// A search in one version of a collection.
pub(super) struct Search {
    pub(super) version: Arc<Version>,
    /// The slots that match the filter; `None` for all.
    pub(super) allowed: Option<SlotSet>,
    /// The query, padded to the length of a row.
    pub(super) query: Vec<f32>,
}

impl Search {
    /// Returns the `keep` best records, best first. An approximate search may use this number of threads.
    pub(super) fn best(self, keep: usize, effort: SearchEffort, threads: usize) -> Vec<Scored> {
        let keep = keep.min(self.version.count());
        let level = match effort {
            SearchEffort::Exact => return self.exact(keep),
            SearchEffort::Default => Effort::DEFAULT_LEVEL,
            SearchEffort::Level(level) => level,
        };
        let (allowed, all) = (self.allowed.as_ref().map_or(self.version.count(), SlotSet::len), self.version.count());
        let version = Arc::clone(&self.version);
        match version.lists() {
            Some(lists) if allowed >= MIN_IN_LISTS.max(all / EXACT_PART) => {
                #[expect(clippy::cast_precision_loss, reason = "a share")]
                let share = allowed as f32 / all.max(1) as f32;
                let (query, effort) = (self.query.clone(), Effort::from_level(level).for_share(share));
                let search = Arc::new(lists.begin_search(&query, keep, effort, self));
                start_helpers(&search, threads.saturating_sub(1).min(search.useful_helpers()));
                search.run()
            }
            _ => self.exact(keep),
        }
    }

    /// Compares every record, or every record of the filter.
    fn exact(&self, keep: usize) -> Vec<Scored> {
        let mut best = Best { keep, heap: BinaryHeap::with_capacity(keep.min(CHUNK) + 1) };
        if keep == 0 {
            return Vec::new();
        }
        let mut slots = Vec::with_capacity(CHUNK);
        if let Some(allowed) = &self.allowed {
            let mut rest = allowed.iter().peekable();
            while rest.peek().is_some() {
                slots.clear();
                slots.extend(rest.by_ref().take(CHUNK));
                self.compare(&slots, &mut best);
            }
        } else {
            for (first, block) in self.version.blocks() {
                slots.clear();
                slots.extend((first..).zip(block).filter(|(_, occupant)| occupant.is_some()).map(|(slot, _)| slot));
                self.compare(&slots, &mut best);
            }
        }
        best.heap.into_sorted_vec()
    }

    fn compare(&self, slots: &[u32], best: &mut Best) {
        let mut dots = Vec::with_capacity(slots.len());
        self.version.map().dots(slots, &self.query, &mut dots);
        for (slot, dot) in slots.iter().zip(dots) {
            best.offer(dot, || self.version.occupant(*slot), *slot);
        }
    }
}

/// Starts threads that help a search, if the caller runs in a runtime. They are not waited for: a search that has ended is gone.
fn start_helpers(search: &Arc<ivf::Search<Search>>, count: usize) {
    let Ok(runtime) = Handle::try_current() else { return };
    for _ in 0..count {
        let search = Arc::downgrade(search);
        drop(runtime.spawn_blocking(move || {
            if let Some(search) = search.upgrade() {
                search.help();
            }
        }));
    }
}

impl Candidates for Search {
    type Hit = Scored;

    fn is_allowed(&self, slot: u32) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(slot))
    }

    fn hit(&self, slot: u32, threshold: f32) -> Option<Scored> {
        let score = shown_score(ivf::dot(self.version.map().row(slot), &self.query));
        // Most ids are not in the caches of the processor.
        if score < threshold {
            return None;
        }
        self.version.occupant(slot).map(|id| Scored { score, id, slot })
    }

    fn prefetch(&self, slot: u32) {
        ivf::prefetch(self.version.map().row(slot));
    }

    fn score(hit: &Scored) -> f32 {
        hit.score
    }
}

/// The best records so far.
struct Best {
    keep: usize,
    /// The worst of them is on top.
    heap: BinaryHeap<Scored>,
}

impl Best {
    fn offer(&mut self, dot: f32, id: impl Fn() -> Option<ImageId>, slot: u32) {
        let score = shown_score(dot);
        if self.heap.len() == self.keep && self.heap.peek().is_some_and(|worst| score < worst.score) {
            return;
        }
        let Some(id) = id() else { return };
        self.heap.push(Scored { score, id, slot });
        if self.heap.len() > self.keep {
            self.heap.pop();
        }
    }
}

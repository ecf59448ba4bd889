//! The search: which lists are visited, and which of their vectors are compared exactly.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::block::BLOCK;
use crate::code::{ESTIMATE_DEVIATION, ESTIMATE_VARIANCE, Query};
use crate::index::Index;
use crate::kernel::{dot, sums};
use crate::list::List;

/// What a caller does with the slots that a search finds.
pub trait Candidates: Sync {
    /// A hit. A better hit is less.
    type Hit: Ord + Copy + Send;

    /// Returns whether a hit may have this slot.
    fn is_allowed(&self, slot: u32) -> bool;

    /// Returns the hit of a slot with its exact score; `None` if it is not a hit.
    fn hit(&self, slot: u32) -> Option<Self::Hit>;

    /// Starts to load the vector of a slot whose hit may be requested soon.
    fn prefetch(&self, slot: u32);

    /// Returns the score of a hit: the product of its vector and the query.
    fn score(hit: &Self::Hit) -> f32;
}

/// How thorough a search is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// A list is visited if its centroid's score plus this number of deviations reaches the worst hit.
    list_deviations: f32,
    /// The share of the lists that is visited in any case.
    min_share: f32,
    /// A vector is compared exactly if its estimate plus this number of deviations reaches the worst hit.
    estimate_deviations: f32,
}

/// The least share of lists at the level 450; it doubles with each 50.
const SHARE_AT_450: f32 = 0.02;
/// The lists that are visited first, with the best centroids.
const FIRST_LISTS: usize = 4;
/// The lists that are visited first, with the nearest centroids: an image that is indexed is found by itself, however unlike
/// all others it is.
const NEAREST_LISTS: usize = 8;
/// The lists from which the deviation of the scores inside a list is estimated.
const SAMPLED_LISTS: usize = 64;
/// The vectors that are loaded ahead.
const PREFETCHED_VECTORS: usize = 3;
/// A rounded sum of products can be too small by this.
const ROUNDING: f32 = 1e-5;
/// A further thread is started for each of these vectors. Starting one takes as long as reading some thousand codes.
const VECTORS_PER_THREAD: usize = 30_000;

impl Effort {
    /// The default level. With it, the best ten of a text are 99 % complete in the collections that were measured.
    pub const DEFAULT_LEVEL: u32 = 460;

    /// Returns the effort for a level: hundredths of the deviations that the bound of a list has. A search with a higher
    /// level finds more and takes longer.
    pub fn from_level(level: u32) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "levels are small")]
        let list_deviations = level.min(10_000) as f32 / 100.0;
        let min_share = (SHARE_AT_450 * ((list_deviations - 4.5) * 2.0).exp2()).min(1.0);
        // More than this changes the recall only after nearly all lists with hits are visited.
        let estimate_deviations = 2.5 + (list_deviations - 5.0).max(0.0) / 4.0;
        Self { list_deviations, min_share, estimate_deviations }
    }

    /// Returns the effort of a search in which hits may have this share (0 to 1) of the slots. It misses about as many hits as a
    /// search in all slots: if the scores in a list were normal, `d` deviations would be exceeded by a part of about
    /// `exp(-d² / 2)`, and of a share of them as many would exceed `d'` with `d'² = d² - 2 ln(1 / share)`. Real scores
    /// have longer tails: half of the correction gave at least the recall of a search in all slots (ADR 0022).
    #[must_use]
    pub fn for_share(self, share: f32) -> Self {
        let square = self.list_deviations.powi(2) + share.clamp(f32::MIN_POSITIVE, 1.0).ln();
        Self { list_deviations: square.max(0.0).sqrt(), ..self }
    }
}

impl Index {
    /// Returns the `keep` best hits, best first. `query` has the length of the index. Uses the thread of the caller and
    /// at most `threads - 1` others.
    pub fn search<C: Candidates>(
        &self,
        query: &[f32],
        keep: usize,
        effort: Effort,
        threads: usize,
        candidates: &C,
    ) -> Vec<C::Hit> {
        if keep == 0 || self.lists.is_empty() {
            return Vec::new();
        }
        let numbers = Query::new(&self.centers.rotation, query);
        let scan = Scan { query, numbers, keep, effort, candidates, threshold: Threshold::default() };
        let mut order = self.centers.estimates(&scan.numbers);
        let first = self.move_first(&mut order);
        let mut hits = Hits::new(keep);
        for (_, list) in &order[..first] {
            scan.visit(&self.lists[*list as usize], None, &mut hits);
        }
        let deviation = effort.list_deviations * self.deviation(&scan.numbers);
        let rest = self.bounds(&order[first..], deviation, &scan);
        let vectors: usize = rest.bounds.iter().map(|(_, list)| list.codes.count()).sum();
        let threads = threads.min(vectors / VECTORS_PER_THREAD).max(1);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| scan.visit_all(&rest, Hits::new(keep)))).collect();
            let mut all = scan.visit_all(&rest, hits).into_vec();
            for other in others {
                // A panic of the thread continues here.
                let found = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all.extend(found.into_vec());
            }
            all.sort_unstable();
            all.truncate(keep);
            all
        })
    }

    /// Moves the lists that are visited first to the begin. Returns their number.
    fn move_first(&self, order: &mut [(f32, u32)]) -> usize {
        let closeness = |(score, list): &(f32, u32)| self.centers.closeness(*list, *score);
        let nearest = NEAREST_LISTS.min(order.len());
        order.select_nth_unstable_by(nearest - 1, |a, b| closeness(b).total_cmp(&closeness(a)));
        let rest = &mut order[nearest..];
        let best = FIRST_LISTS.min(rest.len());
        if best > 0 {
            rest.select_nth_unstable_by(best - 1, |a, b| b.0.total_cmp(&a.0));
        }
        nearest + best
    }

    /// Returns the deviation of the scores in a list from the score of its centroid, as a multiple of the list's radius.
    /// It depends on the query: texts and images are spread differently.
    fn deviation(&self, query: &Query) -> f32 {
        let (mut squares, mut radii, mut products) = (0.0, 0.0, [0; BLOCK]);
        let step = self.lists.len().div_ceil(SAMPLED_LISTS);
        for (list, radius) in self.lists.iter().zip(&self.radii).step_by(step) {
            let Some((block, count)) = list.codes.blocks().next() else { continue };
            sums(&block.codes, &query.words, &mut products);
            let estimates = products.iter().zip(&block.scales).take(count);
            squares += estimates.map(|(product, scale)| query.estimate(*product, *scale).powi(2)).sum::<f32>();
            #[expect(clippy::cast_precision_loss, reason = "a block is small")]
            let count = count as f32;
            radii += count * radius.powi(2);
        }
        #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
        let length = query.length() as f32;
        // What the codes add to the deviation is subtracted. In a random direction, the squares are 1 / length.
        (squares / radii.max(f32::MIN_POSITIVE) - ESTIMATE_VARIANCE / length).max(0.5 / length).sqrt()
    }

    /// Returns the lists that may contain hits, those with the highest bounds first.
    fn bounds<C: Candidates>(&self, order: &[(f32, u32)], deviation: f32, scan: &Scan<'_, C>) -> Lists<'_> {
        let bound = |(score, list): &(f32, u32)| (score + deviation * self.radii[*list as usize], *list);
        let mut lists: Vec<(f32, u32)> = order.iter().map(bound).collect();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "0 to 1"
        )]
        let min = (self.lists.len() as f32 * scan.effort.min_share).ceil() as usize;
        let threshold = scan.threshold.get();
        let needed = lists.iter().filter(|(bound, _)| *bound >= threshold).count().max(min).min(lists.len());
        if needed < lists.len() {
            lists.select_nth_unstable_by(needed, |a, b| b.0.total_cmp(&a.0));
            lists.truncate(needed);
        }
        lists.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let bounds = lists.into_iter().map(|(bound, list)| (bound, &*self.lists[list as usize])).collect();
        Lists { bounds, min, next: AtomicUsize::new(0) }
    }
}

/// The lists that threads visit together.
struct Lists<'a> {
    /// The lists with their bounds, the highest first.
    bounds: Vec<(f32, &'a List)>,
    /// The number of lists that are visited in any case.
    min: usize,
    next: AtomicUsize,
}

/// A search.
struct Scan<'a, C> {
    query: &'a [f32],
    numbers: Query,
    keep: usize,
    effort: Effort,
    candidates: &'a C,
    threshold: Threshold,
}

impl<C: Candidates> Scan<'_, C> {
    /// Visits lists until there are none left or none can contain a hit.
    fn visit_all(&self, lists: &Lists<'_>, mut hits: Hits<C>) -> Hits<C> {
        loop {
            let at = lists.next.fetch_add(1, Relaxed);
            let Some((bound, list)) = lists.bounds.get(at) else { return hits };
            if at >= lists.min && *bound < self.threshold.get() {
                return hits;
            }
            let next = lists.bounds.get(at + 1).map(|(_, list)| *list);
            self.visit(list, next, &mut hits);
        }
    }

    /// Compares the vectors of a list. `next` is the list that is probably visited next.
    fn visit(&self, list: &List, next: Option<&List>, hits: &mut Hits<C>) {
        let center = dot(self.query, &list.center.centroid);
        let deviations = self.effort.estimate_deviations * ESTIMATE_DEVIATION * dot(self.query, self.query).sqrt();
        let limit = self.threshold.get() - center - ROUNDING;
        let mut products = [0; BLOCK];
        hits.greatest.clear();
        for (number, (block, count)) in (1..).zip(list.codes.blocks()) {
            list.codes.prefetch(number, next.map(|next| &next.codes));
            sums(&block.codes, &self.numbers.words, &mut products);
            // The greatest score that a vector may have.
            let mut greatest = [0.0; BLOCK];
            for at in 0..BLOCK {
                greatest[at] = self.numbers.estimate(products[at], block.scales[at]) + deviations * block.scales[at];
            }
            for (greatest, slot) in greatest.iter().zip(&block.slots).take(count) {
                if *greatest >= limit && self.candidates.is_allowed(*slot) {
                    hits.greatest.push((greatest + center, *slot));
                }
            }
        }
        let mut found = std::mem::take(&mut hits.greatest);
        found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        for (at, (greatest, slot)) in found.iter().enumerate() {
            if let Some((_, later)) = found.get(at + PREFETCHED_VECTORS) {
                self.candidates.prefetch(*later);
            }
            if greatest + ROUNDING < self.threshold.get() {
                break;
            }
            if let Some(hit) = self.candidates.hit(*slot) {
                hits.offer(hit, self.keep, &self.threshold);
            }
        }
        hits.greatest = found;
    }
}

/// The best hits of one thread.
struct Hits<C: Candidates> {
    /// The worst hit is on top.
    heap: BinaryHeap<C::Hit>,
    /// The candidates of a list, with the greatest scores that they may have; kept for its memory.
    greatest: Vec<(f32, u32)>,
}

impl<C: Candidates> Hits<C> {
    fn new(keep: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(keep.min(1_024) + 1), greatest: Vec::new() }
    }

    fn offer(&mut self, hit: C::Hit, keep: usize, threshold: &Threshold) {
        self.heap.push(hit);
        if self.heap.len() > keep {
            self.heap.pop();
        }
        if let Some(worst) = self.heap.peek().filter(|_| self.heap.len() == keep) {
            threshold.raise(C::score(worst));
        }
    }

    fn into_vec(self) -> Vec<C::Hit> {
        self.heap.into_vec()
    }
}

/// The score of the worst hit among the best `keep` of any thread, as bits whose order is that of the scores.
struct Threshold(AtomicU32);

impl Default for Threshold {
    fn default() -> Self {
        Self(AtomicU32::new(ordered_bits(f32::NEG_INFINITY)))
    }
}

impl Threshold {
    fn get(&self) -> f32 {
        let bits = self.0.load(Relaxed);
        f32::from_bits(if bits >> 31 == 1 { bits & !SIGN } else { !bits })
    }

    fn raise(&self, score: f32) {
        self.0.fetch_max(ordered_bits(score), Relaxed);
    }
}

const SIGN: u32 = 1 << 31;

fn ordered_bits(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

#[cfg(test)]
#[path = "search_tests.rs"]
pub(crate) mod tests;

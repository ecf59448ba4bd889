//! What a search does in each list: it estimates scores from codes, and compares the vectors whose scores may be good enough.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::block::BLOCK;
use crate::code::{ESTIMATE_DEVIATION, Query};
use crate::kernel::{dot, sums};
use crate::list::List;
use crate::search::{Candidates, Effort};

/// The vectors that are loaded ahead.
const PREFETCHED_VECTORS: usize = 3;
/// For each hit that a search returns, this number of vectors of the first lists are compared exactly before the others.
const FIRST_COMPARED: usize = 8;
/// A rounded sum of products can be too small by this.
const ROUNDING: f32 = 1e-5;

/// What a search compares.
#[derive(Debug)]
pub(crate) struct Scan<C> {
    query: Vec<f32>,
    /// The length of the query.
    length: f32,
    pub(crate) numbers: Query,
    pub(crate) keep: usize,
    pub(crate) effort: Effort,
    candidates: C,
    threshold: Threshold,
}

impl<C: Candidates> Scan<C> {
    pub(crate) fn new(query: &[f32], numbers: Query, keep: usize, effort: Effort, candidates: C) -> Self {
        let length = dot(query, query).sqrt();
        Self { query: query.to_vec(), length, numbers, keep, effort, candidates, threshold: Threshold::default() }
    }

    /// Returns the score of the worst hit.
    pub(crate) fn threshold(&self) -> f32 {
        self.threshold.get()
    }

    /// Compares the vectors of the lists that are visited first. There is no worst hit yet, so all their vectors are candidates: the
    /// best ones are compared exactly before the others, which are compared only if they are still good enough.
    pub(crate) fn visit_first<'a>(&self, lists: impl Iterator<Item = &'a List>, hits: &mut Hits<C>) {
        let mut found = std::mem::take(&mut hits.found);
        let mut lists = lists.peekable();
        while let Some(list) = lists.next() {
            self.find(list, lists.peek().copied(), &mut found);
        }
        let best = self.keep.saturating_mul(FIRST_COMPARED);
        if best < found.len() {
            found.select_nth_unstable_by(best, |a, b| b.0.total_cmp(&a.0));
            self.compare(&mut found[..best], hits);
            found.drain(..best);
            let threshold = self.threshold.get() - ROUNDING;
            found.retain(|(greatest, _)| *greatest >= threshold);
        }
        self.compare(&mut found, hits);
        hits.found = found;
    }

    /// Compares the vectors of a list. `next` is the list that is probably visited next.
    pub(crate) fn visit(&self, list: &List, next: Option<&List>, hits: &mut Hits<C>) {
        let mut found = std::mem::take(&mut hits.found);
        found.clear();
        self.find(list, next, &mut found);
        self.compare(&mut found, hits);
        hits.found = found;
    }

    /// Appends the vectors of a list whose estimated scores may be good enough to `found`, with the greatest scores that they may have.
    fn find(&self, list: &List, next: Option<&List>, found: &mut Vec<(f32, u32)>) {
        let center = dot(&self.query, &list.center.centroid);
        let deviations = self.effort.estimate_deviations * ESTIMATE_DEVIATION * self.length;
        let limit = self.threshold.get() - center - ROUNDING;
        let mut products = [0; BLOCK];
        for (number, (block, count)) in (1..).zip(list.codes.blocks()) {
            let ahead = list.codes.ahead(number, next.map(|next| &next.codes));
            sums(&block.codes, &self.numbers.words, &mut products, ahead);
            // The greatest score that a vector may have.
            let mut greatest = [0.0; BLOCK];
            for at in 0..BLOCK {
                greatest[at] = self.numbers.estimate(products[at], block.scales[at]) + deviations * block.scales[at];
            }
            for (greatest, slot) in greatest.iter().zip(&block.slots).take(count) {
                if *greatest >= limit && self.candidates.is_allowed(*slot) {
                    found.push((greatest + center, *slot));
                }
            }
        }
    }

    /// Compares vectors exactly, those with the greatest scores that they may have first.
    fn compare(&self, found: &mut [(f32, u32)], hits: &mut Hits<C>) {
        found.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        for (at, (greatest, slot)) in found.iter().enumerate() {
            if let Some((_, later)) = found.get(at + PREFETCHED_VECTORS) {
                self.candidates.prefetch(*later);
            }
            let threshold = self.threshold.get();
            if greatest + ROUNDING < threshold {
                break;
            }
            if let Some(hit) = self.candidates.hit(*slot, threshold) {
                hits.offer(hit, self.keep, &self.threshold);
            }
        }
    }
}

/// The best hits of one thread.
pub(crate) struct Hits<C: Candidates> {
    /// The worst hit is on top.
    pub(crate) heap: BinaryHeap<C::Hit>,
    /// What [`Scan::find`] returned last; kept for its memory.
    found: Vec<(f32, u32)>,
}

impl<C: Candidates> Hits<C> {
    pub(crate) fn new(keep: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(keep.min(1_024) + 1), found: Vec::new() }
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
}

/// A value whose changes do not take other values from the caches of other threads.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct OwnLines<T>(pub(crate) T);

/// The score of the worst hit among the best `keep` of any thread, as bits whose order is that of the scores.
#[derive(Debug)]
struct Threshold(OwnLines<AtomicU32>);

impl Default for Threshold {
    fn default() -> Self {
        Self(OwnLines(AtomicU32::new(ordered_bits(f32::NEG_INFINITY))))
    }
}

impl Threshold {
    fn get(&self) -> f32 {
        let bits = self.0.0.load(Relaxed);
        f32::from_bits(if bits >> 31 == 1 { bits & !SIGN } else { !bits })
    }

    fn raise(&self, score: f32) {
        // A write takes the value from the caches of the other threads.
        if score > self.get() {
            self.0.0.fetch_max(ordered_bits(score), Relaxed);
        }
    }
}

const SIGN: u32 = 1 << 31;

fn ordered_bits(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

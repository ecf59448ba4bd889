//! A search while it runs, on one thread or on several: the lists that it visits, and which of their vectors are compared exactly.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::block::BLOCK;
use crate::code::{ESTIMATE_DEVIATION, Query};
use crate::kernel::{dot, sums};
use crate::list::List;
use crate::search::{Candidates, Effort};

/// The vectors that are loaded ahead.
const PREFETCHED_VECTORS: usize = 3;
/// A rounded sum of products can be too small by this.
const ROUNDING: f32 = 1e-5;
/// A further thread pays for each of these vectors.
const VECTORS_PER_THREAD: usize = 30_000;

/// A search that has begun. The thread that calls [`run`](Self::run) needs no other; each thread that calls [`help`](Self::help)
/// makes it faster. A helper that comes late returns at once, and nothing waits for a helper that has not begun: on a busy machine
/// a thread can take longer to begin than a search takes.
pub struct Search<C: Candidates> {
    scan: Scan<C>,
    lists: Lists,
    /// The next list.
    next: AtomicUsize,
    /// The hits in the lists that were visited first.
    first: Mutex<Hits<C>>,
    helpers: Mutex<Helpers<C::Hit>>,
    helper_ended: Condvar,
}

struct Helpers<H> {
    running: usize,
    has_panicked: bool,
    /// Whether the search has visited all lists.
    is_closed: bool,
    found: Vec<H>,
}

/// A helper that runs.
struct Running<'a, C: Candidates>(&'a Search<C>);

impl<C: Candidates> Drop for Running<'_, C> {
    fn drop(&mut self) {
        let mut helpers = self.0.helpers();
        helpers.running -= 1;
        helpers.has_panicked |= std::thread::panicking();
        self.0.helper_ended.notify_all();
    }
}

impl<C: Candidates> Search<C> {
    pub(crate) fn new(scan: Scan<C>, lists: Lists, first: Hits<C>) -> Self {
        let helpers = Helpers { running: 0, has_panicked: false, is_closed: false, found: Vec::new() };
        let (first, helpers, next) = (Mutex::new(first), Mutex::new(helpers), AtomicUsize::new(0));
        Self { scan, lists, next, first, helpers, helper_ended: Condvar::new() }
    }

    fn helpers(&self) -> MutexGuard<'_, Helpers<C::Hit>> {
        self.helpers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many helpers make the search faster.
    pub fn useful_helpers(&self) -> usize {
        let vectors: usize = self.lists.bounds.iter().map(|(_, list)| list.codes.count()).sum();
        (vectors / VECTORS_PER_THREAD).saturating_sub(1)
    }

    /// Visits lists until none is left.
    pub fn help(&self) {
        let running = {
            let mut helpers = self.helpers();
            if helpers.is_closed {
                return;
            }
            helpers.running += 1;
            Running(self)
        };
        let mut hits = Hits::new(self.scan.keep);
        self.visit_all(&mut hits);
        self.helpers().found.extend(hits.heap);
        drop(running);
    }

    /// Visits lists until none is left, and returns the best hits of all threads, best first.
    ///
    /// # Panics
    /// If a helper panicked.
    pub fn run(&self) -> Vec<C::Hit> {
        let mut hits = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        self.visit_all(&mut hits);
        let mut helpers = self.helpers();
        helpers.is_closed = true;
        while helpers.running > 0 {
            helpers = self.helper_ended.wait(helpers).unwrap_or_else(PoisonError::into_inner);
        }
        assert!(!helpers.has_panicked, "a thread that helped a search panicked");
        let mut all: Vec<C::Hit> = hits.heap.drain().chain(helpers.found.drain(..)).collect();
        all.sort_unstable();
        all.truncate(self.scan.keep);
        all
    }

    /// Visits lists until there are none left or none can contain a hit.
    fn visit_all(&self, hits: &mut Hits<C>) {
        loop {
            let at = self.next.fetch_add(1, Relaxed);
            let Some((bound, list)) = self.lists.bounds.get(at) else { return };
            if at >= self.lists.min && *bound < self.scan.threshold() {
                return;
            }
            let next = self.lists.bounds.get(at + 1).map(|(_, list)| &**list);
            self.scan.visit(list, next, hits);
        }
    }
}

/// The lists that are visited.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// The lists with their bounds, the highest first.
    pub(crate) bounds: Vec<(f32, Arc<List>)>,
    /// The number of lists that are visited in any case.
    pub(crate) min: usize,
}

/// What a search compares.
#[derive(Debug)]
pub(crate) struct Scan<C> {
    query: Vec<f32>,
    pub(crate) numbers: Query,
    keep: usize,
    pub(crate) effort: Effort,
    candidates: C,
    threshold: Threshold,
}

impl<C: Candidates> Scan<C> {
    pub(crate) fn new(query: &[f32], numbers: Query, keep: usize, effort: Effort, candidates: C) -> Self {
        Self { query: query.to_vec(), numbers, keep, effort, candidates, threshold: Threshold::default() }
    }

    /// Returns the score of the worst hit.
    pub(crate) fn threshold(&self) -> f32 {
        self.threshold.get()
    }

    /// Compares the vectors of a list. `next` is the list that is probably visited next.
    pub(crate) fn visit(&self, list: &List, next: Option<&List>, hits: &mut Hits<C>) {
        let center = dot(&self.query, &list.center.centroid);
        let deviations = self.effort.estimate_deviations * ESTIMATE_DEVIATION * dot(&self.query, &self.query).sqrt();
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
pub(crate) struct Hits<C: Candidates> {
    /// The worst hit is on top.
    heap: BinaryHeap<C::Hit>,
    /// The candidates of a list, with the greatest scores that they may have; kept for its memory.
    greatest: Vec<(f32, u32)>,
}

impl<C: Candidates> Hits<C> {
    pub(crate) fn new(keep: usize) -> Self {
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
}

/// The score of the worst hit among the best `keep` of any thread, as bits whose order is that of the scores.
#[derive(Debug)]
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

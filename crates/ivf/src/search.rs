//! The begin of a search: which lists are visited.

use std::sync::Arc;

use crate::block::BLOCK;
use crate::code::{ESTIMATE_VARIANCE, Query};
use crate::index::Index;
use crate::kernel::sums;
use crate::running::{Lists, Search};
use crate::scan::{Hits, Scan};

/// What a caller does with the slots that a search finds.
pub trait Candidates: Sync {
    /// A hit. A better hit is less.
    type Hit: Ord + Copy + Send;

    /// Returns whether a hit may have this slot.
    fn is_allowed(&self, slot: u32) -> bool;

    /// Returns the hit of a slot with its exact score; `None` if it is not a hit or its score is less than `threshold`.
    fn hit(&self, slot: u32, threshold: f32) -> Option<Self::Hit>;

    /// Starts to load the vector of a slot whose hit may be requested soon.
    fn prefetch(&self, slot: u32);

    /// Returns the score of a hit: the product of its vector and the query.
    fn score(hit: &Self::Hit) -> f32;
}

impl<C: Candidates> Candidates for &C {
    type Hit = C::Hit;

    fn is_allowed(&self, slot: u32) -> bool {
        C::is_allowed(self, slot)
    }

    fn hit(&self, slot: u32, threshold: f32) -> Option<C::Hit> {
        C::hit(self, slot, threshold)
    }

    fn prefetch(&self, slot: u32) {
        C::prefetch(self, slot);
    }

    fn score(hit: &C::Hit) -> f32 {
        C::score(hit)
    }
}

/// How thorough a search is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// A list is visited if its centroid's score plus this number of deviations reaches the worst hit.
    list_deviations: f32,
    /// The share of the lists that is visited in any case.
    min_share: f32,
    /// A vector is compared exactly if its estimate plus this number of deviations reaches the worst hit.
    pub(crate) estimate_deviations: f32,
}

/// The least share of lists at the level 450; it doubles with each 50.
const SHARE_AT_450: f32 = 0.02;
/// The lists that are visited in any case. A small share of few lists would miss images, especially with a filter.
const MIN_LISTS: usize = 64;
/// The lists that are visited first, with the best centroids.
const FIRST_LISTS: usize = 4;
/// The lists that are visited first, with the nearest centroids: an image that is indexed is found by itself, however unlike
/// all others it is.
const NEAREST_LISTS: usize = 8;
/// The lists from which the deviation of the scores inside a list is estimated.
const SAMPLED_LISTS: usize = 64;

impl Effort {
    /// The default level. With it, the best ten of a text are 99 % complete in the collections that were measured, of 200,000 to
    /// five million vectors.
    pub const DEFAULT_LEVEL: u32 = 500;

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
    /// Begins a search for the `keep` best hits: visits the most promising lists and finds the others that may contain hits.
    /// `query` has the length of the index. [`Search::run`] does the rest.
    pub fn begin_search<C: Candidates>(&self, query: &[f32], keep: usize, effort: Effort, candidates: C) -> Search<C> {
        let numbers = Query::new(&self.centers.rotation, query);
        let scan = Scan::new(query, numbers, keep, effort, candidates);
        let mut hits = Hits::new(keep);
        if keep == 0 || self.lists.is_empty() {
            return Search::new(scan, Lists::default(), hits);
        }
        let mut order = self.centers.estimates(&scan.numbers);
        let first = self.move_first(&mut order);
        scan.visit_first(order[..first].iter().map(|(_, list)| &*self.lists[*list as usize]), &mut hits);
        let deviation = effort.list_deviations * self.deviation(&scan.numbers);
        let rest = self.bounds(&order[first..], deviation, &scan);
        Search::new(scan, rest, hits)
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
        let mut sampled = self.lists.iter().zip(&self.radii).step_by(step).peekable();
        while let Some((list, radius)) = sampled.next() {
            let Some((block, count)) = list.codes.blocks().next() else { continue };
            let ahead = sampled.peek().and_then(|(list, _)| list.codes.ahead(0, None));
            sums(&block.codes, &query.words, &mut products, ahead);
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
    fn bounds<C: Candidates>(&self, order: &[(f32, u32)], deviation: f32, scan: &Scan<C>) -> Lists {
        let bound = |(score, list): &(f32, u32)| (score + deviation * self.radii[*list as usize], *list);
        let mut lists: Vec<(f32, u32)> = order.iter().map(bound).collect();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "0 to 1"
        )]
        let share = (self.lists.len() as f32 * scan.effort.min_share).ceil() as usize;
        let min = share.max(MIN_LISTS);
        let threshold = scan.threshold();
        let needed = lists.iter().filter(|(bound, _)| *bound >= threshold).count().max(min).min(lists.len());
        if needed < lists.len() {
            lists.select_nth_unstable_by(needed, |a, b| b.0.total_cmp(&a.0));
            lists.truncate(needed);
        }
        lists.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let bounds = lists.into_iter().map(|(bound, list)| (bound, Arc::clone(&self.lists[list as usize]))).collect();
        Lists { bounds, min }
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;

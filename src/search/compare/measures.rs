//! The numbers of a comparison.

use std::collections::HashMap;

use super::SearchResults;
use crate::domain::ImageId;

/// What the searches of one generation returned.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) text_scores: Vec<f64>,
    pub(super) image_scores: Vec<f64>,
    pub(super) text_relevance: Vec<f64>,
    pub(super) search_ms: Vec<f64>,
}

impl Measured {
    /// Adds the first `top` results of a search.
    pub(super) fn add(&mut self, is_text: bool, results: &SearchResults, top: usize) {
        let scores = results.hits.iter().take(top).map(|group| group.found.hit.score);
        let all = if is_text { &mut self.text_scores } else { &mut self.image_scores };
        all.extend(scores.clone().map(f64::from));
        if let (true, Ok(scale)) = (is_text, &results.scale) {
            self.text_relevance.extend(scores.map(|score| f64::from(scale.relevance(score))));
        }
        self.search_ms.push(results.search.as_secs_f64() * 1_000.0);
    }
}

/// Returns Spearman's rank correlation of the ids that both lists have: 1 minus six times the sum of the squared differences
/// of the ranks, divided by n (n² - 1). `None` for fewer than two ids.
#[expect(clippy::cast_precision_loss, reason = "ranks are small")]
pub(super) fn rank_correlation(one: &[ImageId], other: &[ImageId]) -> Option<f64> {
    let in_other: HashMap<&ImageId, usize> = other.iter().enumerate().map(|(rank, id)| (id, rank)).collect();
    let mut common: Vec<usize> = one.iter().filter_map(|id| in_other.get(id).copied()).collect();
    let n = common.len() as f64;
    if common.len() < 2 {
        return None;
    }
    // The ranks among the common ids only.
    let ranks = common.clone();
    common.sort_unstable();
    let rank_of: HashMap<usize, usize> = common.into_iter().enumerate().map(|(rank, place)| (place, rank)).collect();
    let squares = ranks.iter().enumerate().map(|(rank, place)| {
        let other = rank_of.get(place).copied().unwrap_or_default();
        (rank as f64 - other as f64).powi(2)
    });
    Some(1.0 - 6.0 * squares.sum::<f64>() / (n * (n * n - 1.0)))
}

/// Returns the mean.
#[expect(clippy::cast_precision_loss, reason = "a mean")]
pub(super) fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// Returns the 5, 25, 50, 75 and 95 % quantiles.
pub(super) fn quantiles(mut numbers: Vec<f64>) -> Option<[f64; 5]> {
    if numbers.is_empty() {
        return None;
    }
    numbers.sort_unstable_by(f64::total_cmp);
    Some([5, 25, 50, 75, 95].map(|percent| numbers[(numbers.len() - 1) * percent / 100]))
}

/// Returns the median.
pub(super) fn median(numbers: Vec<f64>) -> Option<f64> {
    quantiles(numbers).map(|[_, _, median, _, _]| median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u128]) -> Vec<ImageId> {
        numbers.iter().map(|number| ImageId(uuid::Uuid::from_u128(*number))).collect()
    }

    #[test]
    fn the_rank_correlation_is_1_for_the_same_order_and_minus_1_for_the_reverse() {
        let correlation = |one: &[u128], other: &[u128]| rank_correlation(&ids(one), &ids(other));
        assert_eq!(correlation(&[1, 2, 3, 4], &[1, 2, 3, 4]), Some(1.0));
        assert_eq!(correlation(&[1, 2, 3, 4], &[4, 3, 2, 1]), Some(-1.0));
        assert_eq!(correlation(&[1, 9, 2, 3], &[8, 1, 2, 7, 3]), Some(1.0), "only common ids count");
        assert_eq!(correlation(&[1, 2, 3], &[2, 1, 3]), Some(0.5));
        assert_eq!(correlation(&[1, 2], &[2, 3]), None);
    }

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let numbers: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(quantiles(numbers), Some([5.0, 25.0, 50.0, 75.0, 95.0]));
        assert_eq!(quantiles(vec![3.0]), Some([3.0; 5]));
        assert_eq!((median(Vec::new()), mean(&[1.0, 2.0])), (None, Some(1.5)));
    }
}

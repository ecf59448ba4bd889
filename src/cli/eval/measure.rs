//! Measures of a list of results with known right answers, from 0 to 1. An image is either a right answer or not.
//!
//! `rel(i)` is 1 if the result at rank `i` is a right answer, and 0 otherwise; `n` is the number of right answers of the
//! query. A query without right answers has no measures.

use std::fmt;

use super::search::RightAnswer;

/// A measure of one query. The result of several queries is the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Whether a right answer is among the first `k` results: 1 or 0. The literature on CLIP calls the mean recall@k
    /// (R@k).
    Recall(usize),
    /// Reciprocal rank: `1 / rank` of the first right answer, or 0 if there is none. The mean is the MRR (Voorhees 1999:
    /// The TREC-8 question answering track report).
    ReciprocalRank,
    /// Average precision: the sum over ranks `i <= k` of `rel(i) * precision(i)`, divided by `min(n, k)`, where
    /// `precision(i)` is the share of right answers among the first `i` results. The mean is mAP@k. Divided by
    /// `min(n, k)` as in INQUIRE (Vendrow et al. 2024, `src/metrics.py`), so that missing answers count, and a perfect list
    /// has 1.
    AveragePrecision(usize),
    /// Normalized discounted cumulative gain: `dcg / ideal`, where `dcg` is the sum over ranks `i <= k` of
    /// `rel(i) / log2(i + 1)`, and `ideal` is that of a list with all right answers first: the sum over
    /// `i <= min(n, k)` of `1 / log2(i + 1)` (Järvelin, Kekäläinen 2002: Cumulated gain-based evaluation of IR techniques,
    /// with the discount of Burges et al. 2005).
    Ndcg(usize),
}

impl Measure {
    /// Returns every measure for the values of `k`.
    pub(super) fn all(cuts: &[usize]) -> Vec<Self> {
        let each = |measure: fn(usize) -> Self| cuts.iter().copied().map(measure);
        let mut all: Vec<_> = each(Self::Recall).collect();
        all.push(Self::ReciprocalRank);
        all.extend(each(Self::AveragePrecision).chain(each(Self::Ndcg)));
        all
    }

    /// Returns the measure of a query with `answers` right answers. `right` has those that were found, by rank.
    pub(super) fn value(self, right: &[RightAnswer], answers: usize) -> f64 {
        let ranks = right.iter().map(|right| right.rank);
        let within = |k| ranks.clone().take_while(move |rank| *rank <= k);
        match self {
            Self::Recall(k) => float(within(k).take(1).count()),
            Self::ReciprocalRank => ranks.clone().next().map_or(0.0, |rank| 1.0 / float(rank)),
            Self::AveragePrecision(k) => {
                let precisions = within(k).enumerate().map(|(before, rank)| float(before + 1) / float(rank));
                sum(precisions) / float(answers.min(k).max(1))
            }
            Self::Ndcg(k) => sum(within(k).map(gain)) / sum((1..=answers.min(k).max(1)).map(gain)),
        }
    }
}

/// Returns the sum, which is 0 for no values; `Iterator::sum` returns -0.
pub(super) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |sum, value| sum + value)
}

/// The gain of a right answer at this rank.
fn gain(rank: usize) -> f64 {
    1.0 / float(rank + 1).log2()
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recall(k) => write!(f, "recall@{k}"),
            Self::ReciprocalRank => write!(f, "MRR"),
            Self::AveragePrecision(k) => write!(f, "mAP@{k}"),
            Self::Ndcg(k) => write!(f, "nDCG@{k}"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of queries and ranks")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(measure: fn(usize) -> Measure, ranks: &[usize], answers: usize) -> [f64; 3] {
        let right: Vec<_> = ranks.iter().map(|&rank| RightAnswer { rank, answer: 0, hit: 0 }).collect();
        [1, 5, 10].map(|k| measure(k).value(&right, answers))
    }

    fn assert_close(actual: [f64; 3], expected: [f64; 3], name: &str) {
        assert!(actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{name}: {actual:?}, not {expected:?}");
    }

    #[test]
    fn the_measures_are_those_computed_by_hand() {
        assert_close(values(Measure::Recall, &[4, 7], 3), [0.0, 1.0, 1.0], "recall");
        assert_close(values(|_| Measure::ReciprocalRank, &[4, 7], 3), [0.25; 3], "MRR");
        // Precision 1/4 at rank 4 and 2/7 at rank 7; three answers.
        assert_close(values(Measure::AveragePrecision, &[4, 7], 3), [0.0, 0.25 / 3.0, (0.25 + 2.0 / 7.0) / 3.0], "mAP");
        // Gains 1/log2(5) and 1/log2(8); ideal 1 + 1/log2(3) + 1/2.
        let ideal = 1.0 + 1.0 / 3_f64.log2() + 0.5;
        let gain = 1.0 / 5_f64.log2();
        assert_close(values(Measure::Ndcg, &[4, 7], 3), [0.0, gain / ideal, (gain + 1.0 / 3.0) / ideal], "nDCG");
    }

    /// The values are those of `average_precision_score` and `ndcg_score` of scikit-learn 1.9. The former is multiplied by
    /// the found answers and divided by min(n, k); the latter has the missing answers at the end of the list.
    #[test]
    fn the_measures_are_those_of_scikit_learn() {
        type Case = (&'static [usize], usize, [f64; 3], [f64; 3]);
        let cases: [Case; 7] = [
            (&[1], 1, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
            (&[4], 1, [0.0, 0.25, 0.25], [0.0, 0.430_676_558_073, 0.430_676_558_073]),
            (&[2, 3, 9], 5, [0.0, 0.233_333_333_333, 0.3], [0.0, 0.383_566_367_371, 0.485_663_762_494]),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 12, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
            (&[], 2, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
            (&[1, 10], 2, [1.0, 0.5, 0.6], [1.0, 0.613_147_192_765, 0.790_386_479_55]),
            (&[3, 5, 6], 3, [0.0, 0.244_444_444_444, 0.411_111_111_111], [0.0, 0.416_181_155_549, 0.583_341_610_515]),
        ];
        for (ranks, answers, precision, gain) in cases {
            assert_close(values(Measure::AveragePrecision, ranks, answers), precision, &format!("mAP of {ranks:?}"));
            assert_close(values(Measure::Ndcg, ranks, answers), gain, &format!("nDCG of {ranks:?}"));
        }
    }
}

//! The relevance of one collection, fitted to the answers of its users.
//!
//! `relevance = sigmoid(slope * logit + intercept)` of the logit of the model's own scale: Platt scaling (Platt 1999:
//! Probabilistic outputs for support vector machines). The slope is above 0, so the relevance still only rises with the
//! cosine, and the gate still limits it. Two numbers can be fitted to a few queries.

use serde::{Deserialize, Serialize};

use super::logistic::{self, count, sigmoid};
use super::scale::RELEVANT;
use crate::domain::{CollectionName, Space, Timestamp};

/// The fit needs as many queries.
pub(crate) const MIN_QUERIES: usize = 20;
/// The fit needs as many right hits, and as many wrong ones.
const MIN_HITS: usize = 10;
/// L2 penalty on the slope.
const RIDGE: f64 = 1e-3;
/// The error of the fit is measured with as many parts of the queries: each with the fit to the other parts.
const FOLDS: usize = 5;
/// The error is the mean over as many ranges of relevance.
const BINS: usize = 10;

/// The hits of one query: the logit of the model's own relevance, and whether the hit is a right answer.
pub(crate) type LabelledHits = Vec<(f64, bool)>;

/// Converts the logit of the model's own relevance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// Above 0.
    pub slope: f64,
    /// The logit of the relevance of a hit that the model gives 0.5.
    pub intercept: f64,
}

impl Platt {
    pub(super) fn convert(self, logit: f64) -> f64 {
        self.slope * logit + self.intercept
    }
}

/// A fit of one collection, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refit {
    /// The collection.
    pub collection: CollectionName,
    /// The space that was measured. The fit is not used for another one.
    pub space: Space,
    /// The fit.
    pub platt: Platt,
    /// Number of queries.
    pub queries: usize,
    /// Number of their first hits that were compared with the answers.
    pub hits: usize,
    /// Number of these hits that are right answers.
    pub right: usize,
    /// The expected calibration error of the model's own relevance.
    pub error_before: f64,
    /// The same with this fit, for queries that were left out of it.
    pub error_after: f64,
    /// Number of queries with a good match; `None` in a fit of an earlier version.
    #[serde(default)]
    pub good_matches: Option<GoodMatches>,
    /// When it was measured.
    pub measured_at: Timestamp,
}

/// The number of queries whose best hit is relevant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodMatches {
    /// With the model's own relevance.
    pub before: usize,
    /// With the fit. As the fit only moves the limit, the queries of the smaller number are all among the other ones.
    pub after: usize,
}

/// Why there are not enough answers for a fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefitError {
    /// Too few queries.
    #[error("must have at least {MIN_QUERIES} queries, not {0}")]
    Queries(usize),
    /// Too few hits of one kind.
    #[error(
        "have {right} right and {wrong} wrong answers among their first hits; at least {MIN_HITS} of each are needed"
    )]
    Hits {
        /// Number of right answers.
        right: usize,
        /// Number of other hits.
        wrong: usize,
    },
    /// The relevance of the model does not rise with the share of right answers.
    #[error("do not agree with the model: hits with a higher score are not more often right answers")]
    NotRising,
}

/// Fits to the hits of labelled queries.
///
/// # Errors
/// [`RefitError`]
pub(super) fn fit(queries: &[LabelledHits]) -> Result<Platt, RefitError> {
    if queries.len() < MIN_QUERIES {
        return Err(RefitError::Queries(queries.len()));
    }
    fit_hits(&queries.iter().flatten().copied().collect::<Vec<_>>())
}

fn fit_hits(hits: &[(f64, bool)]) -> Result<Platt, RefitError> {
    let right = hits.iter().filter(|(_, is_right)| *is_right).count();
    let wrong = hits.len() - right;
    if right < MIN_HITS || wrong < MIN_HITS {
        return Err(RefitError::Hits { right, wrong });
    }
    // The weights are those of the hits as they are, so the relevance is the share of right answers.
    let curve = logistic::fit(hits, count(right) / count(hits.len()), RIDGE).filter(|curve| curve.slope > 0.0);
    let curve = curve.ok_or(RefitError::NotRising)?;
    Ok(Platt { slope: curve.slope, intercept: curve.intercept })
}

/// Returns the expected calibration error of the model's own relevance, and of fits to these queries. Each query is
/// measured with the fit to other queries; if there are too few of them, with `whole`.
pub(super) fn errors(queries: &[LabelledHits], whole: Platt) -> (f64, f64) {
    let folds: Vec<Platt> = (0..FOLDS)
        .map(|fold| {
            let others = queries.iter().enumerate().filter(|(at, _)| at % FOLDS != fold);
            fit_hits(&others.flat_map(|(_, hits)| hits).copied().collect::<Vec<_>>()).unwrap_or(whole)
        })
        .collect();
    let before = queries.iter().flatten().map(|(logit, right)| (sigmoid(*logit), *right));
    let after = queries.iter().enumerate().flat_map(|(at, hits)| {
        let platt = folds[at % FOLDS];
        hits.iter().map(move |(logit, right)| (sigmoid(platt.convert(*logit)), *right))
    });
    (calibration_error(before), calibration_error(after))
}

/// Counts the queries whose best hit is relevant.
pub(super) fn good_matches(queries: &[LabelledHits], platt: Platt) -> GoodMatches {
    let best = |hits: &LabelledHits| hits.iter().map(|(logit, _)| *logit).max_by(f64::total_cmp);
    let best: Vec<f64> = queries.iter().filter_map(best).collect();
    let count = |convert: &dyn Fn(f64) -> f64| {
        best.iter().filter(|logit| sigmoid(convert(**logit)) >= f64::from(RELEVANT)).count()
    };
    GoodMatches { before: count(&|logit| logit), after: count(&|logit| platt.convert(logit)) }
}

/// Returns the expected calibration error: hits are put into [`BINS`] ranges of relevance; the mean difference of
/// relevance and share of right answers in a range, weighted by its hits (Naeini, Cooper, Hauskrecht 2015: Obtaining
/// well calibrated probabilities using Bayesian binning).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 0 to 9")]
fn calibration_error(hits: impl Iterator<Item = (f64, bool)>) -> f64 {
    let (mut differences, mut number) = ([0.0; BINS], 0);
    for (relevance, is_right) in hits {
        differences[((relevance * count(BINS)) as usize).min(BINS - 1)] += relevance - f64::from(u8::from(is_right));
        number += 1;
    }
    differences.iter().map(|difference| difference.abs()).sum::<f64>() / count(number).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 queries of 8 hits, whose share of right answers is `sigmoid(slope * logit + intercept)`.
    fn labelled(platt: Platt) -> Vec<LabelledHits> {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u16::try_from(state >> 48).unwrap()) / 65_536.0
        };
        let mut hit = || {
            let logit = 10.0 * random() - 6.0;
            (logit, random() < sigmoid(platt.convert(logit)))
        };
        (0..40).map(|_| (0..8).map(|_| hit()).collect()).collect()
    }

    #[test]
    fn the_fit_finds_the_shift_and_lowers_the_error() {
        let shifted = Platt { slope: 0.8, intercept: 2.0 };
        let queries = labelled(shifted);
        let platt = fit(&queries).unwrap();
        assert!((platt.slope - 0.8).abs() < 0.25 && (platt.intercept - 2.0).abs() < 0.5, "{platt:?}");
        let (before, after) = errors(&queries, platt);
        assert!(before > 0.15 && after < 0.06, "{before} {after}");
    }

    #[test]
    fn too_few_answers_and_answers_against_the_model_are_refused() {
        let queries = labelled(Platt { slope: 1.0, intercept: 0.0 });
        assert_eq!(fit(&queries[..19]), Err(RefitError::Queries(19)));
        let wrong: Vec<LabelledHits> =
            queries.iter().map(|hits| hits.iter().map(|hit| (hit.0, false)).collect()).collect();
        assert_eq!(fit(&wrong), Err(RefitError::Hits { right: 0, wrong: 320 }));
        assert_eq!(fit(&labelled(Platt { slope: -1.0, intercept: 0.0 })), Err(RefitError::NotRising));
    }

    #[test]
    fn queries_with_a_good_match_are_counted_before_and_after_the_fit() {
        let queries: Vec<LabelledHits> =
            vec![vec![(3.0, true), (1.0, false)], vec![(0.0, false)], vec![(-1.0, true)], Vec::new()];
        let matches = |intercept| good_matches(&queries, Platt { slope: 1.0, intercept });
        assert_eq!(matches(-2.0), GoodMatches { before: 2, after: 1 });
        assert_eq!(matches(1.0), GoodMatches { before: 2, after: 3 });
    }

    #[test]
    fn the_error_is_that_computed_by_hand() {
        // Two hits in the range from 0.2, one of them right: |0.2 - 1 + 0.29| = 0.51. One from 0.9, wrong: 0.9.
        let error = calibration_error([(0.2, true), (0.29, false), (0.9, false)].into_iter());
        assert!((error - (0.51 + 0.9) / 3.0).abs() < 1e-12, "{error}");
    }
}

//! The relevance of the hits of one query.
//!
//! For a query by text, two questions are asked. Does anything in the collection fit the text? The *gate* answers this
//! from the cosine of the best hit alone, so that a text without meaning has no relevant hit. Where does the list of
//! relevant hits end? The *line* answers this from the mean and the deviation of the cosines of this text to a sample of
//! the collection. `relevance = sigmoid(min(gate, line_slope * (cosine - line)))`, so it only rises with the cosine.
//! ADR 0013 has the measurements and the choices.

use super::fit::{IMAGE_PRIOR, ImageFit, LINE_DEVIATIONS, TEXT_PRIOR, TextFit};
use super::logistic::{count, sigmoid};
use super::refit::Platt;
use super::vectors::{Spread, Vectors, dot};

/// A hit with at least this relevance is relevant.
pub const RELEVANT: f32 = 0.5;

/// The highest position of the line above the limit of the gate, as a share of the distance from `mismatch_mean` to that limit. It
/// matters in a collection of one kind of image, in which everything can be relevant.
const MAX_LINE: f64 = 0.5;
/// How much more a text must fit that is like the unrelated texts, as a share of the same distance.
const LIKENESS_PENALTY: f64 = 0.4;
const MAX_LIKENESS: f64 = 1.5;
/// The share of unrelated texts whose best hit in a collection of this size is below the limit of the gate.
const UNRELATED_QUANTILE: f64 = 0.95;

/// What is known of a collection: a sample of its vectors together with the built-in images, and the limit of the gate.
#[derive(Clone, Debug)]
pub(super) struct Background {
    vectors: Vectors,
    gate_limit: f64,
}

impl Background {
    /// Creates the background of a collection of `size` images. `vectors` has a sample of the collection.
    pub(super) fn new(fit: &TextFit, mut vectors: Vectors, images: &Vectors, unrelated: &Vectors, size: u64) -> Self {
        vectors.numbers.extend_from_slice(&images.numbers);
        let maximum = expected_maximum(size);
        let mut best: Vec<f64> = unrelated
            .iter()
            .map(|text| Spread::measure(vectors.iter().map(|image| dot(text, image))))
            .map(|spread| spread.mean + maximum * spread.deviation)
            .collect();
        best.sort_by(f64::total_cmp);
        let gate_limit = quantile(&best, UNRELATED_QUANTILE).map_or(fit.gate_limit, |limit| limit.max(fit.gate_limit));
        Self { vectors, gate_limit }
    }
}

/// Returns the expected maximum of `number` values of the standard normal distribution (the first terms of its
/// asymptotic expansion, with the Euler-Mascheroni constant).
fn expected_maximum(number: u64) -> f64 {
    const EULER_MASCHERONI: f64 = 0.577_215_664_901_532_9;
    let logarithm = count(usize::try_from(number.max(3)).unwrap_or(usize::MAX)).ln();
    let s = (2.0 * logarithm).sqrt();
    s - (logarithm.ln() + (4.0 * std::f64::consts::PI).ln()) / (2.0 * s) + EULER_MASCHERONI / s
}

/// Returns a quantile of sorted values, interpolated linearly.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the position is within the list")]
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let position = share * count(sorted.len().checked_sub(1)?);
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    Some(sorted[below] + (position - position.floor()) * (sorted[above] - sorted[below]))
}

/// Converts the cosines of one query to relevance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// `sigmoid(min(gate, slope * (cosine - line)))`.
    Curve {
        /// The upper limit, which is infinite for a query by image.
        gate: f64,
        /// How fast the relevance rises.
        slope: f64,
        /// The cosine with relevance 0.5, if the collection has no fit.
        line: f64,
        /// The fit of the collection.
        fit: Option<Platt>,
    },
    /// The model cannot tell images apart: every hit has this relevance.
    Constant(f64),
}

impl Scale {
    /// Returns the scale of a query by text; `best` is the cosine of the best hit of the whole search.
    pub(super) fn for_text(fit: &TextFit, background: &Background, query: &[f32], best: f64) -> Self {
        if !fit.usable {
            return Self::Constant(TEXT_PRIOR);
        }
        let spread = Spread::measure(background.vectors.iter().map(|image| dot(query, image)));
        let unit = background.gate_limit - fit.mismatch_mean;
        let likeness = fit
            .likeness_range
            .map_or(0.0, |range| ((dot(query, &fit.unrelated) - fit.usual_likeness) / range).clamp(0.0, MAX_LIKENESS));
        let gate = fit.gate_slope * (best - background.gate_limit - LIKENESS_PENALTY * unit * likeness);
        let line = fit.mismatch_mean
            + (spread.mean - fit.mismatch_mean)
            + LINE_DEVIATIONS * spread.deviation
            + fit.line_offset;
        Self::Curve { gate, slope: fit.line_slope, line: line.min(background.gate_limit + MAX_LINE * unit), fit: None }
    }

    /// Returns the scale of a query by image.
    pub(super) fn for_image(fit: &ImageFit) -> Self {
        if !fit.usable {
            return Self::Constant(IMAGE_PRIOR);
        }
        Self::Curve { gate: f64::INFINITY, slope: fit.slope, line: -fit.intercept / fit.slope, fit: None }
    }

    /// Returns the scale with the fit of a collection.
    pub(super) fn with_fit(self, platt: Option<Platt>) -> Self {
        match self {
            Self::Curve { gate, slope, line, .. } => Self::Curve { gate, slope, line, fit: platt },
            Self::Constant(_) => self,
        }
    }

    /// Returns the logit of the model's own relevance, without the fit of the collection. Returns `None` if the model
    /// cannot tell images apart.
    pub(crate) fn model_logit(&self, cosine: f32) -> Option<f64> {
        match *self {
            Self::Curve { gate, slope, line, .. } => Some(gate.min(slope * (f64::from(cosine) - line))),
            Self::Constant(_) => None,
        }
    }

    /// Returns the relevance of a hit with this cosine, 0 to 1.
    #[expect(clippy::cast_possible_truncation, reason = "a number from 0 to 1")]
    pub fn relevance(&self, cosine: f32) -> f32 {
        match *self {
            Self::Curve { gate, slope, line, fit } => {
                let logit = gate.min(slope * (f64::from(cosine) - line));
                sigmoid(fit.map_or(logit, |fit| fit.convert(logit))) as f32
            }
            Self::Constant(relevance) => relevance as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_maximum_is_that_of_tables() {
        // Exact values: 1.539 of 10, 2.508 of 100, 3.241 of 1,000 (Teichroew 1956).
        for (number, exact) in [(10, 1.539), (100, 2.508), (1_000, 3.241)] {
            assert!((expected_maximum(number) - exact).abs() < 0.1, "{number}: {}", expected_maximum(number));
        }
    }

    #[test]
    fn relevance_rises_with_the_cosine_up_to_the_gate() {
        let scale = Scale::Curve { gate: 1.0, slope: 40.0, line: 0.1, fit: None };
        assert!((scale.relevance(0.1) - 0.5).abs() < 1e-6);
        assert!(scale.relevance(0.09) < 0.5 && scale.relevance(0.11) > 0.5);
        assert!((scale.relevance(0.9) - 0.731).abs() < 1e-3);
        let closed = Scale::Curve { gate: -0.1, slope: 40.0, line: 0.1, fit: None };
        assert!(closed.relevance(1.0) < 0.5);
        assert!((Scale::Constant(0.2).relevance(1.0) - 0.2).abs() < 1e-6);
        let fitted = scale.with_fit(Some(Platt { slope: 2.0, intercept: 1.0 }));
        assert!((fitted.relevance(0.1) - 0.731).abs() < 1e-3, "the logit 0 becomes 1");
        assert_eq!(fitted.model_logit(0.9), Some(1.0));
    }

    #[test]
    fn quantiles_are_interpolated() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[1.0], 0.95), Some(1.0));
        assert!((quantile(&[0.0, 1.0, 2.0], 0.75).unwrap() - 1.5).abs() < 1e-12);
    }
}

//! How the cosines of one space are converted to relevance: constants that are fitted to built-in images with known
//! answers (ADR 0013). The formulas are explained in [`super::scale`].

use serde::{Deserialize, Serialize};

use super::logistic::{self, area_under_curve, count};
use super::vectors::{Spread, Vectors, dot};

/// The relevance of every hit if a model cannot tell the built-in images apart: the share of the positives in the fit.
pub(super) const TEXT_PRIOR: f64 = 0.2;
pub(super) const IMAGE_PRIOR: f64 = 0.05;
const TEXT_RIDGE: f64 = 1e-4;
const IMAGE_RIDGE: f64 = 1e-3;
/// The line of a query is at `mismatch_mean + (mean - mismatch_mean) + LINE_DEVIATIONS * sd + offset`.
pub(super) const LINE_DEVIATIONS: f64 = 1.55;
/// Smallest area under the ROC curve of a model that is of use. 500 models of random weights reached at most 0.64.
const MIN_TEXT_AUC: f64 = 0.75;
const MIN_IMAGE_AUC: f64 = 0.9;
/// Smallest area for which the likeness of a query to the unrelated texts is used.
const MIN_LIKENESS_AUC: f64 = 0.8;

/// The fit for queries by text. Names as in ADR 0013.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TextFit {
    /// Whether the model can tell the built-in images apart.
    pub(super) usable: bool,
    /// Mean cosine of an image and a text that do not belong together.
    pub(super) mismatch_mean: f64,
    /// Standard deviation of these cosines.
    pub(super) mismatch_deviation: f64,
    pub(super) gate_slope: f64,
    /// The best hit must have this cosine.
    pub(super) gate_limit: f64,
    pub(super) line_slope: f64,
    pub(super) line_offset: f64,
    /// The mean of the unrelated texts, and the products of it with a usual query, and with an unrelated text minus that.
    pub(super) unrelated: Vec<f32>,
    pub(super) usual_likeness: f64,
    pub(super) likeness_range: Option<f64>,
}

/// The fit for queries by image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ImageFit {
    pub(super) usable: bool,
    pub(super) slope: f64,
    pub(super) intercept: f64,
    /// Standard deviation of the cosines of different images.
    pub(super) mismatch_deviation: f64,
}

/// The cosine of a query and an image minus the line of the query without its offset.
fn above_line(mismatch_mean: f64, cosine: f64, spread: Spread) -> f64 {
    cosine - (mismatch_mean + (spread.mean - mismatch_mean) + LINE_DEVIATIONS * spread.deviation)
}

impl TextFit {
    /// Whether the numbers can be those of a fit.
    pub(super) fn is_valid(&self, dimension: usize) -> bool {
        let numbers = [self.mismatch_mean, self.mismatch_deviation, self.gate_slope, self.gate_limit, self.line_slope];
        let others = [self.line_offset, self.usual_likeness, self.likeness_range.unwrap_or(1.0)];
        numbers.iter().chain(&others).all(|number| number.is_finite())
            && self.unrelated.len() == dimension
            && self.unrelated.iter().all(|number| number.is_finite())
            && (!self.usable || self.gate_slope > 0.0 && self.line_slope > 0.0 && self.gate_limit > self.mismatch_mean)
            && self.likeness_range.is_none_or(|range| range > 0.0)
    }

    /// Fits to images, to queries with the numbers of the images that answer them, and to texts that fit no image.
    pub(super) fn new(images: &Vectors, queries: &Vectors, answers: &[Vec<usize>], unrelated: &Vectors) -> Self {
        let cosines = |text: &[f32]| images.iter().map(|image| dot(text, image)).collect::<Vec<f64>>();
        let known = queries.iter().zip(answers).map(|(text, answers)| (cosines(text), answers.as_slice()));
        let rows: Vec<(Vec<f64>, &[usize])> =
            known.chain(unrelated.iter().map(|text| (cosines(text), &[][..]))).collect();
        let not_related = rows.iter().take(queries.len()).flat_map(|(row, answers)| {
            row.iter().enumerate().filter(|(at, _)| !answers.contains(at)).map(|(_, cosine)| *cosine)
        });
        let Spread { mean: mismatch_mean, deviation: mismatch_deviation } = Spread::measure(not_related);
        let pairs = |value: &dyn Fn(f64, Spread) -> f64| -> Vec<(f64, bool)> {
            let pairs = rows.iter().flat_map(|(row, answers)| {
                let spread = Spread::measure(row.iter().copied());
                row.iter().enumerate().map(move |(at, cosine)| (value(*cosine, spread), answers.contains(&at)))
            });
            pairs.collect()
        };
        let absolute = pairs(&|cosine, _| cosine);
        let relative = pairs(&|cosine, spread| above_line(mismatch_mean, cosine, spread));
        let class = |class: bool| -> Vec<f64> {
            absolute.iter().filter(|(_, is)| *is == class).map(|(cosine, _)| *cosine).collect()
        };
        let area = area_under_curve(&class(true), &class(false));
        let mean = unrelated.mean();
        let likeness: Vec<f64> = queries.iter().map(|text| dot(text, &mean)).collect();
        // Each of the unrelated texts is compared with the others only.
        let number = count(unrelated.len());
        let others: Vec<f64> = unrelated
            .iter()
            .map(|text| (number * dot(text, &mean) - dot(text, text)) / (number - 1.0).max(1.0))
            .collect();
        let usual_likeness = Spread::measure(likeness.iter().copied()).mean;
        let range = Spread::measure(others.iter().copied()).mean - usual_likeness;
        let is_told_apart = area_under_curve(&others, &likeness) >= MIN_LIKENESS_AUC && range > 0.0;
        let curves = logistic::fit(&absolute, TEXT_PRIOR, TEXT_RIDGE)
            .zip(logistic::fit(&relative, TEXT_PRIOR, TEXT_RIDGE))
            .filter(|(gate, line)| {
                gate.slope > 0.0 && line.slope > 0.0 && gate.cut() > mismatch_mean && area >= MIN_TEXT_AUC
            });
        let values = |curve: Option<logistic::Curve>| curve.map_or((0.0, 0.0), |curve| (curve.slope, curve.cut()));
        let ((gate_slope, gate_limit), (line_slope, line_offset)) =
            (values(curves.map(|(gate, _)| gate)), values(curves.map(|(_, line)| line)));
        Self {
            usable: curves.is_some(),
            mismatch_mean,
            mismatch_deviation,
            gate_slope,
            gate_limit,
            line_slope,
            line_offset,
            unrelated: mean,
            usual_likeness,
            likeness_range: is_told_apart.then_some(range),
        }
    }
}

impl ImageFit {
    /// Whether the numbers can be those of a fit.
    pub(super) fn is_valid(&self) -> bool {
        [self.slope, self.intercept, self.mismatch_deviation].iter().all(|number| number.is_finite())
            && (!self.usable || self.slope > 0.0)
    }

    /// Fits to images and to changed copies of them, each with the number of its image.
    pub(super) fn new(images: &Vectors, copies: &Vectors, originals: &[usize]) -> Self {
        let pairs: Vec<(f64, bool)> = copies
            .iter()
            .zip(originals)
            .flat_map(|(copy, original)| {
                images.iter().enumerate().map(move |(at, image)| (dot(copy, image), at == *original))
            })
            .collect();
        let class =
            |class: bool| -> Vec<f64> { pairs.iter().filter(|(_, is)| *is == class).map(|(c, _)| *c).collect() };
        let area = area_under_curve(&class(true), &class(false));
        let different = images
            .iter()
            .enumerate()
            .flat_map(|(at, image)| images.iter().take(at).map(move |other| dot(image, other)));
        let mismatch_deviation = Spread::measure(different).deviation;
        let curve = logistic::fit(&pairs, IMAGE_PRIOR, IMAGE_RIDGE).filter(|curve| curve.slope > 0.0);
        match curve.filter(|_| area >= MIN_IMAGE_AUC) {
            Some(curve) => Self { usable: true, slope: curve.slope, intercept: curve.intercept, mismatch_deviation },
            None => Self { usable: false, slope: 0.0, intercept: 0.0, mismatch_deviation },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random vectors of unit length, the same for each `seed`, around a common direction.
    fn random(count: usize, dimension: usize, seed: u64, common: f32) -> Vectors {
        let mut state = seed;
        let mut number = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f32::from(u16::try_from(state >> 48).unwrap()) / 65_535.0 - 0.5
        };
        let mut vectors = Vectors::new(dimension);
        for _ in 0..count {
            let raw: Vec<f32> = (0..dimension).map(|_| number() + common).collect();
            let length = raw.iter().map(|number| number * number).sum::<f32>().sqrt();
            vectors.push(&raw.iter().map(|number| number / length).collect::<Vec<_>>());
        }
        vectors
    }

    #[test]
    fn a_model_of_random_weights_is_not_usable() {
        for seed in 1..40_u64 {
            let common = if seed % 2 == 0 { 0.3 } else { 0.0 };
            let vectors = |count, salt: u64| random(count, 64, seed * 10 + salt, common);
            let (images, queries, unrelated) = (vectors(26, 1), vectors(49, 2), vectors(40, 3));
            let answers: Vec<_> = (0..49).map(|query| vec![query % 26]).collect();
            assert!(!TextFit::new(&images, &queries, &answers, &unrelated).usable, "{seed}");
            let originals: Vec<_> = (0..130).map(|copy| copy / 5).collect();
            assert!(!ImageFit::new(&images, &vectors(130, 4), &originals).usable, "{seed}");
        }
    }

    #[test]
    fn a_model_that_tells_images_apart_is_usable() {
        let images = random(26, 64, 7, 0.0);
        // Each query is its image with noise of the same length.
        let noise = random(26, 64, 8, 0.0);
        let mut queries = Vectors::new(64);
        for (image, noise) in images.iter().zip(noise.iter()) {
            let sum: Vec<f32> = image.iter().zip(noise).map(|(a, b)| (a + b) / std::f32::consts::SQRT_2).collect();
            queries.push(&sum);
        }
        let answers: Vec<_> = (0..26).map(|query| vec![query]).collect();
        let fit = TextFit::new(&images, &queries, &answers, &random(40, 64, 9, 0.0));
        assert!(fit.usable && (0.2..0.7).contains(&fit.gate_limit), "{fit:?}");
        let image = ImageFit::new(&images, &queries, &(0..26).collect::<Vec<_>>());
        assert!(image.usable, "{image:?}");
    }
}

//! How the cosines of one space are converted to relevance: constants that are fitted to built-in images with known
//! answers (ADR 0013). The formulas are explained in [`super::scale`].

use serde::{Deserialize, Serialize};

use super::logistic::{self, area_under_curve, count};

/// The relevance of every hit if a model cannot tell the built-in images apart: the share of the positives in the fit.
pub(super) const TEXT_PRIOR: f64 = 0.2;
pub(super) const IMAGE_PRIOR: f64 = 0.05;
const TEXT_RIDGE: f64 = 1e-4;
const IMAGE_RIDGE: f64 = 1e-3;
/// The line of a query is at `c0 + (mean - c0) + LINE_DEVIATIONS * sd + offset`.
pub(super) const LINE_DEVIATIONS: f64 = 1.45;
/// Smallest area under the ROC curve of a model that is of use. 500 models of random weights reached at most 0.64.
const MIN_TEXT_AUC: f64 = 0.75;
const MIN_IMAGE_AUC: f64 = 0.9;
/// Smallest area for which the likeness of a query to the unrelated texts is used.
const MIN_LIKENESS_AUC: f64 = 0.8;

/// Vectors of unit length, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Vectors {
    pub(super) dimension: usize,
    pub(super) numbers: Vec<f32>,
}

impl Vectors {
    pub(super) fn new(dimension: usize) -> Self {
        Self { dimension, numbers: Vec::new() }
    }

    pub(super) fn push(&mut self, vector: &[f32]) {
        self.numbers.extend_from_slice(vector);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> + Clone {
        self.numbers.chunks_exact(self.dimension.max(1))
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len() / self.dimension.max(1)
    }

    /// Returns the sum of the vectors divided by their number.
    fn mean(&self) -> Vec<f32> {
        let mut sum = vec![0.0_f32; self.dimension];
        for vector in self.iter() {
            sum.iter_mut().zip(vector).for_each(|(sum, number)| *sum += number);
        }
        #[expect(clippy::cast_precision_loss, reason = "there are less than a thousand")]
        let number = self.len().max(1) as f32;
        for sum in &mut sum {
            *sum /= number;
        }
        sum
    }
}

/// Returns the scalar product: the cosine of two vectors of unit length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>())
}

/// Mean and standard deviation (with n - 1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl Spread {
    pub(super) fn measure(values: impl Iterator<Item = f64> + Clone) -> Self {
        let number = count(values.clone().count()).max(1.0);
        let mean = values.clone().sum::<f64>() / number;
        let squares = values.map(|value| (value - mean).powi(2)).sum::<f64>();
        Self { mean, deviation: (squares / (number - 1.0).max(1.0)).sqrt() }
    }
}

/// The fit for queries by text. Names as in ADR 0013.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TextFit {
    /// Whether the model can tell the built-in images apart.
    pub(super) usable: bool,
    /// Mean cosine of an image and a text that do not belong together.
    pub(super) c0: f64,
    pub(super) gate_slope: f64,
    /// The best hit must have this cosine.
    pub(super) theta: f64,
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
}

/// The cosine of a query and an image minus the line of the query without its offset.
fn above_line(c0: f64, cosine: f64, spread: Spread) -> f64 {
    cosine - (c0 + (spread.mean - c0) + LINE_DEVIATIONS * spread.deviation)
}

impl TextFit {
    /// Fits to images, to queries with the numbers of the images that answer them, and to texts that fit no image.
    pub(super) fn new(images: &Vectors, queries: &Vectors, answers: &[Vec<usize>], unrelated: &Vectors) -> Self {
        let cosines = |text: &[f32]| images.iter().map(|image| dot(text, image)).collect::<Vec<f64>>();
        let known = queries.iter().zip(answers).map(|(text, answers)| (cosines(text), answers.as_slice()));
        let rows: Vec<(Vec<f64>, &[usize])> =
            known.chain(unrelated.iter().map(|text| (cosines(text), &[][..]))).collect();
        let not_related = rows.iter().take(queries.len()).flat_map(|(row, answers)| {
            row.iter().enumerate().filter(|(at, _)| !answers.contains(at)).map(|(_, cosine)| *cosine)
        });
        let c0 = Spread::measure(not_related).mean;
        let pairs = |value: &dyn Fn(f64, Spread) -> f64| -> Vec<(f64, bool)> {
            let pairs = rows.iter().flat_map(|(row, answers)| {
                let spread = Spread::measure(row.iter().copied());
                row.iter().enumerate().map(move |(at, cosine)| (value(*cosine, spread), answers.contains(&at)))
            });
            pairs.collect()
        };
        let absolute = pairs(&|cosine, _| cosine);
        let relative = pairs(&|cosine, spread| above_line(c0, cosine, spread));
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
            .filter(|(gate, line)| gate.slope > 0.0 && line.slope > 0.0 && gate.cut() > c0 && area >= MIN_TEXT_AUC);
        let values = |curve: Option<logistic::Curve>| curve.map_or((0.0, 0.0), |curve| (curve.slope, curve.cut()));
        let ((gate_slope, theta), (line_slope, line_offset)) =
            (values(curves.map(|(gate, _)| gate)), values(curves.map(|(_, line)| line)));
        Self {
            usable: curves.is_some(),
            c0,
            gate_slope,
            theta,
            line_slope,
            line_offset,
            unrelated: mean,
            usual_likeness,
            likeness_range: is_told_apart.then_some(range),
        }
    }
}

impl ImageFit {
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
        let curve = logistic::fit(&pairs, IMAGE_PRIOR, IMAGE_RIDGE).filter(|curve| curve.slope > 0.0);
        match curve.filter(|_| area >= MIN_IMAGE_AUC) {
            Some(curve) => Self { usable: true, slope: curve.slope, intercept: curve.intercept },
            None => Self { usable: false, slope: 0.0, intercept: 0.0 },
        }
    }
}

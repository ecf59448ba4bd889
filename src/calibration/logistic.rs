//! Logistic regression of one feature, and the area under the ROC curve.

/// `P(true | x) = 1 / (1 + exp(-(slope * x + intercept)))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

impl Curve {
    /// Returns the value with the probability 0.5.
    pub(super) fn cut(self) -> f64 {
        -self.intercept / self.slope
    }
}

/// Returns `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x.clamp(-40.0, 40.0)).exp())
}

/// Fits the curve to pairs of a value and its class. All pairs of the class `true` together have the weight `prior`, all
/// others `1 - prior`. `ridge` is the L2 penalty on the slope of the standardised value: without it, classes that do not
/// overlap would have an endless slope. Returns `None` if a class is missing, or all values are the same.
///
/// Newton's method on the weighted log loss (Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, 4.4.1),
/// with steps of at most [`MAX_STEP`].
pub(super) fn fit(pairs: &[(f64, bool)], prior: f64, ridge: f64) -> Option<Curve> {
    let positives = count(pairs.iter().filter(|(_, class)| *class).count());
    let negatives = count(pairs.len()) - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let weight = |class: bool| if class { prior / positives } else { (1.0 - prior) / negatives };
    let mean: f64 = pairs.iter().map(|(x, class)| weight(*class) * x).sum();
    let variance: f64 = pairs.iter().map(|(x, class)| weight(*class) * (x - mean).powi(2)).sum();
    let deviation = variance.sqrt();
    if !deviation.is_finite() || deviation < 1e-9 {
        return None;
    }
    let (mut a, mut b) = (0.0, 0.0);
    for _ in 0..MAX_STEPS {
        let (mut gradient_a, mut gradient_b) = (ridge * a, 0.0);
        let (mut h_aa, mut h_ab, mut h_bb) = (ridge, 0.0, 1e-15);
        for (x, class) in pairs {
            let z = (x - mean) / deviation;
            let p = sigmoid(a * z + b);
            let residual = weight(*class) * (p - if *class { 1.0 } else { 0.0 });
            let curvature = weight(*class) * p * (1.0 - p);
            gradient_a += residual * z;
            gradient_b += residual;
            h_aa += curvature * z * z;
            h_ab += curvature * z;
            h_bb += curvature;
        }
        let determinant = h_aa * h_bb - h_ab * h_ab;
        let step_a = (h_bb * gradient_a - h_ab * gradient_b) / determinant;
        let step_b = (h_aa * gradient_b - h_ab * gradient_a) / determinant;
        let length = step_a.abs().max(step_b.abs());
        if !length.is_finite() {
            return None;
        }
        let scale = if length > MAX_STEP { MAX_STEP / length } else { 1.0 };
        a -= scale * step_a;
        b -= scale * step_b;
        if length < 1e-9 {
            break;
        }
    }
    Some(Curve { slope: a / deviation, intercept: b - a * mean / deviation })
}

const MAX_STEPS: usize = 100;
const MAX_STEP: f64 = 5.0;

/// Returns the probability that a value of `positives` is larger than one of `negatives`; equal values count half.
pub(super) fn area_under_curve(positives: &[f64], negatives: &[f64]) -> f64 {
    let mut sorted = negatives.to_vec();
    sorted.sort_by(f64::total_cmp);
    let smaller = |value: f64| {
        let below = sorted.partition_point(|other| *other < value);
        let at_most = sorted.partition_point(|other| *other <= value);
        count(below + at_most) / 2.0
    };
    positives.iter().map(|value| smaller(*value)).sum::<f64>() / count(positives.len() * negatives.len())
}

/// Converts a count.
#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 pairs")]
pub(super) fn count(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_lies_between_the_classes_and_moves_with_the_prior() {
        let pairs: Vec<(f64, bool)> = (0..100).map(|n| (f64::from(n) / 100.0, n >= 40)).collect();
        let even = fit(&pairs, 0.5, 1e-4).unwrap();
        assert!((even.cut() - 0.395).abs() < 0.02 && even.slope > 0.0, "{even:?}");
        assert!(fit(&pairs, 0.01, 1e-2).unwrap().cut() > fit(&pairs, 0.99, 1e-2).unwrap().cut());
        let falling: Vec<_> = pairs.iter().map(|(x, class)| (*x, !class)).collect();
        assert!(fit(&falling, 0.5, 1e-4).unwrap().slope < 0.0);
        assert_eq!(fit(&[(1.0, true), (2.0, true)], 0.5, 1e-4), None);
        assert_eq!(fit(&[(1.0, true), (1.0, false)], 0.5, 1e-4), None);
        assert_eq!(fit(&[(f64::NAN, true), (1.0, false)], 0.5, 1e-4), None);
    }

    #[test]
    fn the_probabilities_are_those_of_a_known_solution() {
        // Without a penalty and with equal weights, the fit of two values with frequencies f0 and f1 returns them.
        let repeat = |x: f64, yes: usize, no: usize| {
            std::iter::repeat_n((x, true), yes).chain(std::iter::repeat_n((x, false), no)).collect::<Vec<_>>()
        };
        let pairs = [repeat(0.0, 20, 80), repeat(1.0, 80, 20)].concat();
        let curve = fit(&pairs, 0.5, 0.0).unwrap();
        assert!((sigmoid(curve.intercept) - 0.2).abs() < 1e-6);
        assert!((sigmoid(curve.slope + curve.intercept) - 0.8).abs() < 1e-6);
    }

    #[test]
    fn the_area_counts_ties_half() {
        assert!((area_under_curve(&[2.0, 3.0], &[1.0, 0.0]) - 1.0).abs() < 1e-12);
        assert!((area_under_curve(&[1.0], &[1.0]) - 0.5).abs() < 1e-12);
        assert!((area_under_curve(&[1.0, 3.0], &[2.0]) - 0.5).abs() < 1e-12);
    }
}

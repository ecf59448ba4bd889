//! The confidence of a mean difference: a paired bootstrap over queries (Efron, Tibshirani 1993: An introduction to the
//! bootstrap, 13.3; Sakai 2006 for measures of retrieval).

use super::measure::float;

/// Number of samples of the queries.
pub(super) const RESAMPLES: usize = 2_000;
/// The share of the samples outside of the interval, at each side.
const TAIL: f64 = 0.025;

/// Returns the 95 % interval of the mean of `differences`: the percentiles of the means of samples of as many queries,
/// drawn with replacement. The same input has the same result.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position within the list")]
pub(super) fn interval(differences: &[f64]) -> (f64, f64) {
    let Ok(number) = u64::try_from(differences.len()) else { return (0.0, 0.0) };
    if number == 0 {
        return (0.0, 0.0);
    }
    let mut random = SplitMix(0x5DEE_CE66);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = (0..number).map(|_| differences[random.below(number)]).sum();
            sum / float(differences.len())
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let last = float(means.len() - 1);
    (means[(TAIL * last).floor() as usize], means[((1.0 - TAIL) * last).ceil() as usize])
}

/// The generator of Steele, Lea, Flood 2014: Fast splittable pseudorandom number generators.
struct SplitMix(u64);

impl SplitMix {
    /// Returns a number below `limit`.
    #[expect(clippy::cast_possible_truncation, reason = "the result is below the limit, which is a length")]
    fn below(&mut self, limit: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u128::from(mixed ^ (mixed >> 31)) * u128::from(limit)) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_near_that_of_the_normal_distribution() {
        // 400 differences with mean 0.1 and standard deviation 0.5: 0.1 +- 1.96 * 0.5 / 20.
        let differences: Vec<f64> = (0..400).map(|n| if n % 2 == 0 { 0.6 } else { -0.4 }).collect();
        let (low, high) = interval(&differences);
        assert!((low - 0.051).abs() < 0.01 && (high - 0.149).abs() < 0.01, "{low} {high}");
        assert_eq!(interval(&differences), (low, high));
    }

    #[test]
    fn equal_differences_have_no_spread() {
        assert_eq!(interval(&[]), (0.0, 0.0));
        assert_eq!(interval(&[0.0; 30]), (0.0, 0.0));
        assert_eq!(interval(&[0.25]), (0.25, 0.25));
    }
}

//! A fixed random rotation. The numbers of a rotated vector have similar sizes, whatever model the vector is from, so two
//! bits describe each of them equally well.
//!
//! Random signs and a fast Hadamard transform, three times. If the length is not a power of two, the transform is applied
//! to the first numbers and then to the last ones, as many as the greatest power of two. Each step is orthogonal.

#![expect(unsafe_code, reason = "the compiler cannot check the features of the CPU")]

const ROUNDS: usize = 3;

/// A rotation of vectors of one length.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// For each round, the signs before the first and before the second transform.
    signs: Vec<f32>,
    length: usize,
    /// The greatest power of two that is not above the length.
    width: usize,
}

impl Rotation {
    pub(crate) fn new(length: usize) -> Self {
        // The seed must not change: codes on disks were made with it.
        let mut state = 0x5eed_0f91_1395_u64;
        let signs = (0..2 * ROUNDS * length).map(|_| if split_mix(&mut state) & 1 == 0 { 1.0 } else { -1.0 }).collect();
        Self { signs, length, width: 1 << length.ilog2() }
    }

    /// Returns the rotated vector.
    pub(crate) fn rotated(&self, vector: &[f32]) -> Vec<f32> {
        let mut values = vector.to_vec();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has the feature, as checked one line above.
            unsafe { self.rotate_avx2(&mut values) };
            return values;
        }
        self.rotate(&mut values);
        values
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn rotate_avx2(&self, values: &mut [f32]) {
        self.rotate(values);
    }

    /// Rotates a vector in place. Always inlined, so that it is compiled with the CPU features of its caller: all give the same
    /// numbers.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a function that is called has the features of the baseline")]
    fn rotate(&self, values: &mut [f32]) {
        for signs in self.signs.chunks_exact(2 * self.length) {
            let (first, second) = signs.split_at(self.length);
            flip(values, first);
            transform(&mut values[..self.width]);
            if self.width < self.length {
                flip(values, second);
                transform(&mut values[self.length - self.width..]);
            }
        }
    }
}

/// Returns the next number of the generator SplitMix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn flip(values: &mut [f32], signs: &[f32]) {
    for (value, sign) in values.iter_mut().zip(signs) {
        *value *= sign;
    }
}

/// The Hadamard transform of as many numbers as a power of two, scaled so that it is orthogonal.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn transform(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (a, b) = pair.split_at_mut(half);
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
    let scale = 1.0 / (values.len() as f32).sqrt();
    for value in values {
        *value *= scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_keeps_products_and_spreads_single_numbers() {
        for length in [64, 512, 768, 1152] {
            let rotation = Rotation::new(length);
            let mut one = vec![0.0; length];
            one[3] = 1.0;
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let mut other: Vec<f32> = (0..length).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
            let before: f32 = other[3];
            let norm: f32 = other.iter().map(|x| x * x).sum();
            let mut plain = other.clone();
            rotation.rotate(&mut plain);
            (one, other) = (rotation.rotated(&one), rotation.rotated(&other));
            assert_eq!(other, plain, "{length}: the numbers depend on the CPU");
            let product: f32 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
            assert!((product - before).abs() < 1e-2, "{length}: {product} instead of {before}");
            let rotated: f32 = other.iter().map(|x| x * x).sum();
            assert!((rotated / norm - 1.0).abs() < 1e-4, "{length}: {rotated} instead of {norm}");
            let greatest = one.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
            assert!(greatest < 0.35, "{length}: {greatest}");
        }
    }
}

//! Registers as arrays, for other architectures. The compiler may vectorise the loops.

#![expect(clippy::inline_always, reason = "a call costs more than the function")]

use super::Register;
use crate::Clip;

#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Register for Portable {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        Self([values[0], values[1], values[2], values[3]])
    }

    #[inline(always)]
    fn store(self, target: &mut [f32]) {
        target[..4].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn add(self, values: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, values.0);
        Self([a + e, b + f, c + g, d + h])
    }

    #[inline(always)]
    fn add_product(self, values: Self, weights: Self) -> Self {
        let mut sums = self.0;
        for at in 0..4 {
            sums[at] += values.0[at] * weights.0[at];
        }
        Self(sums)
    }

    #[inline(always)]
    fn even(self, after: Self) -> Self {
        let ([a, _, b, _], [c, _, d, _]) = (self.0, after.0);
        Self([a, b, c, d])
    }

    #[inline(always)]
    fn limit(self, clip: Clip) -> Self {
        let [a, b, c, d] = self.0;
        Self([clip.limit(a), clip.limit(b), clip.limit(c), clip.limit(d)])
    }
}

//! Registers of SSE2, which every x86-64 CPU has.

#![expect(unsafe_code, reason = "ADR 0019: the compiler cannot check the features of the CPU")]
#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use std::arch::x86_64::{
    __m128, _mm_add_ps, _mm_loadu_ps, _mm_max_ps, _mm_min_ps, _mm_mul_ps, _mm_set1_ps, _mm_shuffle_ps, _mm_storeu_ps,
};

use super::Register;
use crate::Clip;

#[derive(Clone, Copy)]
pub(crate) struct Sse2(__m128);

// SAFETY of all: the CPU has these instructions, and each access is within a slice of that length.
impl Register for Sse2 {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { _mm_set1_ps(value) })
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        Self(unsafe { _mm_loadu_ps(values[..Self::LANES].as_ptr()) })
    }

    #[inline(always)]
    fn store(self, target: &mut [f32]) {
        unsafe { _mm_storeu_ps(target[..Self::LANES].as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn add(self, values: Self) -> Self {
        Self(unsafe { _mm_add_ps(self.0, values.0) })
    }

    /// Without a fused multiply-add, which needs an instruction that not every CPU has.
    #[inline(always)]
    fn add_product(self, values: Self, weights: Self) -> Self {
        Self(unsafe { _mm_add_ps(self.0, _mm_mul_ps(values.0, weights.0)) })
    }

    #[inline(always)]
    fn even(self, after: Self) -> Self {
        Self(unsafe { _mm_shuffle_ps::<0b10_00_10_00>(self.0, after.0) })
    }

    #[inline(always)]
    fn limit(self, clip: Clip) -> Self {
        unsafe {
            // The second value is returned if one is not a number.
            let value = _mm_max_ps(_mm_set1_ps(clip.min), self.0);
            Self(_mm_min_ps(_mm_set1_ps(clip.max), value))
        }
    }
}

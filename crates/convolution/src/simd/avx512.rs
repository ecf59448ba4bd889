//! Registers of AVX-512.

#![expect(unsafe_code, reason = "ADR 0019: the compiler cannot check the features of the CPU")]
#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_max_ps, _mm512_min_ps, _mm512_permutex2var_ps, _mm512_set1_ps, _mm512_setr_epi32, _mm512_storeu_ps,
};

use super::Register;
use crate::Clip;

#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

// SAFETY of all: only `Simd::run` uses this type, after the CPU was asked, and each access is within a slice of that length.
impl Register for Avx512 {
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        Self(unsafe { _mm512_loadu_ps(values[..Self::LANES].as_ptr()) })
    }

    #[inline(always)]
    fn load_part(values: &[f32]) -> Self {
        Self(unsafe { _mm512_maskz_loadu_ps(mask(values.len()), values.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, target: &mut [f32]) {
        unsafe { _mm512_storeu_ps(target[..Self::LANES].as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn store_part(self, target: &mut [f32]) {
        unsafe { _mm512_mask_storeu_ps(target.as_mut_ptr(), mask(target.len()), self.0) }
    }

    #[inline(always)]
    fn add(self, values: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, values.0) })
    }

    #[inline(always)]
    fn add_product(self, values: Self, weights: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(values.0, weights.0, self.0) })
    }

    #[inline(always)]
    fn even(self, after: Self) -> Self {
        unsafe {
            let places = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            Self(_mm512_permutex2var_ps(self.0, places, after.0))
        }
    }

    #[inline(always)]
    fn limit(self, clip: Clip) -> Self {
        unsafe {
            // The second value is returned if one is not a number.
            let value = _mm512_max_ps(_mm512_set1_ps(clip.min), self.0);
            Self(_mm512_min_ps(_mm512_set1_ps(clip.max), value))
        }
    }
}

/// Returns a bit for each of `count` lanes.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    if count < 16 { (1 << count) - 1 } else { u16::MAX }
}

//! Registers of AVX2.

#![expect(unsafe_code, reason = "ADR 0019: the compiler cannot check the features of the CPU")]
#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_castps_pd, _mm_cvtss_f32, _mm_movehl_ps, _mm_storel_pd, _mm_storeu_ps, _mm256_add_ps,
    _mm256_castpd_ps, _mm256_castps_pd, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_loadu_si256, _mm256_maskload_ps, _mm256_max_ps, _mm256_min_ps, _mm256_permute4x64_pd,
    _mm256_set1_ps, _mm256_shuffle_ps, _mm256_storeu_ps,
};

use super::Register;
use crate::Clip;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256);

// SAFETY of all: as above.
impl Register for Avx2 {
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        Self(unsafe { _mm256_loadu_ps(values[..Self::LANES].as_ptr()) })
    }

    #[inline(always)]
    fn load_part(values: &[f32]) -> Self {
        Self(unsafe { _mm256_maskload_ps(values.as_ptr(), lanes(values.len())) })
    }

    #[inline(always)]
    fn store(self, target: &mut [f32]) {
        unsafe { _mm256_storeu_ps(target[..Self::LANES].as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn store_part(self, target: &mut [f32]) {
        if target.len() == Self::LANES {
            return self.store(target);
        }
        // Not the store with a mask, which takes dozens of cycles on some CPUs.
        let mut half = unsafe { _mm256_castps256_ps128(self.0) };
        let mut target = target;
        if target.len() >= 4 {
            let (first, rest) = target.split_at_mut(4);
            unsafe { _mm_storeu_ps(first.as_mut_ptr(), half) };
            half = unsafe { _mm256_extractf128_ps::<1>(self.0) };
            target = rest;
        }
        if target.len() >= 2 {
            let (first, rest) = target.split_at_mut(2);
            unsafe { _mm_storel_pd(first.as_mut_ptr().cast(), _mm_castps_pd(half)) };
            half = unsafe { _mm_movehl_ps(half, half) };
            target = rest;
        }
        if let [last] = target {
            *last = unsafe { _mm_cvtss_f32(half) };
        }
    }

    #[inline(always)]
    fn add(self, values: Self) -> Self {
        Self(unsafe { _mm256_add_ps(self.0, values.0) })
    }

    #[inline(always)]
    fn add_product(self, values: Self, weights: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(values.0, weights.0, self.0) })
    }

    #[inline(always)]
    fn even(self, after: Self) -> Self {
        unsafe {
            // Pairs of both registers in turns, which are then put in order.
            let pairs = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(self.0, after.0));
            Self(_mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(pairs)))
        }
    }

    #[inline(always)]
    fn limit(self, clip: Clip) -> Self {
        unsafe {
            let value = _mm256_max_ps(_mm256_set1_ps(clip.min), self.0);
            Self(_mm256_min_ps(_mm256_set1_ps(clip.max), value))
        }
    }
}

/// Returns ones in each of the first `count` lanes.
#[inline(always)]
fn lanes(count: usize) -> __m256i {
    let ones = [[-1; 8], [0; 8]];
    let first = 8 - count.min(8);
    // SAFETY: these eight values are in the array. The CPU has AVX2, as above.
    unsafe { _mm256_loadu_si256(ones.as_flattened()[first..][..8].as_ptr().cast()) }
}

//! Registers of NEON, which every 64-bit ARM CPU has.

#![expect(unsafe_code, reason = "ADR 0019: the compiler cannot check the features of the CPU")]
#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vmaxq_f32, vminq_f32, vst1q_f32, vuzp1q_f32,
};

use super::Register;
use crate::Clip;

#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

// SAFETY of all: the CPU has these instructions, and each access is within a slice of that length.
impl Register for Neon {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        Self(unsafe { vld1q_f32(values[..Self::LANES].as_ptr()) })
    }

    #[inline(always)]
    fn store(self, target: &mut [f32]) {
        unsafe { vst1q_f32(target[..Self::LANES].as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn add(self, values: Self) -> Self {
        Self(unsafe { vaddq_f32(self.0, values.0) })
    }

    #[inline(always)]
    fn add_product(self, values: Self, weights: Self) -> Self {
        Self(unsafe { vfmaq_f32(self.0, values.0, weights.0) })
    }

    #[inline(always)]
    fn even(self, after: Self) -> Self {
        Self(unsafe { vuzp1q_f32(self.0, after.0) })
    }

    #[inline(always)]
    fn limit(self, clip: Clip) -> Self {
        Self(unsafe { vminq_f32(vmaxq_f32(self.0, vdupq_n_f32(clip.min)), vdupq_n_f32(clip.max)) })
    }
}

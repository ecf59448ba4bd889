//! Instruction sets: the same loops are compiled for each of them, with registers of its own.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "ADR 0019: the compiler cannot check the features of the CPU")
)]
#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(target_arch = "x86_64")]
use self::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use self::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use self::neon::Neon as Baseline;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use self::portable::Portable as Baseline;
#[cfg(target_arch = "x86_64")]
use self::sse2::Sse2 as Baseline;
use crate::Clip;

/// Lanes of the widest registers.
pub(crate) const MAX_LANES: usize = 16;

/// An instruction set of this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every CPU of the architecture has: SSE2 or NEON.
    Baseline,
}

/// Loops that are compiled for each instruction set.
pub(crate) trait Operation {
    /// Must be inlined, as everything that it calls: a function that is not inlined is compiled for the baseline.
    fn run<R: Register>(self);
}

/// Some values in a register. The instructions of a register may only be used in an [`Operation`].
pub(crate) trait Register: Copy {
    /// Number of values.
    const LANES: usize;

    /// Returns `LANES` times the same value.
    fn splat(value: f32) -> Self;

    /// Returns the first values of a slice. Panics if there are fewer than `LANES`.
    fn load(values: &[f32]) -> Self;

    /// Returns up to `LANES` values, and zeros after them.
    #[inline(always)]
    fn load_part(values: &[f32]) -> Self {
        let mut part = [0.0; MAX_LANES];
        for (place, value) in part[..Self::LANES].iter_mut().zip(values) {
            *place = *value;
        }
        Self::load(&part)
    }

    /// Writes to the start of a slice. Panics if it has fewer than `LANES` values.
    fn store(self, target: &mut [f32]);

    /// Writes the first values to a slice of at most `LANES`.
    #[inline(always)]
    fn store_part(self, target: &mut [f32]) {
        let mut part = [0.0; MAX_LANES];
        self.store(&mut part);
        for (place, value) in target.iter_mut().zip(part) {
            *place = value;
        }
    }

    /// Returns `self + values`.
    fn add(self, values: Self) -> Self;

    /// Returns `self + values * weights`.
    fn add_product(self, values: Self, weights: Self) -> Self;

    /// Returns every second value of `self` and `after`, from the first one.
    fn even(self, after: Self) -> Self;

    /// Returns the values within limits.
    fn limit(self, clip: Clip) -> Self;
}

impl Simd {
    /// Returns all sets that this CPU has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let sets = {
            let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = fma && is_x86_feature_detected!("avx512f");
            [avx512.then_some(Set::Avx512), fma.then_some(Set::Avx2), Some(Set::Baseline)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let sets = [Some(Set::Baseline)];
        sets.into_iter().flatten().map(Self)
    }

    /// Returns the fastest set that this CPU has.
    #[must_use]
    pub fn fastest() -> Self {
        Self::available().next().unwrap_or(Self(Set::Baseline))
    }

    /// Returns the number of values in a register.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => Avx2::LANES,
            Set::Baseline => Baseline::LANES,
        }
    }

    /// Returns how many panels of a dense convolution are multiplied at once: AVX-512 has registers for the sums of two.
    pub(crate) fn panels(self) -> usize {
        if self.lanes() == MAX_LANES { 2 } else { 1 }
    }

    pub(crate) fn run(self, operation: impl Operation) {
        match self.0 {
            // SAFETY: a `Simd` is only made of sets that the CPU has.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512(operation) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2(operation) },
            Set::Baseline => operation.run::<Baseline>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn avx512(operation: impl Operation) {
    operation.run::<Avx512>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(operation: impl Operation) {
    operation.run::<Avx2>();
}

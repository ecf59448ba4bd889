//! Instruction sets: the same loops are compiled for each of them, and the compiler vectorises them.

#![expect(unsafe_code, reason = "ADR 0019: the compiler cannot check the features of the CPU")]

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
    /// `LANES` is the number of values in a register, `FUSED` whether there is a fused multiply-add.
    fn run<const LANES: usize, const FUSED: bool>(self);
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
            Set::Avx512 => MAX_LANES,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => 8,
            Set::Baseline => 4,
        }
    }

    pub(crate) fn run(self, operation: impl Operation) {
        match self.0 {
            // SAFETY: a `Simd` is only made of sets that the CPU has.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512(operation) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2(operation) },
            // On x86-64, a fused multiply-add without its instruction is a slow function.
            Set::Baseline => operation.run::<4, { cfg!(target_arch = "aarch64") }>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn avx512(operation: impl Operation) {
    operation.run::<MAX_LANES, true>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(operation: impl Operation) {
    operation.run::<8, true>();
}

/// Returns `sums + values * weight`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]
pub(crate) fn add_product<const LANES: usize, const FUSED: bool>(
    mut sums: [f32; LANES],
    values: &[f32; LANES],
    weight: f32,
) -> [f32; LANES] {
    for at in 0..LANES {
        sums[at] = if FUSED { values[at].mul_add(weight, sums[at]) } else { sums[at] + values[at] * weight };
    }
    sums
}

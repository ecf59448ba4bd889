//! Limits of values.

/// Limits of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// The least value.
    pub min: f32,
    /// The greatest value.
    pub max: f32,
}

impl Clip {
    /// No limits.
    pub const NONE: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };

    /// Not `f32::clamp`, which the compiler does not vectorise as well.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]
    pub(crate) fn limit(self, value: f32) -> f32 {
        let value = if value < self.min { self.min } else { value };
        if value > self.max { self.max } else { value }
    }
}

//! A vector that may be compared: finite, of unit length, of the size that was asked for.

use std::sync::Arc;

/// A finite vector of unit length. There is no other way to make one than [`Embedding::normalised`].
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Arc<[f32]>);

/// Why a list of numbers is no embedding. Both stores take such vectors without a word, so this is
/// where they are stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmbedding {
    /// Another size than the model's.
    #[error("the vector has {actual} numbers, {expected} were expected")]
    WrongSize {
        /// The model's size.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// A NaN or an infinity.
    #[error("the vector holds a number that is not finite, at place {0}")]
    NotFinite(usize),
    /// All zero: it has no direction.
    #[error("the vector is all zeros")]
    Zero,
}

impl Embedding {
    /// Checks `raw` and scales it to unit length.
    ///
    /// # Errors
    /// [`InvalidEmbedding`]: wrong size, a number that is not finite, or no length at all.
    pub fn normalised(mut raw: Vec<f32>, expected: usize) -> Result<Self, InvalidEmbedding> {
        if raw.len() != expected {
            return Err(InvalidEmbedding::WrongSize { expected, actual: raw.len() });
        }
        if let Some(place) = raw.iter().position(|value| !value.is_finite()) {
            return Err(InvalidEmbedding::NotFinite(place));
        }
        // f64: the square of a large f32 overflows f32.
        let length = raw.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
        if length < f64::from(f32::MIN_POSITIVE) {
            return Err(InvalidEmbedding::Zero);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the quotient lies in -1..=1")]
        for value in &mut raw {
            *value = (f64::from(*value) / length) as f32;
        }
        Ok(Self(raw.into()))
    }

    /// The numbers; their squares add up to 1.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// How many numbers.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// Cosine of the angle between two embeddings of one size, -1 to 1.
    pub fn cosine(&self, other: &Self) -> f32 {
        self.0.iter().zip(other.0.iter()).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_scaled_to_unit_length() {
        let embedding = Embedding::normalised(vec![3.0, 4.0], 2).unwrap();
        assert_eq!(embedding.as_slice(), [0.6, 0.8]);
        assert!((embedding.cosine(&embedding) - 1.0).abs() < 1e-6);
        let huge = Embedding::normalised(vec![f32::MAX, f32::MAX], 2).unwrap();
        assert!((huge.as_slice()[0] - 0.5_f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn what_has_no_direction_is_refused() {
        let of = |raw: &[f32]| Embedding::normalised(raw.to_vec(), 2).unwrap_err();
        assert_eq!(of(&[0.0, 0.0]), InvalidEmbedding::Zero);
        assert_eq!(of(&[1.0, f32::NAN]), InvalidEmbedding::NotFinite(1));
        assert_eq!(of(&[f32::INFINITY, 0.0]), InvalidEmbedding::NotFinite(0));
        assert_eq!(of(&[1.0]), InvalidEmbedding::WrongSize { expected: 2, actual: 1 });
    }
}

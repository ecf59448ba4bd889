//! A vector that can be compared: finite, of unit length, and of the size that was asked for.

use std::sync::Arc;

/// A finite vector of unit length. [`Embedding::normalised`] is the only way to create one.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Arc<[f32]>);

/// Why a list of numbers is not an embedding. The stores accept such vectors without an error, so they are refused
/// before they reach a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmbedding {
    /// The vector has a different size than the model's vectors.
    #[error("the vector has {actual} numbers, {expected} were expected")]
    WrongSize {
        /// Numbers in a vector of the model.
        expected: usize,
        /// Numbers in this vector.
        actual: usize,
    },
    /// The vector contains a NaN or an infinity.
    #[error("the number at index {0} of the vector is not finite")]
    NotFinite(usize),
    /// All numbers are zero, so the vector has no direction.
    #[error("the vector is all zeros")]
    Zero,
}

impl Embedding {
    /// Checks `raw` and scales it to unit length.
    ///
    /// # Errors
    /// Returns [`InvalidEmbedding`] if the size is wrong, a number is not finite, or the length is zero.
    pub fn normalised(mut raw: Vec<f32>, expected: usize) -> Result<Self, InvalidEmbedding> {
        if raw.len() != expected {
            return Err(InvalidEmbedding::WrongSize { expected, actual: raw.len() });
        }
        if let Some(index) = raw.iter().position(|value| !value.is_finite()) {
            return Err(InvalidEmbedding::NotFinite(index));
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

    /// Returns the numbers; the sum of their squares is 1.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Returns how many numbers the vector has.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }

    /// Returns the cosine of the angle between two embeddings of the same size, -1 to 1.
    pub fn cosine(&self, other: &Self) -> f32 {
        self.0.iter().zip(other.0.iter()).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_scaled_to_unit_length() {
        let embedding = Embedding::normalised(vec![3.0, 4.0], 2).unwrap();
        assert_eq!(embedding.as_slice(), [0.6, 0.8]);
        assert!((embedding.cosine(&embedding) - 1.0).abs() < 1e-6);
        let huge = Embedding::normalised(vec![f32::MAX, f32::MAX], 2).unwrap();
        assert!((huge.as_slice()[0] - 0.5_f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn a_vector_that_is_zero_or_not_finite_or_of_the_wrong_size_is_refused() {
        let refusal = |raw: &[f32]| Embedding::normalised(raw.to_vec(), 2).unwrap_err();
        assert_eq!(refusal(&[0.0, 0.0]), InvalidEmbedding::Zero);
        assert_eq!(refusal(&[1.0, f32::NAN]), InvalidEmbedding::NotFinite(1));
        assert_eq!(refusal(&[f32::INFINITY, 0.0]), InvalidEmbedding::NotFinite(0));
        assert_eq!(refusal(&[1.0]), InvalidEmbedding::WrongSize { expected: 2, actual: 1 });
    }
}

//! Vectors of images and texts, their cosines, and how these are spread.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::logistic::count;

/// Vectors of unit length, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Vectors {
    pub(super) dimension: usize,
    pub(super) numbers: Vec<f32>,
}

impl Vectors {
    pub(super) fn new(dimension: usize) -> Self {
        Self { dimension, numbers: Vec::new() }
    }

    pub(super) fn push(&mut self, vector: &[f32]) {
        self.numbers.extend_from_slice(vector);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> + Clone {
        self.numbers.chunks_exact(self.dimension.max(1))
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len() / self.dimension.max(1)
    }

    /// Returns the sum of the vectors divided by their number.
    pub(super) fn mean(&self) -> Vec<f32> {
        let mut sum = vec![0.0_f32; self.dimension];
        for vector in self.iter() {
            sum.iter_mut().zip(vector).for_each(|(sum, number)| *sum += number);
        }
        #[expect(clippy::cast_precision_loss, reason = "there are less than a thousand")]
        let number = self.len().max(1) as f32;
        for sum in &mut sum {
            *sum /= number;
        }
        sum
    }
}

/// Numbers that are multiplied at the same time.
const LANES: usize = 16;

/// Returns the scalar product: the cosine of two vectors of unit length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    // One sum for each lane, because the compiler may not change the order of additions.
    let ((a, rest_of_a), (b, rest_of_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest_of_a.iter().zip(rest_of_b).map(|(a, b)| a * b).sum();
    f64::from(sums.iter().sum::<f32>() + rest)
}

/// Mean and standard deviation (with n - 1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl Spread {
    pub(super) fn measure(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let number = count(values.len()).max(1.0);
        let mean = values.iter().sum::<f64>() / number;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Self { mean, deviation: (squares / (number - 1.0).max(1.0)).sqrt() }
    }
}

/// As it is written: the numbers as little-endian bytes in base64.
#[derive(Serialize, Deserialize)]
struct WrittenVectors {
    dimension: usize,
    base64: String,
}

impl Serialize for Vectors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        WrittenVectors { dimension: self.dimension, base64: STANDARD.encode(bytes) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Vectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenVectors { dimension, base64 } = WrittenVectors::deserialize(deserializer)?;
        let bytes = STANDARD.decode(base64).map_err(de::Error::custom)?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if !rest.is_empty() || dimension == 0 && !numbers.is_empty() || !numbers.len().is_multiple_of(dimension.max(1))
        {
            return Err(de::Error::custom("the vectors are not whole"));
        }
        Ok(Self { dimension, numbers })
    }
}

//! The signature of an image: a small pattern of its pixels, by which copies of the image are recognised.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of rows and of columns of a signature.
pub const SIGNATURE_SIDE: usize = 28;

/// The signatures of two images are compared if the cosine of their vectors is at least this: copies of an image have
/// similar vectors.
pub const MIN_COPY_COSINE: f32 = 0.5;

/// The bytes of two rows.
const PAIR_BYTES: usize = SIGNATURE_SIDE * 2 / 8;
const BYTES: usize = PAIR_BYTES * SIGNATURE_SIDE;

/// Says for each cell of a grid over the image whether it is clearly brighter or clearly darker than the cells around
/// it. Each row is a number with one bit for each cell; the lowest bit is the leftmost cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The brighter cells, row by row.
    pub bright: [u32; SIGNATURE_SIDE],
    /// The darker cells, row by row.
    pub dark: [u32; SIGNATURE_SIDE],
}

impl Signature {
    /// Returns the signature as base64 of 196 bytes.
    pub fn to_text(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        for rows in [&self.bright, &self.dark] {
            for [first, second] in rows.as_chunks().0 {
                let pair = u64::from(*first) | u64::from(*second) << SIGNATURE_SIDE;
                bytes.extend_from_slice(&pair.to_le_bytes()[..PAIR_BYTES]);
            }
        }
        STANDARD.encode(bytes)
    }

    /// Reads the text of [`Self::to_text`]. Returns `None` for any other text.
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == BYTES)?;
        let mut rows = bytes.as_chunks::<PAIR_BYTES>().0.iter().flat_map(|pair| {
            let mut number = [0; 8];
            number[..PAIR_BYTES].copy_from_slice(pair);
            let number = u64::from_le_bytes(number);
            [number, number >> SIGNATURE_SIDE].map(low_row)
        });
        let mut take = || std::array::from_fn(|_| rows.next().unwrap_or(0));
        Some(Self { bright: take(), dark: take() })
    }

    /// Reads an optional signature. One of a length that this version does not know is the same as none, so that the
    /// records of a later version stay readable.
    pub(super) fn read_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.and_then(|text| Self::from_text(&text)))
    }
}

/// Returns the row in the lowest bits.
#[expect(clippy::cast_possible_truncation, reason = "a row has 28 bits")]
fn low_row(number: u64) -> u32 {
    number as u32 & ((1 << SIGNATURE_SIDE) - 1)
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_a_text_of_264_characters_and_back() {
        let rows = |mut row: u32| {
            std::array::from_fn(|_| {
                row = row.wrapping_mul(0x9e37_79b1) & 0x0fff_ffff;
                row
            })
        };
        let signature = Signature { bright: rows(5), dark: rows(7) };
        let text = signature.to_text();
        assert_eq!(text.len(), 264);
        assert_eq!(Signature::from_text(&text), Some(signature));
        assert_eq!(Signature::from_text(&text[4..]), None);
        assert_eq!(Signature::from_text("?"), None);
    }
}

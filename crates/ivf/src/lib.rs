//! Finds the vectors with the greatest dot products without reading all of them: an inverted file (lists of similar
//! vectors) of codes with two bits for each number, and exact scores of the candidates. ADR 0022.
//!
//! - Each vector belongs to the **list** with the nearest centroid. A list that grows too long is split in two, so there
//!   is no training, and the index is complete after each insertion.
//! - A **code** describes the difference of a vector and the centroid of its list, after a random rotation.
//! - A **search** visits the lists in the order of the best score that they may contain, until that bound is below the
//!   worst hit. In each list, the scores of vectors whose estimated score may be good enough are computed exactly.
//!
//! The index refers to vectors by their slots; the caller has the vectors ([`Vectors`]). A clone of an [`Index`] is cheap and shares what later changes do
//! not touch.

mod block;
mod centers;
mod code;
mod index;
mod kernel;
mod list;
mod positions;
mod restore;
mod rotation;
mod running;
mod scan;
mod search;
mod split;
#[cfg(test)]
mod test_table;

pub use centers::Encoder;
pub use code::{Entry, StoredCode, StoredHead};
pub use index::{Index, Split};
pub use kernel::{dot, prefetch};
pub use positions::Positions;
pub use restore::Restore;
pub use running::Search;
pub use search::{Candidates, Effort};

/// The vectors that an index is about.
pub trait Vectors: Sync {
    /// Returns the vector in a slot, padded with zeros to the length of the index.
    fn vector(&self, slot: u32) -> &[f32];
}

/// Lengths of vectors are multiples of this; shorter vectors are padded with zeros.
pub const LENGTH_UNIT: usize = 64;

//! Operations on whole collections: they are listed and dropped, and what their stores and the ledger hold is compared, and images that are there several times are found.

mod drop;
mod duplicates;
mod list;
mod verify;

pub use duplicates::{DuplicateGroup, DuplicateKind, MAX_LISTED};
pub use list::Collections;
pub use verify::{Difference, DifferenceKind, MAX_NAMED, MAX_SAMPLED, VerifyOptions, VerifyReport};

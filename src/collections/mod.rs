//! Operations on whole collections: a collection is dropped, or what its stores and the ledger hold is compared.

mod drop;
mod verify;

pub use verify::{Difference, DifferenceKind, MAX_NAMED, MAX_SAMPLED, VerifyOptions, VerifyReport};

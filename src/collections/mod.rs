//! Operations on whole collections: they are listed and dropped, and what their stores and the ledger hold is compared.

mod drop;
mod list;
mod verify;

pub use list::Collections;
pub use verify::{Difference, DifferenceKind, MAX_NAMED, MAX_SAMPLED, VerifyOptions, VerifyReport};

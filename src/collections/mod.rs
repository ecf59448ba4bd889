//! Operations on whole collections: they are listed and dropped, what their stores and the ledger hold is compared, images
//! that are there several times are found, images are removed permanently, and the recall of searches is tested.

mod drop;
mod duplicates;
mod list;
mod recall;
mod removed;
mod verify;

pub use duplicates::{DuplicateGroup, DuplicateKind, MAX_LISTED};
pub use list::Collections;
pub use recall::{MIN_TESTED_RECORDS, RecallParts, RecallReports, RecallTest};
pub use removed::RemovalError;
pub use verify::{Difference, DifferenceKind, MAX_NAMED, MAX_SAMPLED, VerifyOptions, VerifyReport};

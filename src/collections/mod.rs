//! Operations on whole collections: they are listed and dropped, what their stores and the ledger hold is compared, images
//! that are there several times are found, images are removed permanently, the recall of searches is tested, and collections
//! are rebuilt with another model.

mod drop;
mod duplicates;
mod generations;
mod list;
mod recall;
mod removed;
mod verify;

pub use duplicates::{DuplicateGroup, DuplicateKind, MAX_LISTED};
pub use generations::{
    GenerationView, GenerationsView, MAX_LISTED_MISSING, MIN_COVERAGE_PERCENT, MissingImage, RebuildRequest,
    SwitchRequest, Switched,
};
pub use list::Collections;
pub use recall::{MIN_TESTED_RECORDS, RecallParts, RecallReports, RecallTest};
pub use removed::RemovalError;
pub use verify::{Difference, DifferenceKind, MAX_NAMED, MAX_SAMPLED, VerifyOptions, VerifyReport};

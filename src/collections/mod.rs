//! Operations on whole collections: they are listed and dropped, what their stores and the ledger hold is compared, images
//! that are there several times are found, images are removed permanently, the recall of searches is tested, collections
//! are rebuilt with another model, exported, imported, and adopted after the ledger was lost.

mod adopt;
mod drop;
mod duplicates;
mod export;
mod generations;
mod import;
mod list;
mod recall;
mod removed;
mod verify;

pub use adopt::Adopted;
pub use duplicates::{DuplicateGroup, DuplicateKind, MAX_LISTED};
pub use export::ExportHead;
pub use generations::{
    GenerationView, GenerationsView, MAX_LISTED_MISSING, MIN_COVERAGE_PERCENT, MissingImage, RebuildRequest,
    SwitchRequest, Switched,
};
pub use import::{ImportBatch, ImportImage, Imported, MAX_IMPORT_BATCH};
pub use list::Collections;
pub use recall::{MIN_TESTED_RECORDS, RecallParts, RecallReports, RecallTest};
pub use removed::RemovalError;
pub use verify::{Difference, DifferenceKind, MAX_NAMED, MAX_SAMPLED, VerifyOptions, VerifyReport};

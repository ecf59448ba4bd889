//! Generations of a collection: a rebuild makes the next one with another model while searches use the current one. A switch
//! changes which one is the current one, and a rollback changes it back (ADR 0028).

mod catch_up;
mod index_due;
mod rebuild;
mod set_aside;
mod switch;
mod upkeep;
mod view;

pub use rebuild::RebuildRequest;
pub use switch::{MIN_COVERAGE_PERCENT, SwitchRequest, Switched};
pub use view::{GenerationView, GenerationsView, MAX_LISTED_MISSING, MissingImage};

use crate::domain::{CollectionName, Generation};
use crate::jobs::JobsError;

/// Returns the error of a request that the state of a generation does not allow.
fn conflict(message: String) -> JobsError {
    JobsError::Conflict("generation_state", message)
}

/// Returns the error of a collection without a generation that a request needs.
fn no_generation(collection: &CollectionName, what: &str) -> JobsError {
    conflict(format!(
        "the collection `{collection}` has no generation {what}; `glimpse collections rebuild {collection}` builds one with another \
         model, precision or resize"
    ))
}

/// Returns the names in the stores of some generations.
fn physical_names(generations: &[Generation]) -> Vec<CollectionName> {
    generations.iter().map(|one| one.physical.clone()).collect()
}

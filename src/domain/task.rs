//! The work of a job: one image to index, and its outcome. Jobs hand tasks out, the pipeline executes them, and the ledger
//! records their outcomes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{ImageRef, ImageUri, ItemFailure, StoreSet};

/// One image to index, and the ticket under which its outcome is reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The number by which the sender of the task identifies it.
    pub ticket: i64,
    /// The image.
    pub image: ImageRef,
    /// Stores that have the image already, in this version and space: its record is copied from there to the others,
    /// without a new embedding.
    #[serde(rename = "have")]
    pub stored_in: StoreSet,
    /// An image of the collection whose bytes are possibly the same: if they are, its vector is used again.
    #[serde(rename = "twin")]
    pub possible_copy: Option<ImageUri>,
    /// Whether the record of the image is completed: if its bytes are still the same, the record keeps its vector and its
    /// metadata.
    #[serde(default)]
    pub refresh: bool,
    /// Metadata of the image from a metadata file. It takes precedence over the metadata of the object itself.
    pub metadata: BTreeMap<String, String>,
}

/// The outcome of one task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// The ticket of the task.
    pub ticket: i64,
    /// The outcome of its image.
    #[serde(rename = "fate")]
    pub result: ItemOutcome,
}

/// The outcome of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemOutcome {
    /// Every store has the image.
    Indexed(Indexed),
    /// Some stores have the image and another is waited for: the item is not done. Reported only if the wait takes
    /// long.
    #[serde(rename = "lags")]
    PartlyStored(Indexed),
    /// The image could not be indexed. If some stores have accepted it before another refused it, they were reported
    /// with [`ItemOutcome::PartlyStored`].
    Failed(ItemFailure),
}

/// An image that at least one store has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed {
    /// The version of the bytes that were read: an ETag, or the time when they were last written.
    pub etag: Option<String>,
    /// Number of bytes that were read.
    pub size_bytes: u64,
    /// The stores that have the image.
    pub stores: StoreSet,
    /// Whether the record was copied with its existing metadata, or created again with [`Task::metadata`].
    pub copied: bool,
}

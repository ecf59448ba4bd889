//! Bodies of `/jobs/{id}/failures`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{FailureClass, ItemFailure};

/// Images that could not be indexed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailuresReply {
    /// The failures, in the order in which they happened.
    pub failures: Vec<FailureReply>,
    /// Number of failures of the whole job.
    pub total: u64,
    /// The value of `after` for the next page; `null` on the last page.
    pub next: Option<i64>,
}

/// One image that could not be indexed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailureReply {
    /// The key of the image.
    pub s3_key: String,
    /// The failure class: `truncated`, `unsupported_format`…
    #[schema(value_type = FailureClass)]
    pub class: String,
    /// Why the image could not be indexed.
    pub message: String,
    /// Number of attempts.
    pub attempts: u32,
}

impl From<ItemFailure> for FailureReply {
    fn from(failure: ItemFailure) -> Self {
        Self {
            s3_key: failure.uri.key().to_owned(),
            class: failure.class.as_str().to_owned(),
            message: failure.message,
            attempts: failure.attempts,
        }
    }
}

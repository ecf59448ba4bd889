//! Bodies of `/jobs/{id}/failures`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{FailureClass, ItemFailure};

/// Images that could not be indexed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailuresReply {
    /// In the order in which they failed.
    pub failures: Vec<FailureReply>,
    /// Of the whole job.
    pub total: u64,
    /// Give this as `after` for the next page; `null` at the end.
    pub next: Option<i64>,
}

/// One image that could not be indexed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailureReply {
    /// Its key.
    pub s3_key: String,
    /// `truncated`, `unsupported_format`…
    #[schema(value_type = FailureClass)]
    pub class: String,
    /// Why, in words.
    pub message: String,
    /// How often it was tried.
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

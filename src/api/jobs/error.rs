//! The replies to errors of the job service.

use std::time::Duration;

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::jobs::placing::cluster::ClusterError;
use crate::jobs::{JobsError, RETRY_WHEN_FULL};
use crate::ledger::LedgerError;
use crate::search::SearchError;

impl From<JobsError> for ApiError {
    fn from(error: JobsError) -> Self {
        let message = error.to_string();
        match error {
            JobsError::Collection(_) => Self::invalid("collection", message),
            JobsError::BucketNotAllowed(_) => Self::new(StatusCode::FORBIDDEN, "bucket_not_allowed", message),
            JobsError::MetadataKey(_) => Self::invalid("metadata_key", message),
            JobsError::WorkerToken => Self::unauthorized(message),
            JobsError::NoToken => Self::internal(),
            JobsError::JobEnded(_) => Self::new(StatusCode::GONE, "job_is_over", message),
            JobsError::NotJoined(_) => Self::new(StatusCode::CONFLICT, "not_joined", message),
            JobsError::WorkerRefused(_) => Self::new(StatusCode::CONFLICT, "worker_refused", message),
            JobsError::WorkerName(_) => Self::invalid("worker", message),
            JobsError::TooManyWorkers(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_workers", message).with_retry_after(RETRY_WHEN_FULL)
            }
            JobsError::NotRunning => Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_under_way", message)
                .with_retry_after(Duration::from_secs(1)),
            JobsError::Invalid(field, _) => Self::invalid(field, message),
            JobsError::NotFinal(_) => Self::new(StatusCode::CONFLICT, "job_not_final", message),
            JobsError::NothingFailed { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing_failed", message),
            JobsError::NoCluster => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_executor", message),
            JobsError::Cluster(error) => cluster_error(&error),
            JobsError::QueueFull => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message).with_retry_after(RETRY_WHEN_FULL)
            }
            JobsError::Draining => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", message).with_retry_after(RETRY_WHEN_FULL)
            }
            JobsError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "unknown_job", message),
            JobsError::AlreadyFinal(_) => Self::new(StatusCode::CONFLICT, "job_is_final", message),
            JobsError::Space(_) | JobsError::SpaceDiffers { .. } => {
                Self::new(StatusCode::CONFLICT, "space_mismatch", message)
            }
            JobsError::CollectionBusy(_) => Self::new(StatusCode::CONFLICT, "collection_busy", message),
            JobsError::DuplicatesBusy | JobsError::Busy(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).with_retry_after(RETRY_WHEN_FULL)
            }
            JobsError::Conflict(code, _) => Self::new(StatusCode::CONFLICT, code, message),
            JobsError::NoSpace(_) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", message).with_retry_after(RETRY_WHEN_FULL)
            }
            JobsError::Index(error) => SearchError::Index(error).into(),
            JobsError::Model(error) => SearchError::from(error).into(),
            JobsError::Ledger(error) => ledger_error(&error),
        }
    }
}

/// 503 for a cluster that is down, because it may come back; 502 for a cluster that refuses the service until the
/// settings are corrected.
fn cluster_error(error: &ClusterError) -> ApiError {
    tracing::error!(%error, detail = error.detail(), "the cluster cannot be used");
    if error.is_down() {
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ray_unavailable", error.to_string())
            .with_retry_after(RETRY_WHEN_FULL);
    }
    ApiError::new(StatusCode::BAD_GATEWAY, "ray_refused", error.to_string())
}

/// 503 while the disk of the ledger cannot be used. The request changed nothing, and may succeed later.
fn ledger_error(error: &LedgerError) -> ApiError {
    tracing::error!(%error, "ledger failed");
    let (code, reason) = match error {
        LedgerError::Full(_) => ("ledger_full", "has no space left; free some space or raise its quota"),
        LedgerError::ReadOnly(_) => ("ledger_read_only", "is read-only; make it writable"),
        LedgerError::Busy(_) => ("ledger_locked", "is locked by another process; stop that process"),
        LedgerError::Disk(_) => ("ledger_failing", "cannot be read or written; see the log"),
        LedgerError::Failed(_) => return ApiError::internal(),
    };
    let message = format!("the disk of the ledger (GLIMPSE_DATA_DIR) {reason}. Nothing was changed; try again later");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with_retry_after(RETRY_WHEN_FULL)
}

//! The replies to errors of backups.

use std::time::Duration;

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::backup::BackupError;

/// How long a client waits before it tries again to begin a backup.
const RETRY_AFTER: Duration = Duration::from_secs(10);

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Busy(_) | BackupError::Beginning => Self::new(StatusCode::CONFLICT, "backup_busy", message),
            BackupError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "unknown_backup", message),
            BackupError::UnknownFile(_) => Self::new(StatusCode::NOT_FOUND, "unknown_file", message),
            BackupError::Cursor(_) => Self::invalid("cursor", message),
            BackupError::NoSpace(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "backup_no_space", message).with_retry_after(RETRY_AFTER)
            }
            BackupError::NotPinned => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "backup_not_pinned", message).with_retry_after(RETRY_AFTER)
            }
            BackupError::Database(_) | BackupError::Copy(_) | BackupError::File { .. } | BackupError::Panicked => {
                tracing::error!(error = message, "a backup failed");
                Self::internal()
            }
        }
    }
}

//! The replies to errors of keys.

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::jobs::JobsError;
use crate::keys::KeysError;

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        let message = error.to_string();
        match error {
            KeysError::Name(_) => Self::invalid("name", message),
            KeysError::ExpiresInPast(_) => Self::invalid("expires_at", message),
            KeysError::First => Self::invalid("role", message),
            KeysError::NotFirst => Self::unauthorized(message),
            KeysError::OpenToOthers => Self::new(StatusCode::CONFLICT, "key_needed_in_settings", message),
            KeysError::Exists(_) => Self::new(StatusCode::CONFLICT, "key_exists", message),
            KeysError::TooMany(_) => Self::new(StatusCode::CONFLICT, "too_many_keys", message),
            KeysError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "unknown_key", message),
            KeysError::Configured(..) => Self::new(StatusCode::CONFLICT, "key_of_settings", message),
            KeysError::LastAdmin(_) => Self::new(StatusCode::CONFLICT, "last_admin_key", message),
            KeysError::NoRandomBytes | KeysError::File(_) => Self::internal(),
            KeysError::Ledger(error) => JobsError::Ledger(error).into(),
        }
    }
}

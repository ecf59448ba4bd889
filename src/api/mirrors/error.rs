//! The replies to errors of mirrors.

use std::time::Duration;

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::jobs::JobsError;
use crate::mirrors::{InvalidSchedule, MirrorsError, SnsError};

/// How long a sender of events should wait after a failure of the ledger.
const RETRY_EVENTS_AFTER: Duration = Duration::from_secs(3);

impl From<MirrorsError> for ApiError {
    fn from(error: MirrorsError) -> Self {
        let message = error.to_string();
        match error {
            MirrorsError::Name(_) => Self::invalid("name", message),
            MirrorsError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "unknown_mirror", message),
            MirrorsError::TooMany(_) => Self::new(StatusCode::CONFLICT, "too_many_mirrors", message),
            MirrorsError::Schedule(InvalidSchedule::TimeZone(_)) => Self::invalid("timezone", message),
            MirrorsError::Schedule(InvalidSchedule::Expression { .. } | InvalidSchedule::Never(_)) => {
                Self::invalid("schedule", message)
            }
            MirrorsError::Running(..) => Self::new(StatusCode::CONFLICT, "mirror_running", message),
            MirrorsError::Token | MirrorsError::Topic => Self::unauthorized(message),
            MirrorsError::Sns(SnsError::Refused(_)) => Self::not_from_sns(message),
            MirrorsError::Sns(SnsError::Unavailable(_)) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "sns_unavailable", message)
                    .with_retry_after(RETRY_EVENTS_AFTER)
            }
            MirrorsError::Malformed(_) => Self::malformed(message),
            MirrorsError::NotRecorded(_) => {
                let message = "the events could not be recorded; the log has the details. Send them again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "events_not_recorded", message)
                    .with_retry_after(RETRY_EVENTS_AFTER)
            }
            MirrorsError::Draining => JobsError::Draining.into(),
            MirrorsError::Jobs(error) => error.into(),
            MirrorsError::Ledger(error) => JobsError::Ledger(error).into(),
        }
    }
}

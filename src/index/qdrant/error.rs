//! What Qdrant answers, and what the port's callers are told.

use std::time::Duration;

use qdrant_client::QdrantError;
use tonic::{Code, Status};

use super::NAME;
use super::limit::{Bound, Limit};
use crate::domain::{CollectionName, DependencyError, Trouble};
use crate::index::IndexError;

/// In the metadata of a refusal for want of disk or memory.
const INSUFFICIENT_STORAGE: &str = "qdrant-insufficient-storage";
/// Until the next try, where a busy server names no time.
const BUSY: Duration = Duration::from_secs(1);
/// Until the next try where someone has locked the server's writes: that lasts.
const LOCKED: Duration = Duration::from_secs(10);
/// Characters of a sentence that are shown to a client.
const QUOTED: usize = 300;
/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_mins(5);

/// A call's failure, before it is known which collection or record it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such collection.
    Unknown,
    /// There is such a collection already.
    Exists,
    /// The request's content is refused; another's may be fine.
    Invalid(String),
    /// The request is beyond a limit of the server.
    Limit(Limit),
    /// The server itself is the trouble.
    Server(DependencyError),
}

impl Fault {
    /// The same in the port's words.
    pub(super) fn about(self, collection: &CollectionName) -> IndexError {
        match self {
            Self::Unknown => IndexError::UnknownCollection(collection.clone()),
            Self::Exists => IndexError::Dependency(trouble(Trouble::Failed, "says that the collection exists already")),
            Self::Invalid(detail) => IndexError::Dependency(trouble(Trouble::Refused, detail)),
            Self::Limit(limit) => IndexError::Dependency(limit.into()),
            Self::Server(error) => IndexError::Dependency(error),
        }
    }

    /// No answer within `limit`.
    pub(super) fn timed_out(limit: Duration) -> Self {
        Self::Server(trouble(Trouble::TimedOut, format!("no answer within {} s", limit.as_secs_f64())))
    }

    /// An answer that cannot be read: retrying does not change it.
    pub(super) fn unreadable(detail: impl Into<String>) -> Self {
        Self::Server(trouble(Trouble::Refused, detail))
    }
}

/// A limit that nothing here can keep to: its operator has to raise it.
impl From<Limit> for DependencyError {
    fn from(Limit { bound, said, .. }: Limit) -> Self {
        if bound == Bound::Room {
            return trouble(Trouble::Full, said);
        }
        let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect();
        let what = match bound {
            Bound::Bytes => "the largest message that it or a proxy in front of it takes",
            Bound::Points | Bound::Page | Bound::Exact | Bound::Room | Bound::Fixed => {
                "the limit in the server's strict mode"
            }
        };
        trouble(Trouble::Misconfigured, format!("raise {what}; Qdrant says: {said}"))
    }
}

/// The server's failure, with its own words for the log.
pub(super) fn trouble(trouble: Trouble, detail: impl Into<String>) -> DependencyError {
    DependencyError { dependency: NAME.to_owned(), trouble, detail: detail.into() }
}

impl From<QdrantError> for Fault {
    fn from(error: QdrantError) -> Self {
        let (kind, detail) = match error {
            QdrantError::ResponseError { status } => return Self::from(&status),
            QdrantError::ResourceExhaustedError { status, retry_after_seconds } => {
                if let Some(limit) = Limit::read(&status) {
                    return Self::Limit(limit);
                }
                let retry_after = Duration::from_secs(retry_after_seconds).clamp(BUSY, LONGEST);
                (Trouble::Busy { retry_after }, said(&status))
            }
            QdrantError::Io(error) => (Trouble::Failed, error.to_string()),
            QdrantError::NoSnapshotFound(name) => (Trouble::Refused, format!("no snapshot `{name}`")),
            QdrantError::ConversionError(what) => (Trouble::Refused, what),
            QdrantError::InvalidUri(error) => (Trouble::Refused, error.to_string()),
            QdrantError::JsonToPayload(_) => (Trouble::Refused, "a payload is no JSON object".to_owned()),
            QdrantError::PayloadDeserialization(error) => (Trouble::Refused, error.to_string()),
        };
        Self::Server(trouble(kind, detail))
    }
}

/// The codes as the server gives them (`lib/storage/src/content_manager/conversions.rs` in its sources). Two
/// differ from what one would guess: a refused connection is `Internal`, made by the client itself, and a full
/// disk, which no retry helps but people do, is waited for.
impl From<&Status> for Fault {
    fn from(status: &Status) -> Self {
        if let Some(limit) = Limit::read(status) {
            return Self::Limit(limit);
        }
        let kind = match status.code() {
            Code::NotFound => return Self::Unknown,
            Code::AlreadyExists => return Self::Exists,
            Code::InvalidArgument => return Self::Invalid(said(status)),
            Code::Unavailable | Code::Internal | Code::Aborted | Code::Unknown | Code::DataLoss | Code::Ok => {
                Trouble::Failed
            }
            Code::DeadlineExceeded => Trouble::TimedOut,
            // The client's own clock says this when it gives up.
            Code::Cancelled if status.message().contains("Timeout expired") => Trouble::TimedOut,
            Code::Cancelled => Trouble::Failed,
            Code::ResourceExhausted if status.metadata().contains_key(INSUFFICIENT_STORAGE) => Trouble::Full,
            Code::ResourceExhausted => Trouble::Busy { retry_after: BUSY },
            Code::FailedPrecondition => Trouble::Busy { retry_after: LOCKED },
            Code::OutOfRange | Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied => Trouble::Refused,
        };
        match status.code() {
            Code::Unauthenticated => tracing::error!(said = status.message(), "Qdrant refuses QDRANT_API_KEY"),
            Code::PermissionDenied => tracing::error!(
                said = status.message(),
                "Qdrant, or a proxy in front of it, denies a request; QDRANT_API_KEY may lack a right"
            ),
            _ => {}
        }
        Self::Server(trouble(kind, said(status)))
    }
}

fn said(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Retryable;

    fn of(status: Status) -> Fault {
        // The way it comes from the client, which looks into the metadata first.
        Fault::from(QdrantError::from(status))
    }

    fn kind(status: Status) -> Trouble {
        match of(status) {
            Fault::Server(error) => error.trouble,
            other => panic!("{other:?}"),
        }
    }

    fn exhausted(key: &'static str, value: &'static str) -> Status {
        let mut status = Status::resource_exhausted("no more");
        status.metadata_mut().insert(key, value.parse().unwrap());
        status
    }

    #[test]
    fn each_code_is_retried_and_counted_as_the_server_means_it() {
        // Code, may the same call succeed later, does it count towards the breaker.
        for (code, retry, counts) in [
            (Code::Unavailable, true, true),
            (Code::DeadlineExceeded, true, true),
            (Code::Internal, true, true),
            (Code::Aborted, true, true),
            (Code::Cancelled, true, true),
            (Code::Unknown, true, true),
            (Code::DataLoss, true, true),
            (Code::ResourceExhausted, true, false),
            (Code::FailedPrecondition, true, false),
            (Code::OutOfRange, false, false),
            (Code::Unimplemented, false, false),
            (Code::Unauthenticated, false, false),
            (Code::PermissionDenied, false, false),
        ] {
            let trouble = kind(Status::new(code, "x"));
            assert_eq!((trouble.may_pass(), trouble.is_down()), (retry, counts), "{code:?}");
        }
        assert_eq!(kind(Status::deadline_exceeded("x")), Trouble::TimedOut);
        assert_eq!(kind(Status::cancelled("Timeout expired")), Trouble::TimedOut);
        assert_eq!(kind(Status::internal("Failed to connect to http://qdrant:6334/: …")), Trouble::Failed);
    }

    #[test]
    fn a_busy_server_is_given_the_time_that_it_asks_for() {
        let busy = |seconds| Trouble::Busy { retry_after: Duration::from_secs(seconds) };
        assert_eq!(kind(exhausted("retry-after", "7")), busy(7));
        assert_eq!(kind(exhausted("retry-after", "0")), busy(1));
        assert_eq!(kind(exhausted("retry-after", "86400")), busy(300));
        assert_eq!(kind(exhausted("retry-after", "soon")), busy(1));
        assert_eq!(kind(exhausted(INSUFFICIENT_STORAGE, "true")), Trouble::Full);
    }

    #[test]
    fn what_is_about_the_request_is_told_apart_from_the_server() {
        let collection = CollectionName::parse("documents").unwrap();
        assert_eq!(of(Status::not_found("x")), Fault::Unknown);
        assert_eq!(of(Status::already_exists("x")), Fault::Exists);
        let invalid = of(Status::invalid_argument("x"));
        assert_eq!(invalid, Fault::Invalid("InvalidArgument: x".to_owned()));
        assert_eq!(Fault::Unknown.about(&collection), IndexError::UnknownCollection(collection.clone()));
        assert!(!invalid.about(&collection).is_retryable());
        assert!(Fault::timed_out(BUSY).about(&collection).is_retryable());
        assert!(!Fault::unreadable("x").about(&collection).is_retryable());
    }
}

//! Errors of Qdrant, and how they become errors of the port.

use std::time::Duration;

use qdrant_client::QdrantError;
use tonic::{Code, Status};

use super::NAME;
use super::limit::{Bound, Limit};
use crate::domain::{CollectionName, DependencyError, FailureKind};
use crate::index::IndexError;

/// The metadata key of a refusal because the server has no disk space or memory left.
const INSUFFICIENT_STORAGE: &str = "qdrant-insufficient-storage";
/// The delay before the next attempt if a busy server does not state one.
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The delay before the next attempt if writes are locked in the server, which usually lasts longer.
const LOCKED_RETRY_DELAY: Duration = Duration::from_secs(10);
/// The maximum number of characters of a server message that are shown to a client.
const MAX_QUOTED_CHARS: usize = 300;
/// The longest delay that is accepted from the server.
const MAX_RETRY_DELAY: Duration = Duration::from_mins(5);

/// The error of a call, without the name of the collection or the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The collection does not exist.
    Unknown,
    /// The collection exists already.
    Exists,
    /// The server refuses the content of this request; it may accept another one.
    Invalid(String),
    /// The request exceeds a limit of the server.
    Limit(Limit),
    /// The server itself failed.
    Server(DependencyError),
}

impl Fault {
    /// Converts this into the error of the port for a call about `collection`.
    pub(super) fn into_index_error(self, collection: &CollectionName) -> IndexError {
        match self {
            Self::Unknown => IndexError::UnknownCollection(collection.clone()),
            Self::Exists => IndexError::Dependency(dependency_error(
                FailureKind::Failed,
                "the server reports that the collection exists already",
            )),
            Self::Invalid(detail) => IndexError::Dependency(dependency_error(FailureKind::Refused, detail)),
            Self::Limit(limit) => IndexError::Dependency(limit.into()),
            Self::Server(error) => IndexError::Dependency(error),
        }
    }

    /// Returns the error for a call without a reply within `limit`.
    pub(super) fn timed_out(limit: Duration) -> Self {
        Self::Server(dependency_error(
            FailureKind::TimedOut,
            format!("no reply within {} s (VECTOR_DB_TIMEOUT)", limit.as_secs_f64()),
        ))
    }

    /// Returns the error for a reply that cannot be read. A retry does not change it.
    pub(super) fn unreadable(detail: impl Into<String>) -> Self {
        Self::Server(dependency_error(FailureKind::Refused, detail))
    }
}

/// Converts a limit to which requests cannot be adapted: the operator of the server must raise it.
impl From<Limit> for DependencyError {
    fn from(Limit { bound, message, .. }: Limit) -> Self {
        if bound == Bound::Capacity {
            return dependency_error(FailureKind::Full, message);
        }
        let quoted: String =
            message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_QUOTED_CHARS).collect();
        let what = match bound {
            Bound::Bytes => "the maximum message size of the server, or of a proxy in front of it",
            Bound::Points | Bound::Page | Bound::Exact | Bound::Capacity | Bound::Fixed => {
                "the limit in the server's strict mode"
            }
        };
        dependency_error(FailureKind::Misconfigured, format!("raise {what}; Qdrant's message: {quoted}"))
    }
}

/// Returns the error of the server. `detail` is the server's own message, for the log.
pub(super) fn dependency_error(failure: FailureKind, detail: impl Into<String>) -> DependencyError {
    DependencyError { dependency: NAME.to_owned(), failure, detail: detail.into() }
}

impl From<QdrantError> for Fault {
    fn from(error: QdrantError) -> Self {
        let (kind, detail) = match error {
            QdrantError::ResponseError { status } => return Self::from(&status),
            QdrantError::ResourceExhaustedError { status, retry_after_seconds } => {
                if let Some(limit) = Limit::from_status(&status) {
                    return Self::Limit(limit);
                }
                let retry_after = Duration::from_secs(retry_after_seconds).clamp(DEFAULT_RETRY_DELAY, MAX_RETRY_DELAY);
                (FailureKind::Busy { retry_after }, status_text(&status))
            }
            QdrantError::Io(error) => (FailureKind::Failed, error.to_string()),
            QdrantError::NoSnapshotFound(name) => (FailureKind::Refused, format!("no snapshot `{name}`")),
            QdrantError::ConversionError(what) => (FailureKind::Refused, what),
            QdrantError::InvalidUri(error) => (FailureKind::Refused, error.to_string()),
            QdrantError::JsonToPayload(_) => (FailureKind::Refused, "a payload is not a JSON object".to_owned()),
            QdrantError::PayloadDeserialization(error) => (FailureKind::Refused, error.to_string()),
        };
        Self::Server(dependency_error(kind, detail))
    }
}

/// Reads the codes as the server uses them (`lib/storage/src/content_manager/conversions.rs` in its sources). Two are
/// unexpected: a refused connection is `Internal`, which the client itself reports. And a full disk is retried, because
/// a person can free space in the meantime.
impl From<&Status> for Fault {
    fn from(status: &Status) -> Self {
        if let Some(limit) = Limit::from_status(status) {
            return Self::Limit(limit);
        }
        let kind = match status.code() {
            Code::NotFound => return Self::Unknown,
            Code::AlreadyExists => return Self::Exists,
            Code::InvalidArgument => return Self::Invalid(status_text(status)),
            Code::Unavailable | Code::Internal | Code::Aborted | Code::Unknown | Code::DataLoss | Code::Ok => {
                FailureKind::Failed
            }
            Code::DeadlineExceeded => FailureKind::TimedOut,
            // The client itself reports this when its own time limit has passed.
            Code::Cancelled if status.message().contains("Timeout expired") => FailureKind::TimedOut,
            Code::Cancelled => FailureKind::Failed,
            Code::ResourceExhausted if status.metadata().contains_key(INSUFFICIENT_STORAGE) => FailureKind::Full,
            Code::ResourceExhausted => FailureKind::Busy { retry_after: DEFAULT_RETRY_DELAY },
            Code::FailedPrecondition => FailureKind::Busy { retry_after: LOCKED_RETRY_DELAY },
            Code::OutOfRange | Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied => {
                FailureKind::Refused
            }
        };
        match status.code() {
            Code::Unauthenticated => tracing::error!(reply = status.message(), "Qdrant refuses QDRANT_API_KEY"),
            Code::PermissionDenied => tracing::error!(
                reply = status.message(),
                "Qdrant, or a proxy in front of it, denies a request; QDRANT_API_KEY may lack a permission"
            ),
            _ => {}
        }
        Self::Server(dependency_error(kind, status_text(status)))
    }
}

/// Returns the text of a status. For a failed connection, the client writes a debug dump of the cause.
fn status_text(status: &Status) -> String {
    let failed_connection = status.message().strip_prefix("Failed to connect to ");
    match failed_connection.and_then(|rest| rest.split_once(": ")) {
        Some((address, dump)) => format!("cannot connect to {address}: {}", innermost(dump)),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// Returns the innermost error of a dump, which is that of the operating system or of TLS.
fn innermost(dump: &str) -> &str {
    let system = dump.rsplit_once("message: \"").and_then(|(_, rest)| rest.split_once('"'));
    let custom = dump.rsplit_once("error: ").and_then(|(_, rest)| rest.split_once(" }"));
    system.or(custom).map_or(dump, |(error, _)| error.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Retryable;

    fn fault(status: Status) -> Fault {
        // Converted through the error of the client, which reads the metadata first.
        Fault::from(QdrantError::from(status))
    }

    fn kind(status: Status) -> FailureKind {
        match fault(status) {
            Fault::Server(error) => error.failure,
            other => panic!("{other:?}"),
        }
    }

    fn exhausted(key: &'static str, value: &'static str) -> Status {
        let mut status = Status::resource_exhausted("no more");
        status.metadata_mut().insert(key, value.parse().unwrap());
        status
    }

    #[test]
    fn each_code_is_retryable_and_a_failure_as_expected() {
        // The code, whether a retry may succeed, and whether the failure counts for the circuit breaker.
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
            let failure = kind(Status::new(code, "x"));
            assert_eq!((failure.is_temporary(), failure.is_down()), (retry, counts), "{code:?}");
        }
        assert_eq!(kind(Status::deadline_exceeded("x")), FailureKind::TimedOut);
        assert_eq!(kind(Status::cancelled("Timeout expired")), FailureKind::TimedOut);
        assert_eq!(kind(Status::internal("Failed to connect to http://qdrant:6334/: …")), FailureKind::Failed);
    }

    #[test]
    fn a_failed_connection_is_described_in_words() {
        for (dump, cause) in [
            (
                r#"E(T, C("tcp", 127.0.0.1:1, Os { code: 111, kind: C, message: "Connection refused" }))"#,
                "Connection refused",
            ),
            (r#"E(C("dns error", Custom { kind: U, error: "failed to lookup address" }))"#, "failed to lookup address"),
            ("E(Custom { kind: I, error: InvalidCertificate(UnknownIssuer) })", "InvalidCertificate(UnknownIssuer)"),
            ("Elapsed(())", "Elapsed(())"),
        ] {
            let status = Status::internal(format!("Failed to connect to http://127.0.0.1:1/: {dump}"));
            assert_eq!(status_text(&status), format!("cannot connect to http://127.0.0.1:1/: {cause}"));
        }
        assert_eq!(status_text(&Status::internal("x")), "Internal: x");
    }

    #[test]
    fn the_retry_delay_of_a_busy_server_is_used_within_bounds() {
        let busy = |seconds| FailureKind::Busy { retry_after: Duration::from_secs(seconds) };
        assert_eq!(kind(exhausted("retry-after", "7")), busy(7));
        assert_eq!(kind(exhausted("retry-after", "0")), busy(1));
        assert_eq!(kind(exhausted("retry-after", "86400")), busy(300));
        assert_eq!(kind(exhausted("retry-after", "soon")), busy(1));
        assert_eq!(kind(exhausted(INSUFFICIENT_STORAGE, "true")), FailureKind::Full);
    }

    #[test]
    fn errors_of_a_request_differ_from_errors_of_the_server() {
        let collection = CollectionName::parse("documents").unwrap();
        assert_eq!(fault(Status::not_found("x")), Fault::Unknown);
        assert_eq!(fault(Status::already_exists("x")), Fault::Exists);
        let invalid = fault(Status::invalid_argument("x"));
        assert_eq!(invalid, Fault::Invalid("InvalidArgument: x".to_owned()));
        assert_eq!(Fault::Unknown.into_index_error(&collection), IndexError::UnknownCollection(collection.clone()));
        assert!(!invalid.into_index_error(&collection).is_retryable());
        assert!(Fault::timed_out(DEFAULT_RETRY_DELAY).into_index_error(&collection).is_retryable());
        assert!(!Fault::unreadable("x").into_index_error(&collection).is_retryable());
    }
}

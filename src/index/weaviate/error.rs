//! Classifies Weaviate's errors. Its gRPC service reports most of them with the code `Unknown` and a message, so the
//! message is read if the code is not specific. The server's own messages go only to the log.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tonic::{Code, Status};

use super::NAME;
use crate::domain::{CollectionName, DependencyError, FailureKind};
use crate::http::{one_line, parse_json, parse_retry_after};
use crate::index::IndexError;
use crate::index::learned::{message_limit, number};

/// The delay before the next attempt if a busy server does not state one.
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Returns the error for a failure of the store itself.
pub(super) fn failed(trouble: FailureKind, detail: impl Into<String>) -> IndexError {
    IndexError::Dependency(DependencyError { dependency: NAME.to_owned(), trouble, detail: detail.into() })
}

/// Parses the body of a REST reply.
pub(super) fn parse_reply<T: DeserializeOwned>(body: &[u8]) -> Result<T, IndexError> {
    parse_json(body).map_err(|error| failed(FailureKind::Failed, error))
}

/// Converts the status of a failed gRPC call about `collection`.
pub(super) fn from_status(status: &Status, collection: &CollectionName) -> IndexError {
    let message = status.message();
    if status.code() == Code::Unknown && reports_missing_class(message) {
        return IndexError::UnknownCollection(collection.clone());
    }
    if let Some(limit) = limit(status) {
        return limit.into();
    }
    failed(trouble(status), describe(status))
}

/// A limit of the server, or of a proxy in front of it, because of which a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) bound: Bound,
    /// The largest value that is allowed, if the server names it.
    pub(super) allowed: Option<usize>,
    message: String,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// The objects that a search ranks, a list returns or a request deletes.
    Results,
    /// The bytes of a message.
    Bytes,
}

/// Returns the limit because of which a call was refused, if there is one.
pub(super) fn limit(status: &Status) -> Option<Limit> {
    let message = one_line(status.message().as_bytes());
    if let Some(allowed) = message_limit(status) {
        return Some(Limit { bound: Bound::Bytes, allowed, message });
    }
    let (_, rest) = status.message().split_once("query maximum results exceeded")?;
    let allowed = rest.split_once("QUERY_MAXIMUM_RESULTS '").and_then(|(_, rest)| number(rest));
    Some(Limit { bound: Bound::Results, allowed, message })
}

/// Converts a limit to which requests cannot be adapted: the operator of the server must raise it.
impl From<Limit> for IndexError {
    fn from(Limit { bound, message, .. }: Limit) -> Self {
        let what = match bound {
            Bound::Results => "QUERY_MAXIMUM_RESULTS of the server",
            Bound::Bytes => "GRPC_MAX_MESSAGE_SIZE of the server, or the limit of a proxy in front of it",
        };
        failed(FailureKind::Misconfigured, format!("raise {what}; Weaviate's message: {message}"))
    }
}

impl Limit {
    /// Returns the reason for the refusal of a single object that is too large.
    pub(super) fn reason(&self) -> String {
        format!("it is larger than the server accepts: {}", self.message)
    }
}

/// Returns the kind of failure of a call that failed.
pub(super) fn trouble(status: &Status) -> FailureKind {
    let message = status.message();
    match status.code() {
        Code::DeadlineExceeded => FailureKind::TimedOut,
        // Our own deadline: as tonic reports it if it notices first, and as Go reports it in the server.
        Code::Cancelled | Code::Unknown if TIMEOUT_PHRASES.iter().any(|phrase| message.contains(phrase)) => {
            FailureKind::TimedOut
        }
        // Limits of messages and results have the codes of other errors, and a retry does not help.
        _ if limit(status).is_some() => FailureKind::Misconfigured,
        Code::ResourceExhausted => FailureKind::Busy { retry_after: retry_delay(status) },
        // A wrong key, a restriction of this server, a server that is not Weaviate, or a request that it never accepts.
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::OutOfRange
        | Code::Unimplemented => FailureKind::Refused,
        // Older versions report a wrong key like this, and every version reports requests like this that it never
        // accepts.
        Code::Unknown if REFUSAL_PHRASES.iter().any(|phrase| message.contains(phrase)) => FailureKind::Refused,
        // `Unavailable` is reported for a failed connection, and in maintenance and read-only mode.
        Code::Ok
        | Code::Unknown
        | Code::Internal
        | Code::DataLoss
        | Code::Aborted
        | Code::Cancelled
        | Code::Unavailable => FailureKind::Failed,
    }
}

const TIMEOUT_PHRASES: [&str; 2] = ["Timeout expired", "context deadline exceeded"];
const REFUSAL_PHRASES: [&str; 5] = ["extract auth", "unauthorized", "forbidden", "vector lengths", "no such prop"];

fn retry_delay(status: &Status) -> Duration {
    let header = status.metadata().get("retry-after").and_then(|value| value.to_str().ok());
    header.and_then(parse_retry_after).unwrap_or(DEFAULT_RETRY_DELAY)
}

/// Returns a status as a line for the log, without its metadata.
pub(super) fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), one_line(status.message().as_bytes()))
}

/// Why an object of a batch was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The class does not exist: it was dropped after it was checked.
    NoClass,
    /// The class is not the one that was checked.
    OtherClass,
    /// The server has no space or no time; the object is not the reason.
    Server,
    /// The object itself is refused.
    Object,
    /// The message is not recognised.
    Unknown,
}

/// Classifies the error message of a batch for one object. Quoted parts are ignored: values in quotation marks, the
/// name of the class, and the texts of the object in `own`.
pub(super) fn refusal(message: &str, class: &str, own: &[&str]) -> Refusal {
    let mut message = message.to_owned();
    for text in own.iter().filter(|text| text.len() >= MIN_OWN_TEXT_BYTES) {
        message = message.replace(text, " ");
    }
    let message = strip_quoted(&message).to_ascii_lowercase().replace(&class.to_ascii_lowercase(), " ");
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let any = |phrases: &[&str]| phrases.iter().any(|phrase| contains_phrase(&message, phrase));
    if message.starts_with("auto-schema: create") || any(&NO_CLASS_PHRASES) {
        return Refusal::NoClass;
    }
    if message.starts_with("auto-schema: update") {
        return Refusal::OtherClass;
    }
    // Checked before the server's phrases, because the refusal of a replica is wrapped into a message about replicas.
    if OBJECT_PREFIXES.iter().any(|prefix| message.starts_with(prefix)) || any(&OBJECT_PHRASES) {
        return Refusal::Object;
    }
    if any(&SERVER_PHRASES) { Refusal::Server } else { Refusal::Unknown }
}

/// The minimum bytes of an object's text that is removed from a message: a shorter one often occurs by chance.
const MIN_OWN_TEXT_BYTES: usize = 8;

/// Returns `message` without the quoted parts. An apostrophe inside a word is not a quotation mark.
fn strip_quoted(message: &str) -> String {
    let mut plain = String::with_capacity(message.len());
    let (mut open, mut before) = (None, ' ');
    let mut rest = message.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        match open {
            Some(mark) if c == mark && before != '\\' && !next.is_alphanumeric() => {
                open = None;
                plain.push(' ');
            }
            Some(_) => {}
            None if matches!(c, '\'' | '"' | '`') && !before.is_alphanumeric() => open = Some(c),
            None => plain.push(c),
        }
        before = c;
    }
    plain
}

/// Returns whether `message` contains the phrase on its own, and not as a part of a name or a path. A `*` at the
/// end of the phrase matches any ending.
fn contains_phrase(message: &str, phrase: &str) -> bool {
    let (phrase, any_end) = phrase.strip_suffix('*').map_or((phrase, false), |phrase| (phrase, true));
    message.match_indices(phrase).any(|(at, _)| {
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '-');
        let mut following = message[at + phrase.len()..].chars();
        let (next, after) = (following.next(), following.next());
        let named = next == Some('.') && after.is_some_and(char::is_alphanumeric);
        let ends = any_end || !(next.is_some_and(part) || named);
        ends && !message[..at].chars().next_back().is_some_and(|c| part(c) || c == '.')
    })
}

/// How messages about the properties of an object begin (`usecases/objects/validation`).
const OBJECT_PREFIXES: [&str; 4] = ["invalid ", "no such prop", "unrecognized data type", "object has an empty class"];

/// Phrases of errors of an object, mostly of its vector (`adapters/repos/db/vector`).
const OBJECT_PHRASES: [&str; 8] = [
    "vector with length",
    "vectors with length",
    "vector lengths",
    "vectors of different lengths",
    "dimensions do not match",
    "nil-vector",
    "unknown property",
    "reserved property name",
];

/// Phrases of errors of the server that do not depend on the object (`entities/errors`, `entities/storagestate`, the
/// memory watch, replication, the schema of the cluster, and errors of Go itself).
const SERVER_PHRASES: [&str; 44] = [
    "read-only",
    "readonly",
    "read only",
    "context deadline",
    "deadline exceeded",
    "context canceled",
    "timeout",
    "timed out",
    "not enough memory*",
    "memory pressure",
    "out of memory",
    "cannot allocate memory",
    "shutdown",
    "shutting down",
    "shut down",
    "limit exceeded",
    "rate limit",
    "too many requests",
    "no space left",
    "disk quota exceeded",
    "disk full",
    "input/output error",
    "too many open files",
    "connection refused",
    "connection reset",
    "broken pipe",
    "eof",
    "unavailable",
    "busy",
    "maintenance",
    "loading",
    "tenant not active",
    "consistency level",
    "replication",
    "replica*",
    "not the leader",
    "leader not found",
    "store not open",
    "schema to catch up",
    "could not acquire lock",
    "send http request",
    "open http request",
    "status code: 5*",
    "status code 5*",
];

/// Returns whether the class is missing or is being dropped. Each layer of the server has its own message for it.
fn reports_missing_class(message: &str) -> bool {
    // `class "DocumentsImages" not found`, as the error of a search names it.
    let named = message.split_once("class \"").and_then(|(_, rest)| rest.split_once('"'));
    NO_CLASS_PHRASES.iter().any(|phrase| message.contains(phrase))
        || named.is_some_and(|(_, rest)| rest.starts_with(" not found"))
}

const NO_CLASS_PHRASES: [&str; 8] = [
    "could not find index for class",
    "cannot find index for class",
    "could not find class",
    "not present in schema",
    "not found in schema",
    "given class does not exist",
    "non-existing index",
    "class not found",
];

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;

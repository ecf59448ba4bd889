//! What Weaviate's refusals mean. Its gRPC service answers most of them with the code Unknown and a sentence, so the
//! sentence is read where the code says nothing. What it says itself goes to the log alone.

use std::time::Duration;

use reqwest::StatusCode;
use tonic::{Code, Status};

use super::NAME;
use crate::domain::{CollectionName, DependencyError, Trouble, with_causes};
use crate::index::IndexError;
use crate::resilience::parse_retry_after;

/// When a server that is busy does not say when to come back.
const SOON: Duration = Duration::from_secs(1);
/// Characters of its words that are kept.
const WORDS: usize = 300;

/// The store itself is the trouble.
pub(super) fn failed(trouble: Trouble, detail: impl Into<String>) -> IndexError {
    IndexError::Dependency(DependencyError { dependency: NAME.to_owned(), trouble, detail: detail.into() })
}

/// A gRPC call about `collection` that was not OK.
pub(super) fn of_status(status: &Status, collection: &CollectionName) -> IndexError {
    let said = status.message();
    if status.code() == Code::Unknown && lacks_class(said) {
        return IndexError::UnknownCollection(collection.clone());
    }
    failed(trouble(status), describe(status))
}

/// What kind of failure a call that was not OK is.
pub(super) fn trouble(status: &Status) -> Trouble {
    let said = status.message();
    match status.code() {
        Code::DeadlineExceeded => Trouble::TimedOut,
        // What tonic makes of our own deadline where it is the first to notice, and what Go makes of it over there.
        Code::Cancelled | Code::Unknown if TOO_LATE.iter().any(|words| said.contains(words)) => Trouble::TimedOut,
        // Its limit of messages has the code of a usage limit, and does not pass.
        Code::ResourceExhausted if said.contains("larger than max") => Trouble::Refused,
        Code::ResourceExhausted => Trouble::Busy { retry_after: retry_after_of(status) },
        // A key; a restriction of this server; something that is no Weaviate; a request that it will never take.
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::OutOfRange
        | Code::Unimplemented => Trouble::Refused,
        // Older versions say so of a key, and every version of what it will never answer.
        Code::Unknown if REFUSALS.iter().any(|words| said.contains(words)) => Trouble::Refused,
        // Unavailable is a connection that fails, and what maintenance and read-only mode say.
        Code::Ok
        | Code::Unknown
        | Code::Internal
        | Code::DataLoss
        | Code::Aborted
        | Code::Cancelled
        | Code::Unavailable => Trouble::Failed,
    }
}

const TOO_LATE: [&str; 2] = ["Timeout expired", "context deadline exceeded"];
const REFUSALS: [&str; 6] =
    ["extract auth", "unauthorized", "forbidden", "vector lengths", "query maximum results", "no such prop"];

fn retry_after_of(status: &Status) -> Duration {
    let told = status.metadata().get("retry-after").and_then(|value| value.to_str().ok());
    told.and_then(parse_retry_after).unwrap_or(SOON)
}

/// A status as a line for the log, without its metadata.
pub(super) fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), words(status.message().as_bytes()))
}

/// A REST reply that is no success, with its `Retry-After` and the beginning of its body.
pub(super) fn of_http(status: StatusCode, wait: Option<&str>, body: &[u8]) -> IndexError {
    let wait = wait.and_then(parse_retry_after);
    let trouble = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Trouble::TimedOut,
        StatusCode::TOO_MANY_REQUESTS => Trouble::Busy { retry_after: wait.unwrap_or(SOON) },
        StatusCode::SERVICE_UNAVAILABLE => wait.map_or(Trouble::Failed, |retry_after| Trouble::Busy { retry_after }),
        status if status.is_server_error() => Trouble::Failed,
        // Wrong key, wrong address, a redirection, another kind of service: a matter of settings.
        _ => Trouble::Refused,
    };
    failed(trouble, format!("{status}: {}", words(body)))
}

/// A REST call without a reply.
pub(super) fn of_transport(error: &reqwest::Error) -> IndexError {
    let trouble = if error.is_timeout() { Trouble::TimedOut } else { Trouble::Failed };
    failed(trouble, with_causes(error))
}

/// Why one object of a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such class: it went after it was looked at.
    NoClass,
    /// The class is another one than that which was looked at.
    OtherClass,
    /// The server has no room or no time: nothing of the object's.
    Server,
    /// The object.
    Object,
}

/// Reads the sentence that a batch has for one object.
pub(super) fn refusal(said: &str) -> Refusal {
    if said.contains("auto-schema: create") || lacks_class(said) {
        return Refusal::NoClass;
    }
    if said.contains("auto-schema: update") {
        return Refusal::OtherClass;
    }
    let server = SERVER_SIDE.iter().any(|words| said.to_ascii_lowercase().contains(words));
    if server { Refusal::Server } else { Refusal::Object }
}

/// Words of errors that are the server's whatever the object (`entities/errors`, `entities/storagestate`, memory watch,
/// replication, and Go's own).
const SERVER_SIDE: [&str; 16] = [
    "read-only",
    "readonly",
    "read only",
    "context deadline",
    "context canceled",
    "not enough memory",
    "shutdown",
    "shutting down",
    "limit exceeded",
    "no space left",
    "connection refused",
    "connection reset",
    "consistency level",
    "replication",
    "status code: 5",
    "timeout",
];

/// A class that is not there, or goes at this moment: each layer of the server has its own words for it.
fn lacks_class(said: &str) -> bool {
    // `class "DocumentsImages" not found`, where a search names it.
    let named = said.split_once("class \"").and_then(|(_, rest)| rest.split_once('"'));
    NO_CLASS.iter().any(|words| said.contains(words)) || named.is_some_and(|(_, rest)| rest.starts_with(" not found"))
}

const NO_CLASS: [&str; 6] = [
    "could not find class",
    "not present in schema",
    "not found in schema",
    "given class does not exist",
    "non-existing index",
    "class not found",
];

/// A body as one short line for the log.
pub(super) fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(16 * WORDS)]);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WORDS { line } else { format!("{}…", line.chars().take(WORDS).collect::<String>()) }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;

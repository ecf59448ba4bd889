//! What Weaviate's refusals mean. Its gRPC service answers most of them with the code Unknown and a sentence, so the
//! sentence is read where the code says nothing. What it says itself goes to the log alone.

use std::time::Duration;

use reqwest::StatusCode;
use tonic::{Code, Status};

use super::NAME;
use crate::domain::{CollectionName, DependencyError, Trouble, with_causes};
use crate::index::IndexError;
use crate::index::learned::{message_limit, number};
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
    if let Some(limit) = limit(status) {
        return limit.into();
    }
    failed(trouble(status), describe(status))
}

/// A request was refused because of a limit of the server, or of a proxy in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) bound: Bound,
    /// The largest value that is allowed, if the server names it.
    pub(super) allowed: Option<usize>,
    said: String,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// Objects that a search ranks, a list shows or a request deletes.
    Results,
    /// Bytes of a message.
    Bytes,
}

/// The limit that a call was refused for, if it was.
pub(super) fn limit(status: &Status) -> Option<Limit> {
    let said = words(status.message().as_bytes());
    if let Some(allowed) = message_limit(status) {
        return Some(Limit { bound: Bound::Bytes, allowed, said });
    }
    let (_, rest) = status.message().split_once("query maximum results exceeded")?;
    let allowed = rest.split_once("QUERY_MAXIMUM_RESULTS '").and_then(|(_, rest)| number(rest));
    Some(Limit { bound: Bound::Results, allowed, said })
}

/// A limit that nothing here can keep to: its operator has to raise it.
impl From<Limit> for IndexError {
    fn from(Limit { bound, said, .. }: Limit) -> Self {
        let what = match bound {
            Bound::Results => "QUERY_MAXIMUM_RESULTS of the server",
            Bound::Bytes => "GRPC_MAX_MESSAGE_SIZE of the server, or what a proxy in front of it takes",
        };
        failed(Trouble::Misconfigured, format!("raise {what}; Weaviate says: {said}"))
    }
}

impl Limit {
    /// Why one object is refused that is too large alone.
    pub(super) fn reason(&self) -> String {
        format!("it is larger than the server takes: {}", self.said)
    }
}

/// What kind of failure a call that was not OK is.
pub(super) fn trouble(status: &Status) -> Trouble {
    let said = status.message();
    match status.code() {
        Code::DeadlineExceeded => Trouble::TimedOut,
        // What tonic makes of our own deadline where it is the first to notice, and what Go makes of it over there.
        Code::Cancelled | Code::Unknown if TOO_LATE.iter().any(|words| said.contains(words)) => Trouble::TimedOut,
        // Limits of messages and results have the codes of other things, and do not pass.
        _ if limit(status).is_some() => Trouble::Misconfigured,
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
const REFUSALS: [&str; 5] = ["extract auth", "unauthorized", "forbidden", "vector lengths", "no such prop"];

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
    /// Nobody knows: it is said in words that are not known here.
    Unknown,
}

/// Reads the sentence that a batch has for one object. What it quotes does not decide: values in quotation marks, the name
/// of the class, and `own`, the object's texts.
pub(super) fn refusal(said: &str, class: &str, own: &[&str]) -> Refusal {
    let mut said = said.to_owned();
    for text in own.iter().filter(|text| text.len() >= SHORT) {
        said = said.replace(text, " ");
    }
    let said = unquoted(&said).to_ascii_lowercase().replace(&class.to_ascii_lowercase(), " ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let any = |all: &[&str]| all.iter().any(|phrase| has(&said, phrase));
    if said.starts_with("auto-schema: create") || any(&NO_CLASS) {
        return Refusal::NoClass;
    }
    if said.starts_with("auto-schema: update") {
        return Refusal::OtherClass;
    }
    // First: a replica's refusal of the object is wrapped into words about replicas.
    if OBJECT_BEGINS.iter().any(|beginning| said.starts_with(beginning)) || any(&OBJECT_SIDE) {
        return Refusal::Object;
    }
    if any(&SERVER_SIDE) { Refusal::Server } else { Refusal::Unknown }
}

/// Bytes of a text of the object that is looked for in a sentence at least: a shorter one is part of many words.
const SHORT: usize = 8;

/// `said` without what stands in quotation marks. An apostrophe inside a word is none.
fn unquoted(said: &str) -> String {
    let mut plain = String::with_capacity(said.len());
    let (mut open, mut before) = (None, ' ');
    let mut rest = said.chars().peekable();
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

/// Whether the phrase stands in `said` as words of its own, not as a part of a name or a path. A `*` at its end stands for
/// any end of its last word.
fn has(said: &str, phrase: &str) -> bool {
    let (phrase, any_end) = phrase.strip_suffix('*').map_or((phrase, false), |phrase| (phrase, true));
    said.match_indices(phrase).any(|(at, _)| {
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '-');
        let mut behind = said[at + phrase.len()..].chars();
        let (next, after) = (behind.next(), behind.next());
        let named = next == Some('.') && after.is_some_and(char::is_alphanumeric);
        let ends = any_end || !(next.is_some_and(part) || named);
        ends && !said[..at].chars().next_back().is_some_and(|c| part(c) || c == '.')
    })
}

/// Sentences about an object's own properties begin so (`usecases/objects/validation`).
const OBJECT_BEGINS: [&str; 4] = ["invalid ", "no such prop", "unrecognized data type", "object has an empty class"];

/// Words of errors that are an object's: of its vector above all (`adapters/repos/db/vector`).
const OBJECT_SIDE: [&str; 8] = [
    "vector with length",
    "vectors with length",
    "vector lengths",
    "vectors of different lengths",
    "dimensions do not match",
    "nil-vector",
    "unknown property",
    "reserved property name",
];

/// Words of errors that are the server's whatever the object (`entities/errors`, `entities/storagestate`, memory watch,
/// replication, the cluster's schema, and Go's own).
const SERVER_SIDE: [&str; 44] = [
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

/// A class that is not there, or goes at this moment: each layer of the server has its own words for it.
fn lacks_class(said: &str) -> bool {
    // `class "DocumentsImages" not found`, where a search names it.
    let named = said.split_once("class \"").and_then(|(_, rest)| rest.split_once('"'));
    NO_CLASS.iter().any(|words| said.contains(words)) || named.is_some_and(|(_, rest)| rest.starts_with(" not found"))
}

const NO_CLASS: [&str; 8] = [
    "could not find index for class",
    "cannot find index for class",
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

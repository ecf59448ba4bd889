//! Classifies the error messages of single objects in the reply to a write.

use super::error::NO_CLASS_PHRASES;

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
/// name of the class, and the texts of the object in `own_texts`.
pub(super) fn classify(message: &str, class: &str, own_texts: &[&str]) -> Refusal {
    let mut message = message.to_owned();
    for text in own_texts.iter().filter(|text| text.len() >= MIN_OWN_TEXT_BYTES) {
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
const SERVER_PHRASES: [&str; 46] = [
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
    "already shut",
    "already closed",
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

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;

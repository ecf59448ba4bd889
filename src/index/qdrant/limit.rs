//! The limits of a server, or of a proxy in front of it, for requests: gRPC message sizes, rate limits, and Qdrant's
//! strict mode (`lib/collection/src/operations/verification` in its sources).

use tonic::{Code, Status};

use crate::index::size_limit::{message_limit, number};

/// A request was refused because of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) bound: Bound,
    /// The largest value that is allowed, if the server names it.
    pub(super) allowed: Option<usize>,
    /// The message of the server.
    pub(super) message: String,
}

/// What is limited. It decides how a request can be adapted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// The bytes of one message.
    Bytes,
    /// The points of one write.
    Points,
    /// The `limit` of one query.
    Page,
    /// Exact counts are not allowed.
    Exact,
    /// Memory or disk of the server. Applies until space is free again.
    Capacity,
    /// A limit that a smaller request does not avoid.
    Fixed,
}

impl Limit {
    /// Returns the limit that `status` reports, if it reports one. Reads only the beginning of the message, because the
    /// rest may quote a record.
    pub(super) fn from_status(status: &Status) -> Option<Self> {
        let message = status.message();
        let (bound, allowed) = match status.code() {
            Code::OutOfRange | Code::ResourceExhausted | Code::Unknown => size_limit(status)?,
            // The first versions reported strict mode as `PermissionDenied`.
            Code::InvalidArgument | Code::PermissionDenied => strict_mode_limit(strip_error_kind(message))?,
            _ => return None,
        };
        Some(Self { bound, allowed, message: message.to_owned() })
    }
}

/// Recognises message sizes, and requests that are larger than a rate limit can ever allow.
fn size_limit(status: &Status) -> Option<(Bound, Option<usize>)> {
    if let Some(allowed) = message_limit(status) {
        return Some((Bound::Bytes, allowed));
    }
    status.message().contains("try to split your request").then_some((Bound::Points, None))
}

/// Recognises the messages of strict mode.
fn strict_mode_limit(message: &str) -> Option<(Bound, Option<usize>)> {
    if let Some(rest) = message.strip_prefix("Limit exceeded ") {
        // `256 > 100 for "upsert limit"`
        let (_, rest) = rest.split_once(" > ")?;
        let name = rest.split('"').nth(1)?;
        let bound = match name {
            "upsert limit" => Bound::Points,
            "limit" => Bound::Page,
            _ => Bound::Fixed,
        };
        return Some((bound, number(rest)));
    }
    if message.starts_with("Exact search disabled") {
        return Some((Bound::Exact, None));
    }
    let starts_with_any = |prefixes: &[&str]| prefixes.iter().any(|prefix| message.starts_with(prefix));
    if starts_with_any(&["Resident memory usage is at", "Disk usage is at"]) {
        return Some((Bound::Capacity, None));
    }
    // Messages of future versions are expected to end in the same way.
    let help =
        message.rsplit_once(". Help: ").is_some_and(|(_, help)| HELP_VERBS.iter().any(|verb| help.starts_with(verb)));
    (help || starts_with_any(&FIXED_LIMIT_PREFIXES)).then_some((Bound::Fixed, None))
}

/// How the advice at the end of a message of strict mode begins.
const HELP_VERBS: [&str; 6] = ["Reduce ", "Set ", "Create ", "Use ", "Please ", "Delete "];

/// How the other messages of strict mode begin.
const FIXED_LIMIT_PREFIXES: [&str; 8] = [
    "Filter condition limit reached",
    "Condition size limit reached",
    "Index required but not found",
    "Index of type",
    "Substring matching is not allowed",
    "Collection already has the maximum number of payload indices",
    "Max points count limit of",
    "Max vector storage size limit of",
];

/// Removes the error kind that the server puts before its message: `Bad request: `, `Forbidden: `.
fn strip_error_kind(mut message: &str) -> &str {
    while let Some((kind, rest)) = message.split_once(": ") {
        if !ERROR_KINDS.contains(&kind) {
            break;
        }
        message = rest;
    }
    message
}

const ERROR_KINDS: [&str; 5] = ["Wrong input", "Bad request", "Bad input", "Forbidden", "Strict mode error"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: Code, message: &str) -> Option<(Bound, Option<usize>)> {
        Limit::from_status(&Status::new(code, message)).map(|limit| (limit.bound, limit.allowed))
    }

    #[test]
    fn each_limit_is_recognised_by_its_message() {
        use Bound::{Bytes, Capacity, Exact, Fixed, Page, Points};
        let refused = Code::InvalidArgument;
        for (code, message, bound, allowed) in [
            (
                refused,
                "Bad request: Limit exceeded 256 > 100 for \"upsert limit\". Help: Reduce it.",
                Points,
                Some(100),
            ),
            (Code::PermissionDenied, "Forbidden: Limit exceeded 18 > 5 for \"limit\". Help: Reduce it.", Page, Some(5)),
            (refused, "Wrong input: Bad request: Limit exceeded 18 > 5 for \"limit\". Help: Reduce it.", Page, Some(5)),
            (refused, "Limit exceeded 90 > 60 for \"timeout\". Help: Reduce it.", Fixed, Some(60)),
            (refused, "Bad request: Exact search disabled!. Help: Set exact=false.", Exact, None),
            (refused, "Bad request: Filter condition limit reached (9 > 4). Help: Reduce it.", Fixed, None),
            (refused, "Bad request: Index required but not found for \"meta_kv\" of one of", Fixed, None),
            (refused, "Bad request: Max points count limit of 10 reached!", Fixed, None),
            (refused, "Bad request: Something new. Help: Set something=false.", Fixed, None),
            (refused, "Bad request: Max vector storage size limit of 1MB reached!", Fixed, None),
            (refused, "Bad request: Collection already has the maximum number of payload indices (2)", Fixed, None),
            (refused, "Bad request: Resident memory usage is at 91% of total memory", Capacity, None),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
                Bytes,
                Some(4),
            ),
            (Code::ResourceExhausted, "grpc: received message larger than max (5000 vs. 4096)", Bytes, Some(4_096)),
            (Code::Unknown, "grpc-status header missing, mapped from HTTP status code 413", Bytes, None),
            (
                Code::ResourceExhausted,
                "Rate limiting exceeded: Write rate limit exceeded, request larger than rate limiter capacity, please \
                 try to split your request",
                Points,
                None,
            ),
        ] {
            assert_eq!(read(code, message), Some((bound, allowed)), "{message}");
        }
    }

    #[test]
    fn other_messages_and_quoted_limits_are_not_limits() {
        for (code, message) in [
            (Code::InvalidArgument, "Wrong input: Vector dimension error: expected dim: 4, got 2"),
            (Code::InvalidArgument, "Wrong input: Payload `Limit exceeded 2 > 1 for \"limit\"` is invalid"),
            (Code::InvalidArgument, "Wrong input: a.jpg: Limit exceeded 2 > 1 for \"limit\""),
            (Code::PermissionDenied, "Forbidden: Write access to collection documents_images is required"),
            (Code::PermissionDenied, "Access denied"),
            (
                Code::ResourceExhausted,
                "Rate limiting exceeded: Write rate limit exceeded: Operation requires 10 tokens",
            ),
            (Code::OutOfRange, "x"),
            (Code::Internal, "Limit exceeded 2 > 1 for \"limit\""),
        ] {
            assert_eq!(read(code, message), None, "{message}");
        }
    }
}

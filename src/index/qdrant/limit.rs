//! The limits that a server, or a proxy in front of it, puts on requests: gRPC message sizes, rate limits, and Qdrant's
//! strict mode (`lib/collection/src/operations/verification` in its sources).

use tonic::{Code, Status};

use crate::index::learned::{message_limit, number};

/// A request was refused because of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) bound: Bound,
    /// The largest value that is allowed, if the server names it.
    pub(super) allowed: Option<usize>,
    /// The server's own sentence.
    pub(super) said: String,
}

/// What is limited, and so what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// Bytes of one message.
    Bytes,
    /// Points of one write.
    Points,
    /// The `limit` of one query.
    Page,
    /// Exact counts are not allowed.
    Exact,
    /// Memory or disk of the server: passes when there is room again.
    Room,
    /// Something that a smaller request does not change.
    Fixed,
}

impl Limit {
    /// The limit that `status` is about, if it is about one.
    ///
    /// Only what the server itself says at the beginning of its sentence decides: the rest may quote a record.
    pub(super) fn read(status: &Status) -> Option<Self> {
        let said = status.message();
        let (bound, allowed) = match status.code() {
            Code::OutOfRange | Code::ResourceExhausted | Code::Unknown => size(status)?,
            // Strict mode was `PermissionDenied` in its first versions.
            Code::InvalidArgument | Code::PermissionDenied => strict(without_kind(said))?,
            _ => return None,
        };
        Some(Self { bound, allowed, said: said.to_owned() })
    }
}

/// Sizes of messages, and requests that are larger than a rate limit ever allows.
fn size(status: &Status) -> Option<(Bound, Option<usize>)> {
    if let Some(allowed) = message_limit(status) {
        return Some((Bound::Bytes, allowed));
    }
    status.message().contains("try to split your request").then_some((Bound::Points, None))
}

/// A sentence of strict mode.
fn strict(said: &str) -> Option<(Bound, Option<usize>)> {
    if let Some(rest) = said.strip_prefix("Limit exceeded ") {
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
    if said.starts_with("Exact search disabled") {
        return Some((Bound::Exact, None));
    }
    let has = |beginnings: &[&str]| beginnings.iter().any(|beginning| said.starts_with(beginning));
    if has(&["Resident memory usage is at", "Disk usage is at"]) {
        return Some((Bound::Room, None));
    }
    // Rules of versions to come end in the same way.
    let help = said.rsplit_once(". Help: ").is_some_and(|(_, help)| HELP.iter().any(|verb| help.starts_with(verb)));
    (help || has(&FIXED)).then_some((Bound::Fixed, None))
}

/// How the advice at the end of a sentence of strict mode begins.
const HELP: [&str; 6] = ["Reduce ", "Set ", "Create ", "Use ", "Please ", "Delete "];

/// How the other sentences of strict mode begin.
const FIXED: [&str; 8] = [
    "Filter condition limit reached",
    "Condition size limit reached",
    "Index required but not found",
    "Index of type",
    "Substring matching is not allowed",
    "Collection already has the maximum number of payload indices",
    "Max points count limit of",
    "Max vector storage size limit of",
];

/// The sentence without the kind of error that the server puts before it: `Bad request: `, `Forbidden: `.
fn without_kind(mut said: &str) -> &str {
    while let Some((kind, rest)) = said.split_once(": ") {
        if !KINDS.contains(&kind) {
            break;
        }
        said = rest;
    }
    said
}

const KINDS: [&str; 5] = ["Wrong input", "Bad request", "Bad input", "Forbidden", "Strict mode error"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: Code, said: &str) -> Option<(Bound, Option<usize>)> {
        Limit::read(&Status::new(code, said)).map(|limit| (limit.bound, limit.allowed))
    }

    #[test]
    fn each_limit_is_told_by_its_sentence() {
        use Bound::{Bytes, Exact, Fixed, Page, Points, Room};
        let refused = Code::InvalidArgument;
        for (code, said, bound, allowed) in [
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
            (refused, "Bad request: Resident memory usage is at 91% of total memory", Room, None),
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
            assert_eq!(read(code, said), Some((bound, allowed)), "{said}");
        }
    }

    #[test]
    fn what_is_no_limit_or_only_quotes_one_is_none() {
        for (code, said) in [
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
            assert_eq!(read(code, said), None, "{said}");
        }
    }
}

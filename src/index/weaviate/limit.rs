//! The limits of a server, or of a proxy in front of it, for requests.

use tonic::Status;

use super::error::failed;
use crate::domain::FailureKind;
use crate::http::one_line;
use crate::index::IndexError;
use crate::index::size_limit::{message_limit, number};

/// A request was refused because of a limit.
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

/// Returns the limit that `status` reports, if it reports one.
pub(super) fn find_limit(status: &Status) -> Option<Limit> {
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

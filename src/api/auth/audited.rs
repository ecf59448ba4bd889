//! What a request adds to the audit log.

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, header};
use axum::response::Response;
use tower_http::request_id::RequestId;

use super::identity::Identity;
use super::roles::Access;
use crate::domain::{AuditEntry, Role, Timestamp};

/// Maximum number of characters of a path and of a location.
const MAX_CHARACTERS: usize = 1_200;

/// An entry for a request whose reply is not known yet.
#[derive(Debug)]
pub(super) struct Pending(AuditEntry);

/// Returns the entry for a request that needs the role write or admin and is not only a question.
pub(super) fn audit_entry(request: &Request, access: Access, identity: &Identity) -> Option<Pending> {
    let Access::Role(role @ (Role::Write | Role::Admin)) = access else { return None };
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)?;
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    Some(Pending(AuditEntry {
        at: Timestamp::now(),
        name: identity.name.as_deref().map(str::to_owned),
        role,
        action: format!("{} {}", request.method(), route.replace("{*", "{")),
        path: shortened(request.uri().path()),
        status: 0,
        location: None,
        request_id: id.map(shortened),
    }))
}

impl Pending {
    /// Adds what the reply says.
    pub(super) fn complete(self, response: &Response) -> AuditEntry {
        let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let status = response.status().as_u16();
        AuditEntry { at: Timestamp::now(), status, location: location.map(shortened), ..self.0 }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_CHARACTERS).collect()
}

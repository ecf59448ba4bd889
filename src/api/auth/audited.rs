//! What a request adds to the audit log.

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, header};
use axum::response::Response;
use tower_http::request_id::RequestId;

use super::identity::Identity;
use super::roles::Access;
use crate::domain::{AuditEntry, Role, Timestamp};
use crate::keys::Audit;

/// Maximum number of characters of a path and of a location.
const MAX_CHARACTERS: usize = 1_200;

/// The status of a request whose client disconnected before the reply began, in the audit log and in the access log.
pub(in crate::api) const DISCONNECTED: u16 = 499;

/// An entry for a request whose reply is not known yet. If it is dropped before the reply, it is recorded too: the request may have
/// changed data although its client has disconnected.
#[derive(Debug)]
pub(super) struct Pending {
    audit: Audit,
    entry: Option<AuditEntry>,
}

/// Returns the entry for a request that needs the role write or admin and is not only a question.
pub(super) fn audit_entry(audit: &Audit, request: &Request, access: Access, identity: &Identity) -> Option<Pending> {
    let Access::Role(role @ (Role::Write | Role::Admin)) = access else { return None };
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)?;
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    let entry = AuditEntry {
        at: Timestamp::now(),
        name: identity.name.as_deref().map(str::to_owned),
        sign_in: identity.sign_in,
        role,
        action: format!("{} {}", request.method(), route.replace("{*", "{")),
        path: shortened(request.uri().path()),
        status: DISCONNECTED,
        location: None,
        request_id: id.map(shortened),
    };
    Some(Pending { audit: audit.clone(), entry: Some(entry) })
}

impl Pending {
    /// Returns what is recorded of the request with its reply; `None` if it was refused, and so has changed nothing. A request that
    /// has failed may have changed something.
    pub(super) fn complete(mut self, response: &Response) -> Option<AuditEntry> {
        let entry = self.entry.take().filter(|_| !response.status().is_client_error())?;
        let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let status = response.status().as_u16();
        Some(AuditEntry { at: Timestamp::now(), status, location: location.map(shortened), ..entry })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.audit.add_later(AuditEntry { at: Timestamp::now(), ..entry });
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_CHARACTERS).collect()
}

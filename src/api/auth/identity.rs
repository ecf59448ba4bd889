//! Who sent a request.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::domain::{Role, SignIn};
use crate::keys::KeyOwner;

/// Who sent a request, in the extensions of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Identity {
    /// The name of the key, or of the user that a proxy or an identity provider has signed in; `None` on a service without keys.
    pub(in crate::api) name: Option<Arc<str>>,
    /// What it may do.
    pub(in crate::api) role: Role,
    /// How it is known who sent it; `None` on a service without keys.
    pub(in crate::api) sign_in: Option<SignIn>,
}

impl Identity {
    /// Everyone, on a service without keys.
    pub(super) fn anonymous() -> Self {
        Self { name: None, role: Role::Admin, sign_in: None }
    }

    /// Fails with 403 if the role is lower than the one that the request needs.
    pub(in crate::api) fn require(&self, needed: Role) -> Result<(), ApiError> {
        if self.role >= needed {
            return Ok(());
        }
        let message =
            format!("this request needs the role `{needed}`, and the key or user has the role `{}`", self.role);
        Err(ApiError::new(StatusCode::FORBIDDEN, "role_too_low", message))
    }
}

impl From<KeyOwner> for Identity {
    fn from(owner: KeyOwner) -> Self {
        Self { name: Some(owner.name), role: owner.role, sign_in: Some(SignIn::Key) }
    }
}

/// The address of the client, in the extensions of the request: that of the connection, or the one that a trusted proxy reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct ClientAddress(pub(in crate::api) Option<IpAddr>);

/// The place in the extensions of a request where the access log, which runs before the sender is known, finds the sender.
#[derive(Clone, Debug, Default)]
pub(in crate::api) struct Sender(Arc<OnceLock<Identity>>);

impl Sender {
    /// Returns the sender, if it is known.
    pub(in crate::api) fn get(&self) -> Option<&Identity> {
        self.0.get()
    }

    pub(super) fn set(&self, identity: Identity) {
        self.0.set(identity).ok();
    }
}

//! Sign-in with a token of an identity provider.

use std::time::Duration;

use axum::http::StatusCode;

use super::identity::Identity;
use crate::api::http::ApiError;
use crate::domain::SignIn;
use crate::jwt::{TokenError, TokenUser};

/// When a token can be sent again, if the keys of the identity provider cannot be read.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// The result of the verification of a token, in the extensions of the request.
#[derive(Clone, Debug)]
pub(super) struct CheckedToken(pub(super) Result<TokenUser, TokenError>);

impl CheckedToken {
    /// Returns the user of the token.
    pub(super) fn identity(&self) -> Result<Identity, ApiError> {
        match &self.0 {
            Ok(TokenUser { name, role: Some(role) }) => {
                Ok(Identity { name: Some(name.clone()), role: *role, sign_in: Some(SignIn::Token) })
            }
            Ok(TokenUser { name, role: None }) => {
                let message = format!(
                    "the user `{name}` has no role here: none of the groups in the token (GLIMPSE_JWT_ROLES_CLAIM) is in GLIMPSE_JWT_ROLES"
                );
                Err(ApiError::new(StatusCode::FORBIDDEN, "no_role", message))
            }
            Err(error @ TokenError::Invalid(_)) => Err(ApiError::unauthorized(error.to_string())),
            Err(error @ TokenError::Unavailable) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(ApiError::new(status, "sign_in_unavailable", error.to_string()).with_retry_after(RETRY_AFTER))
            }
        }
    }
}

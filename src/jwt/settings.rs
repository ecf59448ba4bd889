//! The settings of tokens.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ClaimPath;
use crate::domain::{Endpoint, GroupRoles, Role, words};
use crate::http::is_this_machine;

/// The settings of the sign-in with tokens of an identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JwtSettings {
    /// `GLIMPSE_JWKS_URL`: the address of the keys of the identity provider; empty (default): no tokens.
    pub glimpse_jwks_url: Option<Endpoint>,
    /// `GLIMPSE_JWKS_FILE`: a file with these keys, in place of the address.
    pub glimpse_jwks_file: Option<PathBuf>,
    /// `GLIMPSE_JWT_ISSUER`: the claim `iss` of each token.
    pub glimpse_jwt_issuer: String,
    /// `GLIMPSE_JWT_AUDIENCE`: the claim `aud` of each token has one of these, comma-separated.
    pub glimpse_jwt_audience: String,
    /// `GLIMPSE_JWT_NAME_CLAIM`: the claim with the name of the user in logs; `sub` by default.
    pub glimpse_jwt_name_claim: ClaimPath,
    /// `GLIMPSE_JWT_ROLES_CLAIM`: the claim with the groups of the user; `groups` by default.
    pub glimpse_jwt_roles_claim: ClaimPath,
    /// `GLIMPSE_JWT_ROLES`: the roles of groups, `GROUP=ROLE`, comma-separated; `*` is every user.
    pub glimpse_jwt_roles: GroupRoles,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            glimpse_jwks_url: None,
            glimpse_jwks_file: None,
            glimpse_jwt_issuer: String::new(),
            glimpse_jwt_audience: String::new(),
            glimpse_jwt_name_claim: ClaimPath::subject(),
            glimpse_jwt_roles_claim: ClaimPath::groups(),
            glimpse_jwt_roles: GroupRoles::default(),
        }
    }
}

impl JwtSettings {
    /// Whether tokens are verified.
    pub fn is_set(&self) -> bool {
        self.glimpse_jwks_url.is_some() || self.glimpse_jwks_file.is_some()
    }

    /// Returns the highest role that the user of a token can have; `None` if tokens are not verified.
    pub fn highest_role(&self) -> Option<Role> {
        self.glimpse_jwt_roles.highest().filter(|_| self.is_set())
    }

    pub(super) fn audiences(&self) -> Vec<String> {
        words(&self.glimpse_jwt_audience)
    }

    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    /// A message that names the settings and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        let error = |text: &str| Err(text.to_owned());
        if self.glimpse_jwks_url.is_some() && self.glimpse_jwks_file.is_some() {
            return error("GLIMPSE_JWKS_URL and GLIMPSE_JWKS_FILE are both set; set one of them");
        }
        let has_issuer = !self.glimpse_jwt_issuer.is_empty();
        let (has_audience, has_roles) = (!self.audiences().is_empty(), self.glimpse_jwt_roles.highest().is_some());
        if !self.is_set() {
            if has_issuer || has_audience || has_roles {
                return error(
                    "GLIMPSE_JWT_ISSUER, GLIMPSE_JWT_AUDIENCE and GLIMPSE_JWT_ROLES need GLIMPSE_JWKS_URL or GLIMPSE_JWKS_FILE",
                );
            }
            return Ok(());
        }
        if let Some(url) = &self.glimpse_jwks_url
            && url.url().scheme() != "https"
            && !is_this_machine(url.url())
        {
            return Err(format!(
                "GLIMPSE_JWKS_URL is `{url}`; it must begin with https:// unless it is an address of this machine: over http, others can replace the keys"
            ));
        }
        if !has_issuer {
            return error(
                "GLIMPSE_JWKS_URL and GLIMPSE_JWKS_FILE need GLIMPSE_JWT_ISSUER, the claim `iss` of the tokens",
            );
        }
        if !has_audience {
            return error(
                "GLIMPSE_JWKS_URL and GLIMPSE_JWKS_FILE need GLIMPSE_JWT_AUDIENCE, the claim `aud` of the tokens: without it, a token for another service would be accepted",
            );
        }
        if !has_roles {
            return error(
                "GLIMPSE_JWKS_URL and GLIMPSE_JWKS_FILE need GLIMPSE_JWT_ROLES, such as `*=read,editors=write`",
            );
        }
        Ok(())
    }
}

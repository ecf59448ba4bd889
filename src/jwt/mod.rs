//! Tokens of an identity provider: JSON Web Tokens, whose signatures are verified with the keys that the provider publishes
//! (JWKS).

mod claim_path;
mod claims;
mod error;
mod key_cache;
mod key_set;
mod key_source;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::{GroupRoles, InvalidSetting, Role};

pub use claim_path::ClaimPath;
pub use error::TokenError;
pub use settings::JwtSettings;

use key_cache::KeyCache;
use key_source::KeySource;

/// The user of a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUser {
    /// The claim of `GLIMPSE_JWT_NAME_CLAIM`: at most 255 characters, without control characters.
    pub name: Arc<str>,
    /// The highest role of the groups of the user; `None` if none of them has a role.
    pub role: Option<Role>,
}

/// Verifies tokens. Clones share the keys.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Option<Arc<Verifier>>);

#[derive(Debug)]
struct Verifier {
    keys: KeyCache,
    issuer: String,
    audiences: Vec<String>,
    name_claim: ClaimPath,
    roles_claim: ClaimPath,
    roles: GroupRoles,
}

impl Tokens {
    /// Reads `GLIMPSE_JWKS_FILE`, if it is set. Makes no network call: the keys of `GLIMPSE_JWKS_URL` are requested by
    /// [`keep`](Self::keep), or by the first token. Without these settings, no tokens are verified.
    ///
    /// # Errors
    /// A message that names the setting.
    pub async fn open(settings: &JwtSettings, ca_file: Option<PathBuf>) -> Result<Self, InvalidSetting> {
        let Some(source) = KeySource::new(settings, ca_file)? else { return Ok(Self::default()) };
        let is_file = source.is_file();
        let keys = KeyCache::new(source);
        if is_file {
            keys.refresh().await.map_err(InvalidSetting::from)?;
        }
        Ok(Self(Some(Arc::new(Verifier {
            keys,
            issuer: settings.glimpse_jwt_issuer.clone(),
            audiences: settings.audiences(),
            name_claim: settings.glimpse_jwt_name_claim.clone(),
            roles_claim: settings.glimpse_jwt_roles_claim.clone(),
            roles: settings.glimpse_jwt_roles.clone(),
        }))))
    }

    /// Reads the keys now, for a check. Returns their number; `None` if no tokens are verified.
    ///
    /// # Errors
    /// A message that names the setting and its value.
    pub async fn check(&self) -> Option<Result<usize, String>> {
        let verifier = self.0.as_ref()?;
        Some(verifier.keys.refresh().await.map(|()| verifier.keys.count()))
    }

    /// Returns a sentence if the keys cannot be read, for the notes of the service. It does not have their address: every
    /// client can read the notes.
    pub fn note(&self) -> Option<String> {
        self.0.as_ref()?.keys.note()
    }

    /// Verifies a bearer token. Returns `None` if it does not have the form of a JSON Web Token, or if none are configured: it
    /// may be a key of the service.
    pub async fn verify(&self, token: &str) -> Option<Result<TokenUser, TokenError>> {
        let verifier = self.0.as_ref()?;
        Some(verifier.verify(verify::parse_form(token)?).await)
    }

    /// Keeps the keys up to date until `end`.
    pub async fn keep(self, end: CancellationToken) {
        match self.0 {
            Some(verifier) => verifier.keys.keep(end).await,
            None => end.cancelled().await,
        }
    }
}

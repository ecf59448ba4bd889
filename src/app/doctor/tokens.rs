//! Checks the keys of the identity provider, if tokens are verified.

use super::{CheckResult, Doctor, Problem, finding};
use crate::jwt::Tokens;

impl Doctor {
    /// Reads the keys of `GLIMPSE_JWKS_URL` or `GLIMPSE_JWKS_FILE`. Returns `None` if none are set.
    pub async fn tokens(&self) -> Option<CheckResult> {
        if !self.settings.jwt.is_set() {
            return None;
        }
        let check = async {
            let advice = "correct the address or the file, or start the identity provider; GLIMPSE_CA_FILE names a private authority";
            let tokens = Tokens::open(&self.settings.jwt, self.settings.locations.glimpse_ca_file.clone()).await;
            let count = tokens.map_err(|error| Problem::new(&error, advice))?.check().await;
            let count = count.transpose().map_err(|error| Problem::new(&error, advice))?.unwrap_or_default();
            Ok(format!("{count} keys of {} (GLIMPSE_JWT_ISSUER)", self.settings.jwt.glimpse_jwt_issuer))
        };
        Some(finding("tokens", check).await)
    }
}

//! Checks the form, the signature and the claims of a token.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode};
use serde_json::Value;

use super::{TokenError, TokenUser, Verifier, claims};

/// Maximum size of a token in bytes. Tokens with many groups have some kilobytes.
const MAX_BYTES: usize = 16 * 1024;
/// Maximum number of bytes of the id of a key.
const MAX_KEY_ID: usize = 256;
/// Difference of clocks that is allowed, in seconds.
const LEEWAY: u64 = 60;

/// A text with the form of a token. Nothing in it is verified.
pub(super) struct Unverified<'a> {
    text: &'a str,
    header: Value,
}

/// Returns the token, if the text has the form of one: three parts in base64, of which the first is a JSON object with `alg`.
pub(super) fn parse_form(text: &str) -> Option<Unverified<'_>> {
    let is_base64 = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let parts: Vec<&str> = text.splitn(4, '.').collect();
    let [header, claims, signature] = parts[..] else { return None };
    // The signature is empty with the algorithm `none`.
    if header.is_empty()
        || claims.is_empty()
        || header.len() > MAX_BYTES
        || ![header, claims, signature].into_iter().all(is_base64)
    {
        return None;
    }
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    header.get("alg").is_some().then_some(Unverified { text, header })
}

impl Verifier {
    pub(super) async fn verify(&self, token: Unverified<'_>) -> Result<TokenUser, TokenError> {
        let Unverified { text, header } = token;
        if text.len() > MAX_BYTES {
            return Err(TokenError::invalid(format!("it has more than {MAX_BYTES} bytes")));
        }
        let id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= MAX_KEY_ID => Some(id.as_str()),
            Some(_) => {
                let problem =
                    format!("the id of a key in its header (`kid`) is not a text of at most {MAX_KEY_ID} bytes");
                return Err(TokenError::invalid(problem));
            }
        };
        let key = self.keys.find(id).await?;
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&self.audiences);
        let token = decode::<Value>(text, &key.public, &validation);
        let claims = token.map_err(|error| TokenError::invalid(reason(error.kind())))?.claims;
        // The library accepts a list with the issuer. RFC 7519 defines one text.
        if !claims.get("iss").is_some_and(Value::is_string) {
            return Err(TokenError::invalid("the claim `iss` has another type than it must have"));
        }
        let name = claims::name(&claims, &self.name_claim)?;
        let role = self.roles.role_of(&claims::groups(&claims, &self.roles_claim));
        Ok(TokenUser { name: Arc::from(name), role })
    }
}

/// Returns why a token is not valid. The text has no part of the token.
fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::ExpiredSignature => "it has expired (`exp`)",
        ErrorKind::ImmatureSignature => "it is not valid yet (`nbf`); check the clocks",
        ErrorKind::InvalidIssuer => "its issuer (`iss`) is not that of GLIMPSE_JWT_ISSUER",
        ErrorKind::InvalidAudience => "it is for another audience (`aud`) than that of GLIMPSE_JWT_AUDIENCE",
        ErrorKind::MissingRequiredClaim(claim) => return format!("the claim `{claim}` is missing"),
        ErrorKind::InvalidClaimFormat(claim) => {
            return format!("the claim `{claim}` has another type than it must have");
        }
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            "its algorithm (`alg`) is not that of the key"
        }
        _ => "it cannot be read",
    }
    .to_owned()
}

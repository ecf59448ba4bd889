//! The token of a job's workers: 32 random bytes. Only its SHA-256 is kept.

use sha2::{Digest, Sha256};

use crate::domain::Secret;

/// Returns a new token; `None` if the system gives no random bytes.
pub(crate) fn fresh() -> Option<Secret> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(Secret::new(hex::encode(bytes)))
}

/// Returns the SHA-256 of a token, which the ledger keeps.
pub(crate) fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

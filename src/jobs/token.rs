//! The token of a job's workers: 32 random bytes. Only its SHA-256 is kept.

use sha2::{Digest, Sha256};

use crate::domain::Secret;

/// A new one; `None` where the system has no random numbers.
pub(super) fn fresh() -> Option<Secret> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(Secret::new(hex::encode(bytes)))
}

/// What is kept of it.
pub(super) fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

//! Why a request about keys is refused.

use super::InvalidKeysFile;
use crate::domain::{InvalidKeyName, KeyName, Timestamp};
use crate::ledger::LedgerError;

/// Why a request about keys is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The name is not valid.
    #[error(transparent)]
    Name(#[from] InvalidKeyName),
    /// The name is taken.
    #[error("the key `{0}` exists; choose another name, or remove it first")]
    Exists(KeyName),
    /// There are too many keys.
    #[error("there are {0} keys, which is the maximum; remove one first")]
    TooMany(usize),
    /// The key would never be valid.
    #[error("must be in the future, not {0}")]
    ExpiresInPast(Timestamp),
    /// The first key of an open service is not an admin key, or it expires.
    #[error(
        "the first key must have the role admin and no expires_at: from then on every request needs a key, and without an \
         admin key that lasts no further key could be made; add an admin key first, or set GLIMPSE_API_KEY"
    )]
    First,
    /// The service was open when the request was accepted, and another request has made the first key meanwhile.
    #[error("another request has just made the first key: from now on, every request needs a key")]
    NotFirst,
    /// Clients on other machines, which need no key, must not close the service.
    #[error("this service is open to other machines by its settings; set GLIMPSE_API_KEY before further keys are made")]
    OpenToOthers,
    /// A key with this name does not exist.
    #[error("the key `{0}` does not exist")]
    Unknown(String),
    /// The key is configured in a setting.
    #[error("the key `{0}` is configured in {1}; remove it there")]
    Configured(String, &'static str),
    /// The key is the last one that can manage keys.
    #[error(
        "the key `{0}` is the last one with the role admin that does not expire; add another one first, or set GLIMPSE_API_KEY"
    )]
    LastAdmin(KeyName),
    /// The system gave no random bytes.
    #[error("a key could not be made: the system gave no random bytes")]
    NoRandomBytes,
    /// `GLIMPSE_KEYS_FILE` cannot be used.
    #[error(transparent)]
    File(#[from] InvalidKeysFile),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

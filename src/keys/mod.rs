//! API keys: who may do what. Keys come from `GLIMPSE_API_KEY`, from `GLIMPSE_KEYS_FILE`, and from the ledger.
//!
//! All of them are in memory, so a request costs no query. The ledger has the digests of the keys that `POST /keys` has made.

mod audit;
mod change;
mod entry;
mod error;
mod file;
mod keep;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use sha2::{Digest, Sha256};

use crate::domain::{KeyDigest, Role, Secret, Timestamp};
use crate::ledger::{Ledger, keys};
use crate::lock::read;

pub use audit::{Audit, MAX_AUDIT_PAGE};
pub use error::KeysError;
pub use file::InvalidKeysFile;

use entry::Entry;
use file::KeysFile;

/// The beginning of each key that the service makes, by which programs that look for secrets recognise it.
const KEY_PREFIX: &str = "glimpse_";

/// Number of random bytes in such a key.
const KEY_BYTES: usize = 32;

/// Minimum number of characters of a key of the settings that is not stored as a digest: a shorter one can be guessed.
pub const MIN_KEY_CHARACTERS: usize = 16;

/// The name of the keys of `GLIMPSE_API_KEY`.
const ENVIRONMENT_NAME: &str = "GLIMPSE_API_KEY";

/// Where a key is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `GLIMPSE_API_KEY`
    Environment,
    /// `GLIMPSE_KEYS_FILE`
    File,
    /// `POST /keys`
    Ledger,
}

impl KeySource {
    /// Returns the name of the source.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::File => "file",
            Self::Ledger => "ledger",
        }
    }
}

/// A key as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// The name of the key.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it is configured.
    pub source: KeySource,
    /// When it was made, if it is in the ledger.
    pub created_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was last used: for a key in the ledger, at all; for others, since the start of the service.
    pub last_used_at: Option<Timestamp>,
}

/// The owner of a valid key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    /// The name of the key.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
}

/// What [`Keys::open`] needs.
#[derive(Clone, Debug)]
pub struct KeysParts {
    /// The ledger.
    pub ledger: Ledger,
    /// The keys of `GLIMPSE_API_KEY`.
    pub environment: Vec<Secret>,
    /// `GLIMPSE_KEYS_FILE`
    pub file: Option<PathBuf>,
    /// The highest role that a client can have without a key, because a proxy or an identity provider signs it in.
    pub user_role: Option<Role>,
    /// Whether only this machine can reach the service, and the settings do not say that it is open to everyone.
    pub is_local: bool,
}

/// The keys. Clones share them.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    environment: Vec<Entry>,
    file: Option<KeysFile>,
    user_role: Option<Role>,
    is_local: bool,
    stored: RwLock<Stored>,
    /// Held while keys are added or removed, so that the first key and the last admin key are recognised.
    change: tokio::sync::Mutex<()>,
}

/// The keys that change while the service runs.
#[derive(Debug, Default)]
struct Stored {
    file: Vec<Entry>,
    ledger: Vec<Entry>,
}

impl Keys {
    /// Reads the keys of every source.
    ///
    /// # Errors
    /// [`KeysError`] if the ledger or the file cannot be read.
    pub async fn open(parts: KeysParts) -> Result<Self, KeysError> {
        let KeysParts { ledger, environment, file, user_role, is_local } = parts;
        let records = ledger.read(keys::all).await?;
        let file = file.map(KeysFile::new);
        let stored = Stored {
            file: match &file {
                Some(file) => file.load().await?,
                None => Vec::new(),
            },
            ledger: records.into_iter().map(Entry::from_record).collect(),
        };
        let entry = |key: Secret| Entry::new(ENVIRONMENT_NAME, Role::Admin, digest(key.reveal()));
        let environment = environment.into_iter().map(entry).collect();
        let (stored, change) = (RwLock::new(stored), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { ledger, environment, file, user_role, is_local, stored, change })))
    }

    /// Whether requests need a key or another sign-in. It stays true if every key has expired, or if the file has no keys.
    pub fn is_required(&self) -> bool {
        let Inner { environment, file, user_role, stored, .. } = &*self.0;
        !environment.is_empty() || file.is_some() || user_role.is_some() || !read(stored).ledger.is_empty()
    }

    /// Returns the number of keys.
    pub fn count(&self) -> usize {
        let stored = read(&self.0.stored);
        self.0.environment.len() + stored.file.len() + stored.ledger.len()
    }

    /// Returns the owner of a key that is valid now, and records its use.
    pub fn find(&self, key: &str) -> Option<KeyOwner> {
        self.find_digest(&digest(key))
    }

    /// The same for the digest of a key. Compares every digest, so that the time does not depend on which one matches.
    pub fn find_digest(&self, digest: &KeyDigest) -> Option<KeyOwner> {
        let (stored, now) = (read(&self.0.stored), Timestamp::now());
        let all = self.0.environment.iter().chain(&stored.file).chain(&stored.ledger);
        let valid: Vec<&Entry> =
            all.filter(|entry| entry.matches(digest)).filter(|entry| !entry.is_expired(now)).collect();
        let best = valid.into_iter().max_by_key(|entry| entry.role)?;
        best.record_use(now);
        Some(KeyOwner { name: best.name.clone(), role: best.role })
    }

    /// Returns every key, in the order of the sources and names.
    pub fn list(&self) -> Vec<KeyView> {
        let stored = read(&self.0.stored);
        let view = |source| move |entry: &Entry| entry.view(source);
        let environment = self.0.environment.iter().map(view(KeySource::Environment));
        let file = stored.file.iter().map(view(KeySource::File));
        environment.chain(file).chain(stored.ledger.iter().map(view(KeySource::Ledger))).collect()
    }
}

/// Returns the number of keys in a file.
///
/// # Errors
/// [`InvalidKeysFile`] if the file cannot be used.
pub async fn count_keys(path: PathBuf) -> Result<usize, InvalidKeysFile> {
    Ok(KeysFile::new(path).load().await?.len())
}

/// Returns the SHA-256 of a key.
pub fn digest(key: &str) -> KeyDigest {
    Sha256::digest(key.as_bytes()).into()
}

/// Whether the text has the form of a key that the service makes. Such a key cannot be guessed.
pub fn is_generated(key: &str) -> bool {
    key.strip_prefix(KEY_PREFIX).is_some_and(|digits| digits.len() == 2 * KEY_BYTES)
}

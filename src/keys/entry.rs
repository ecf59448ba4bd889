//! One key in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use subtle::ConstantTimeEq;

use super::{KeySource, KeyView};
use crate::domain::{KeyDigest, KeyName, KeyRecord, Role, Timestamp};

/// A key, and when it was last used.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    digest: KeyDigest,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    /// Unix seconds; 0 if the key was not used.
    last_used: AtomicI64,
    /// The value of `last_used` that is in the ledger.
    written: AtomicI64,
}

impl Entry {
    pub(super) fn new(name: &str, role: Role, digest: KeyDigest) -> Self {
        let (last_used, written) = (AtomicI64::new(0), AtomicI64::new(0));
        Self { name: name.into(), role, digest, created_at: None, expires_at: None, last_used, written }
    }

    pub(super) fn from_record(record: KeyRecord) -> Self {
        let KeyRecord { name, role, digest, created_at, expires_at, last_used_at } = record;
        let used = last_used_at.map_or(0, Timestamp::unix_seconds);
        let (last_used, written) = (AtomicI64::new(used), AtomicI64::new(used));
        Self { name: name.as_str().into(), role, digest, created_at: Some(created_at), expires_at, last_used, written }
    }

    pub(super) fn with_end(self, expires_at: Option<Timestamp>) -> Self {
        Self { expires_at, ..self }
    }

    pub(super) fn matches(&self, digest: &KeyDigest) -> bool {
        self.digest.ct_eq(digest).into()
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    pub(super) fn record_use(&self, now: Timestamp) {
        self.last_used.store(now.unix_seconds(), Ordering::Relaxed);
    }

    /// Keeps the time of the last use of the entry that this one replaces.
    pub(super) fn take_use(&self, replaced: &Self) {
        self.last_used.store(replaced.last_used.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(super) fn has_same_key(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Returns the time of the last use, if it has to be written to the ledger.
    pub(super) fn unwritten_use(&self) -> Option<(KeyName, Timestamp)> {
        let used = self.last_used.load(Ordering::Relaxed);
        if used == self.written.swap(used, Ordering::Relaxed) {
            return None;
        }
        Some((KeyName::parse(&self.name).ok()?, Timestamp::from_unix_seconds(used)?))
    }

    pub(super) fn view(&self, source: KeySource) -> KeyView {
        let used = self.last_used.load(Ordering::Relaxed);
        KeyView {
            name: self.name.to_string(),
            role: self.role,
            source,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: (used != 0).then(|| Timestamp::from_unix_seconds(used)).flatten(),
        }
    }
}

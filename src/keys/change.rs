//! Adding and removing keys of the ledger.

use super::entry::Entry;
use super::{ENVIRONMENT_NAME, KEY_BYTES, KEY_PREFIX, KeySource, KeyView, Keys, KeysError, digest};
use crate::domain::{KeyName, KeyRecord, Role, Secret, Timestamp};
use crate::ledger::keys;
use crate::lock::write;

/// Maximum number of keys in the ledger.
pub(super) const MAX_KEYS: usize = 1_000;

impl Keys {
    /// Makes a key, and returns it with its view. The key itself is not stored, so it cannot be returned again.
    ///
    /// The first key of a service that has no other sign-in must be an admin key that does not expire: from then on every
    /// request needs a key, and without an admin key no further key could be made. On a service that is open to other machines, it
    /// must be in the settings: otherwise the first of them to send this request would lock out the others.
    ///
    /// `signed_in`: whether the sender has a key or another sign-in. A sender without one is refused if another request has made the
    /// first key meanwhile.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn add(
        &self,
        name: &str,
        role: Role,
        expires_at: Option<Timestamp>,
        signed_in: bool,
    ) -> Result<(Secret, KeyView), KeysError> {
        let (keys, name) = (self.clone(), KeyName::parse(name)?);
        to_the_end(async move { keys.add_now(name, role, expires_at, signed_in).await }).await
    }

    async fn add_now(
        &self,
        name: KeyName,
        role: Role,
        expires_at: Option<Timestamp>,
        signed_in: bool,
    ) -> Result<(Secret, KeyView), KeysError> {
        let created_at = Timestamp::now();
        if let Some(end) = expires_at.filter(|end| *end <= created_at) {
            return Err(KeysError::ExpiresInPast(end));
        }
        let _change = self.0.change.lock().await;
        if !signed_in && self.is_required() {
            return Err(KeysError::NotFirst);
        }
        if self.list().iter().any(|key| key.name == name.as_str()) {
            return Err(KeysError::Exists(name));
        }
        if !self.is_required() && !self.0.is_local {
            return Err(KeysError::OpenToOthers);
        }
        if !self.is_required() && (role != Role::Admin || expires_at.is_some()) {
            return Err(KeysError::First);
        }
        let key = new_key()?;
        let record = KeyRecord { name, role, digest: digest(key.reveal()), created_at, expires_at, last_used_at: None };
        let row = record.clone();
        match self.0.ledger.write(move |tx| keys::add(tx, &row, MAX_KEYS)).await? {
            keys::Added::Created => {}
            keys::Added::Exists => return Err(KeysError::Exists(record.name)),
            keys::Added::TooMany => return Err(KeysError::TooMany(MAX_KEYS)),
        }
        let entry = Entry::from_record(record);
        let view = entry.view(KeySource::Ledger);
        let mut stored = write(&self.0.stored);
        stored.ledger.push(entry);
        stored.ledger.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((key, view))
    }

    /// Removes a key of the ledger. It and its sessions end at once.
    ///
    /// The last admin key that does not expire is kept, unless administration is possible in another way: its removal would
    /// lock everyone out, or open the service if it is the only key.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn remove(&self, name: &str) -> Result<KeyName, KeysError> {
        let (keys, name) = (self.clone(), name.to_owned());
        to_the_end(async move { keys.remove_now(&name).await }).await
    }

    async fn remove_now(&self, name: &str) -> Result<KeyName, KeysError> {
        let _change = self.0.change.lock().await;
        let all = self.list();
        let Some(key) = all.iter().filter(|key| key.name == name).max_by_key(|key| key.source == KeySource::Ledger)
        else {
            return Err(KeysError::Unknown(name.chars().take(KeyName::MAX_CHARACTERS).collect()));
        };
        match key.source {
            KeySource::Ledger => {}
            KeySource::Environment => return Err(KeysError::Configured(name.to_owned(), ENVIRONMENT_NAME)),
            KeySource::File => return Err(KeysError::Configured(name.to_owned(), "GLIMPSE_KEYS_FILE")),
        }
        let name = KeyName::parse(name)?;
        let is_lasting_admin = |key: &&KeyView| key.role == Role::Admin && key.expires_at.is_none();
        let others = all.iter().filter(is_lasting_admin).filter(|other| *other != key).count();
        if is_lasting_admin(&key) && others == 0 && self.0.user_role != Some(Role::Admin) {
            return Err(KeysError::LastAdmin(name));
        }
        let removed = name.clone();
        self.0.ledger.write(move |tx| keys::remove(tx, &removed)).await?;
        write(&self.0.stored).ledger.retain(|entry| *entry.name != *name.as_str());
        Ok(name)
    }
}

/// Runs a change to its end, also if the request that waits for it is cancelled: keys in memory must equal those of the ledger.
async fn to_the_end<T: Send + 'static>(change: impl Future<Output = T> + Send + 'static) -> T {
    #[expect(
        clippy::disallowed_methods,
        reason = "the change takes one transaction; a shutdown may cut it, and the next start reads the ledger"
    )]
    let change = tokio::spawn(change);
    match change.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The process ends.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Makes a random key.
fn new_key() -> Result<Secret, KeysError> {
    let mut bytes = [0_u8; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| KeysError::NoRandomBytes)?;
    Ok(Secret::new(format!("{KEY_PREFIX}{}", hex::encode(bytes))))
}

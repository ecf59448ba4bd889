//! The keys of the identity provider in memory.
//!
//! They are read at regular intervals, and once more if a token names an unknown key. Keys that cannot be read again stay in use
//! for some hours, so that the service does not fail with its identity provider.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::TokenError;
use super::key_set::{Key, KeySet};
use super::key_source::KeySource;
use crate::lock::lock;

/// How often the keys of an address are requested.
const URL_INTERVAL: Duration = Duration::from_mins(10);
/// How often a file is read. Reading is cheap, and mounted secrets report changes in different ways.
const FILE_INTERVAL: Duration = Duration::from_secs(5);
/// How soon they are requested again while there are none: the identity provider may be starting, too.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// Minimum time between two requests because of a token: senders of tokens choose the ids of keys.
pub(super) const MIN_INTERVAL: Duration = Duration::from_mins(1);
/// How long keys stay in use that could not be read again.
pub(super) const MAX_AGE: Duration = Duration::from_hours(MAX_AGE_HOURS);
const MAX_AGE_HOURS: u64 = 12;

/// The keys, and where they come from.
#[derive(Debug)]
pub(super) struct KeyCache {
    source: KeySource,
    state: Mutex<State>,
    /// Held while the keys are read: one request at a time.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<KeySet>,
    /// When the keys were read.
    read: Option<Instant>,
    /// When the last attempt to read them ended.
    attempted: Option<Instant>,
    /// Why the last attempt failed; it has been logged.
    problem: Option<String>,
}

impl KeyCache {
    pub(super) fn new(source: KeySource) -> Self {
        Self { source, state: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// Returns the key with this id. Reads the keys again if it is not known, at most once in [`MIN_INTERVAL`].
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Key, TokenError> {
        if let Some(key) = self.known(id) {
            return Ok(key);
        }
        let _reading = self.reading.lock().await;
        // Another request may have read them meanwhile.
        if let Some(key) = self.known(id) {
            return Ok(key);
        }
        if lock(&self.state).attempted.is_none_or(|attempted| attempted.elapsed() >= MIN_INTERVAL) {
            self.read().await.ok();
        }
        if lock(&self.state).keys_in_use().is_none() {
            return Err(TokenError::Unavailable);
        }
        self.known(id).ok_or_else(|| match id {
            Some(_) => TokenError::invalid(
                "the identity provider has no key with the id in its header (`kid`) that can be used (an RSA key needs 2048 bits)",
            ),
            None => {
                TokenError::invalid("its header has no id of a key (`kid`), and the identity provider has several keys")
            }
        })
    }

    /// Returns a known key that is still in use.
    fn known(&self, id: Option<&str>) -> Option<Key> {
        lock(&self.state).keys_in_use().and_then(|keys| keys.find(id).cloned())
    }

    /// Returns the number of keys that are known.
    pub(super) fn count(&self) -> usize {
        lock(&self.state).keys.count()
    }

    /// Returns a sentence if the last attempt to read the keys has failed.
    pub(super) fn note(&self) -> Option<String> {
        let state = lock(&self.state);
        state.problem.as_ref()?;
        let consequence = match state.keys_in_use() {
            Some(_) => format!("those that were read before stay in use for {MAX_AGE_HOURS} hours"),
            None => "tokens are refused until they can be read".to_owned(),
        };
        let setting = self.source.setting();
        Some(format!(
            "the keys of the identity provider cannot be read ({setting}): {consequence}; the log has the reason"
        ))
    }

    /// Reads the keys now.
    pub(super) async fn refresh(&self) -> Result<(), String> {
        let _reading = self.reading.lock().await;
        self.read().await
    }

    async fn read(&self) -> Result<(), String> {
        let loaded = self.source.load().await;
        let mut state = lock(&self.state);
        state.attempted = Some(Instant::now());
        match loaded {
            Ok(keys) => {
                state.read = state.attempted;
                if state.problem.take().is_some() {
                    tracing::info!(keys = keys.count(), "the keys of the identity provider can be read again");
                }
                state.keys = Arc::new(keys);
                Ok(())
            }
            Err(error) => {
                if state.problem.as_ref() != Some(&error) {
                    tracing::warn!(%error, "the keys of the identity provider cannot be read; those that were read before stay in use for {MAX_AGE_HOURS} hours");
                    state.problem = Some(error.clone());
                }
                Err(error)
            }
        }
    }

    /// Reads the keys at regular intervals until `end`.
    pub(super) async fn keep(&self, end: CancellationToken) {
        let interval = if self.source.is_file() { FILE_INTERVAL } else { URL_INTERVAL };
        loop {
            let read = end.run_until_cancelled(self.refresh()).await;
            let has_keys = lock(&self.state).keys_in_use().is_some();
            let pause = match read {
                Some(Ok(())) => interval,
                _ if has_keys => interval.min(MIN_INTERVAL),
                _ => interval.min(RETRY_DELAY),
            };
            if end.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }
}

impl State {
    /// Returns the keys, unless they were read too long ago.
    fn keys_in_use(&self) -> Option<&KeySet> {
        self.read.filter(|read| read.elapsed() <= MAX_AGE).map(|_| &*self.keys)
    }
}

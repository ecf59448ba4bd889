//! What runs beside requests: the last use of keys is written to the ledger, and `GLIMPSE_KEYS_FILE` is read again.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Keys;
use crate::ledger::keys;
use crate::lock::{read, write};

/// How often the file is read. Reading is cheap, and file systems report changes of mounted secrets in different ways.
const FILE_INTERVAL: Duration = Duration::from_secs(2);
/// How often the last use of keys is written.
const WRITE_INTERVAL: Duration = Duration::from_mins(1);

impl Keys {
    /// Keeps the keys up to date until `end`.
    pub async fn keep(self, end: CancellationToken) {
        let mut ticks = interval(FILE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut written = Instant::now();
        let mut problem = None;
        while end.run_until_cancelled(ticks.tick()).await.is_some() {
            self.reload_file(&mut problem).await;
            if written.elapsed() >= WRITE_INTERVAL {
                written = Instant::now();
                self.write_last_uses().await;
            }
        }
        self.write_last_uses().await;
    }

    /// Reads the file again. If it cannot be used, the keys that were read before stay valid, and `problem` has the reason
    /// that was logged.
    pub(super) async fn reload_file(&self, problem: &mut Option<String>) {
        let Some(file) = &self.0.file else { return };
        match file.load().await {
            Ok(entries) => {
                let mut stored = write(&self.0.stored);
                let is_known = |entry: &super::Entry| stored.file.iter().find(|known| known.has_same_key(entry));
                for entry in &entries {
                    if let Some(known) = is_known(entry) {
                        entry.take_use(known);
                    }
                }
                stored.file = entries;
                if problem.take().is_some() {
                    tracing::info!("GLIMPSE_KEYS_FILE can be used again");
                }
            }
            Err(error) => {
                let error = error.to_string();
                if problem.as_ref() != Some(&error) {
                    tracing::error!(%error, "the keys that were read before stay valid");
                    *problem = Some(error);
                }
            }
        }
    }

    /// Writes when keys of the ledger were last used.
    pub(super) async fn write_last_uses(&self) {
        let used: Vec<_> = read(&self.0.stored).ledger.iter().filter_map(super::Entry::unwritten_use).collect();
        if used.is_empty() {
            return;
        }
        if let Err(error) = self.0.ledger.write(move |tx| keys::set_last_used(tx, &used)).await {
            tracing::warn!(%error, "the last use of keys could not be recorded");
        }
    }
}

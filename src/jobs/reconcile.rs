//! Before a job: what the ledger believes a store to hold, against what it holds.
//!
//! Records reach a store before their report reaches the ledger, so a crash of the process never leaves the ledger ahead. A
//! loss of power can, and so can a store that was put back to an older state. What the store does not have is forgotten
//! here, and the job fills it again.

use std::collections::HashSet;

use futures::TryStreamExt;

use super::ledger::Ledger;
use crate::domain::{CollectionName, ImageId};
use crate::index::{ImageIndex, IndexError};

/// Compares counts, and ids only where the ledger has more. Where that fails, the ledger is believed as it is.
pub(super) async fn reconcile(ledger: &Ledger, store: &dyn ImageIndex, collection: &CollectionName) {
    if let Err(error) = compare(ledger, store, collection).await {
        tracing::warn!(store = store.name(), %collection, error, "not compared with the ledger");
    }
}

async fn compare(ledger: &Ledger, store: &dyn ImageIndex, name: &CollectionName) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let held = store.describe(name).await.map_err(|error| said(&error))?.map_or(0, |info| info.count);
    let believed = ledger.held_count(name.clone(), store.name()).await.map_err(|error| said(&error))?;
    if believed <= held {
        return Ok(());
    }
    let scanned: Result<HashSet<ImageId>, IndexError> = store.scan(name).try_collect().await;
    let ids = scanned.map_err(|error| said(&error))?;
    let forgotten = ledger.keep_only(name.clone(), store.name(), ids).await.map_err(|error| said(&error))?;
    tracing::warn!(store = store.name(), collection = %name, forgotten, "the ledger was ahead of the store");
    Ok(())
}

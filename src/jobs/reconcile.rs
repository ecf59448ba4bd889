//! At start: what the ledger believes a store to hold, against what it holds.
//!
//! Records reach a store before their report reaches the ledger, so a crash of the process never leaves the ledger ahead. A
//! loss of power can: each file loses its own last commits. What the store does not have is forgotten here, and the next
//! job indexes it again.

use std::collections::HashSet;

use futures::TryStreamExt;

use super::ledger::Ledger;
use crate::domain::{CollectionName, ImageId};
use crate::index::{ImageIndex, IndexError};

/// Compares counts, and ids only where the ledger has more. A store that cannot be asked now is left for later.
pub(super) async fn reconcile(ledger: &Ledger, store: &dyn ImageIndex) {
    let collections = match store.collections().await {
        Ok(collections) => collections,
        Err(error) => return tracing::warn!(store = store.name(), %error, "not compared with the ledger"),
    };
    for collection in collections {
        if let Err(error) = one(ledger, store, &collection.name, collection.count).await {
            tracing::warn!(store = store.name(), collection = %collection.name, error, "not compared with the ledger");
        }
    }
}

async fn one(ledger: &Ledger, store: &dyn ImageIndex, name: &CollectionName, held: u64) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let believed = ledger.object_count(name.clone()).await.map_err(|error| said(&error))?;
    if believed <= held {
        return Ok(());
    }
    let scanned: Result<HashSet<ImageId>, IndexError> = store.scan(name).try_collect().await;
    let ids = scanned.map_err(|error| said(&error))?;
    let forgotten = ledger.keep_only(name.clone(), ids).await.map_err(|error| said(&error))?;
    tracing::warn!(collection = %name, forgotten, "the ledger was ahead of the store; the next job indexes these again");
    Ok(())
}

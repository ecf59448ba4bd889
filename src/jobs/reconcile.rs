//! Before a job: what the ledger believes a store to hold, against what it holds.
//!
//! Records reach a store before their report reaches the ledger, so a crash of the process never leaves the ledger ahead. A
//! loss of power can, and so can a store that was put back to an older state. What the store does not have is forgotten
//! here, and the job fills it again.

use std::collections::HashSet;

use futures::TryStreamExt;

use super::ledger::{Ledger, Part};
use crate::domain::{CollectionName, ImageId};
use crate::index::{ImageIndex, IndexError};
use crate::sqlite::SqliteError;

/// Ids that are held at once: a larger collection is compared in several parts.
const IDS: u64 = 500_000;

/// Compares counts, and ids only where the ledger has more. Where the store fails, the ledger is believed as it is.
///
/// # Errors
/// [`SqliteError`]
pub(super) async fn reconcile(
    ledger: &Ledger,
    store: &dyn ImageIndex,
    collection: &CollectionName,
) -> Result<(), SqliteError> {
    let held = match store.describe(collection).await {
        Ok(info) => info.map_or(0, |info| info.count),
        Err(error) => {
            not_compared(store, collection, &error);
            return Ok(());
        }
    };
    if ledger.held_count(collection.clone(), store.name()).await? <= held {
        return Ok(());
    }
    let (parts, mut forgotten) = (held.div_ceil(IDS).max(1), 0);
    for number in 0..parts {
        let part = Part { number, of: parts };
        let in_part = |id| std::future::ready(Ok(part.has(id).then_some(id)));
        let scanned: Result<HashSet<ImageId>, IndexError> =
            store.scan(collection).try_filter_map(in_part).try_collect().await;
        match scanned {
            Ok(ids) => forgotten += ledger.keep_only(collection.clone(), store.name(), part, ids).await?,
            Err(error) => {
                not_compared(store, collection, &error);
                break;
            }
        }
    }
    tracing::warn!(store = store.name(), %collection, forgotten, "the ledger was ahead of the store");
    Ok(())
}

fn not_compared(store: &dyn ImageIndex, collection: &CollectionName, error: &IndexError) {
    tracing::warn!(store = store.name(), %collection, %error, "not compared with the ledger");
}

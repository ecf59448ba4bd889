//! Compares the ledger with the content of a store before a job begins.
//!
//! Records are written to a store before their report is written to the ledger, so after a crash of the process the
//! ledger never lists records that the store lacks. After a power loss, or if a store was restored from a backup, it
//! can. This module removes such entries from the ledger, and the job writes the records again.

use std::collections::HashSet;

use futures::TryStreamExt;

use crate::domain::{CollectionName, ImageId};
use crate::index::{ImageIndex, IndexError};
use crate::ledger::objects::forget::{self, Part};
use crate::ledger::{Ledger, LedgerError};

/// Maximum ids in memory at once. A larger collection is compared in several parts.
const MAX_IDS_IN_MEMORY: u64 = 500_000;

/// Compares the counts, and compares the ids only if the ledger has more. If the store fails, the ledger stays as it
/// is.
///
/// # Errors
/// [`LedgerError`]
pub(crate) async fn reconcile(
    ledger: &Ledger,
    store: &dyn ImageIndex,
    collection: &CollectionName,
) -> Result<(), LedgerError> {
    let stored = match store.describe(collection).await {
        Ok(info) => info.map_or(0, |info| info.count),
        Err(error) => {
            log_not_compared(store, collection, &error);
            return Ok(());
        }
    };
    if ledger.read_in_steps(forget::count_in_store(collection.clone(), store.name())).await? <= stored {
        return Ok(());
    }
    let (parts, mut forgotten) = (stored.div_ceil(MAX_IDS_IN_MEMORY).max(1), 0);
    for number in 0..parts {
        let part = Part { number, of: parts };
        let in_part = |id| std::future::ready(Ok(part.contains(id).then_some(id)));
        let scanned: Result<HashSet<ImageId>, IndexError> =
            store.scan(collection).try_filter_map(in_part).try_collect().await;
        match scanned {
            Ok(ids) => {
                let forget = forget::forget_all_except(collection.clone(), store.name(), part, ids);
                forgotten += ledger.in_steps(forget).await?;
            }
            Err(error) => {
                log_not_compared(store, collection, &error);
                break;
            }
        }
    }
    tracing::warn!(
        store = store.name(), %collection, forgotten,
        "the ledger listed more records than the store has; entries without a record were removed"
    );
    Ok(())
}

fn log_not_compared(store: &dyn ImageIndex, collection: &CollectionName, error: &IndexError) {
    tracing::warn!(store = store.name(), %collection, %error, "the store could not be compared with the ledger");
}

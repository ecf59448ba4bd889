//! Reads records from several stores until one of them returns them.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::{Stores, traced};
use crate::domain::{CollectionName, ImageId, ImageRecord, StoreSet};
use crate::index::IndexError;

/// How long a store may take before the request is also sent to the next one. Under the background retry policy, a
/// store that is down does not fail.
const NEXT_STORE_DELAY: Duration = Duration::from_secs(1);

impl Stores {
    /// Returns the records of these images, read from the stores in `stored_in`. The request is sent to the stores in
    /// order: to the next one at once if a store fails or does not have a record, and otherwise after one second, so
    /// that a store that is down does not delay the result of another. A record is left out if none of the stores that
    /// replied has it.
    ///
    /// # Errors
    /// Returns the last error and the name of its store, if no store replies.
    pub async fn get_from_any(
        &self,
        stored_in: &StoreSet,
        collection: &CollectionName,
        ids: &[ImageId],
    ) -> Result<Vec<ImageRecord>, (&'static str, IndexError)> {
        let stores: Vec<_> = self.iter().filter(|store| stored_in.contains(store.name())).collect();
        let mut stores = stores.into_iter();
        let mut pending = FuturesUnordered::new();
        let (mut found, mut missing): (Vec<ImageRecord>, HashSet<ImageId>) =
            (Vec::new(), ids.iter().copied().collect());
        let (mut any_replied, mut last_error, mut try_next) = (false, None, true);
        loop {
            if std::mem::take(&mut try_next)
                && let Some(store) = stores.next()
            {
                pending.push(async move {
                    (store.name(), traced(store.name(), "get", collection, store.get(collection, ids)).await)
                });
            }
            if pending.is_empty() {
                return match last_error {
                    Some(last_error) if !any_replied => Err(last_error),
                    Some(_) | None => Ok(found),
                };
            }
            match tokio::time::timeout(NEXT_STORE_DELAY, pending.next()).await {
                Ok(Some((_, Ok(records)))) => {
                    any_replied = true;
                    found.extend(records.into_iter().filter(|record| missing.remove(&record.id)));
                    if missing.is_empty() {
                        return Ok(found);
                    }
                    try_next = true;
                }
                Ok(Some((store, Err(error)))) => {
                    last_error = Some((store, error));
                    try_next = true;
                }
                Ok(None) => {}
                Err(_) if any_replied && stores.len() == 0 => return Ok(found),
                Err(_) => try_next = true,
            }
        }
    }
}

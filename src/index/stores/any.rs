//! Reads from whichever of several stores answers.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::Stores;
use crate::domain::{CollectionName, ImageId, ImageRecord, StoreSet};
use crate::index::IndexError;

/// How long a store may take before the next is asked as well. A patient store never fails while it is down.
const HEAD_START: Duration = Duration::from_secs(1);

impl Stores {
    /// The records of these images, read from the stores in `have`. One store is asked after the other, at once where one
    /// fails or lacks a record, and otherwise after a second: a store that is down keeps nobody waiting while another
    /// answers. A record is left out if none of those that answered has it.
    ///
    /// # Errors
    /// The last error with the name of its store, if no store answers.
    pub async fn get_from_any(
        &self,
        have: &StoreSet,
        collection: &CollectionName,
        ids: &[ImageId],
    ) -> Result<Vec<ImageRecord>, (&'static str, IndexError)> {
        let stores: Vec<_> = self.iter().filter(|store| have.contains(store.name())).collect();
        let mut stores = stores.into_iter();
        let mut asked = FuturesUnordered::new();
        let (mut found, mut missing): (Vec<ImageRecord>, HashSet<ImageId>) =
            (Vec::new(), ids.iter().copied().collect());
        let (mut answered, mut failed, mut ask_next) = (false, None, true);
        loop {
            if std::mem::take(&mut ask_next)
                && let Some(store) = stores.next()
            {
                asked.push(async move { (store.name(), store.get(collection, ids).await) });
            }
            if asked.is_empty() {
                return match failed {
                    Some(failed) if !answered => Err(failed),
                    Some(_) | None => Ok(found),
                };
            }
            match tokio::time::timeout(HEAD_START, asked.next()).await {
                Ok(Some((_, Ok(records)))) => {
                    answered = true;
                    found.extend(records.into_iter().filter(|record| missing.remove(&record.id)));
                    if missing.is_empty() {
                        return Ok(found);
                    }
                    ask_next = true;
                }
                Ok(Some((store, Err(error)))) => {
                    failed = Some((store, error));
                    ask_next = true;
                }
                Ok(None) => {}
                Err(_) if answered && stores.len() == 0 => return Ok(found),
                Err(_) => ask_next = true,
            }
        }
    }
}

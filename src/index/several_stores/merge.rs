//! Requests to several stores in parallel, and the merging of their results.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::future::join_all;

use super::{Store, Stores, traced};
use crate::domain::{CollectionInfo, CollectionName, FailureKind, Hit, ImageId, ImageRecord, SearchQuery, Space};
use crate::index::IndexError;

/// A hit and the stores that returned it.
#[derive(Clone, Debug, PartialEq)]
pub struct MergedHit {
    /// The hit, with the best score among the stores.
    pub hit: Hit,
    /// The stores that returned it, in the order of the configuration.
    pub stores: Vec<&'static str>,
}

/// The merged results of several stores.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged<T> {
    /// The results of the stores that replied.
    pub value: T,
    /// One message for the client for each store that is left out, with the reason.
    pub warnings: Vec<String>,
}

/// One result for each store, with the name of the store.
pub type StoreResults<T> = Vec<(&'static str, Result<T, IndexError>)>;

/// As [`StoreResults`], with error messages for the client.
pub type StoreStatuses<T> = Vec<(&'static str, Result<T, String>)>;

impl Stores {
    /// Returns the collections of each store, or a message if it did not reply within `within`.
    pub async fn statuses(&self, within: Duration) -> StoreStatuses<Vec<CollectionInfo>> {
        let requests = self.iter().map(|store| async move {
            let request = async {
                store.ready().await?;
                store.collections().await
            };
            let value = match tokio::time::timeout(within, request).await {
                Ok(Ok(infos)) => Ok(infos),
                Ok(Err(IndexError::Dependency(down))) => Err(down.for_client()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("{} did not reply in time", store.name())),
            };
            (store.name(), value)
        });
        join_all(requests).await
    }

    /// Returns for each store the space and size of the collection there, or why they are unknown.
    ///
    /// # Errors
    /// Returns an [`IndexError`] if no store has the collection, or every store fails.
    pub async fn infos(&self, collection: &CollectionName) -> Result<StoreResults<CollectionInfo>, IndexError> {
        let unknown = || IndexError::UnknownCollection(collection.clone());
        let request = |store: Store| async move {
            let info = traced(store.name(), "describe", collection, store.describe(collection)).await;
            let info = info.and_then(|info| info.ok_or_else(unknown));
            (store.name(), info)
        };
        unless_all_failed(join_all(self.iter().cloned().map(request)).await)
    }

    /// Returns the nearest records of every store. If there are several stores, each starts at its first hit. A query with
    /// the default effort is searched with the level that the self-test has found for the store and the collection.
    pub async fn nearest(&self, collection: &CollectionName, query: &SearchQuery) -> StoreResults<Vec<Hit>> {
        // A record on a later page of one store can be on the first page of another, so several are paged after
        // merging.
        let has_several = self.iter().nth(1).is_some();
        let whole = SearchQuery { limit: query.offset + query.limit, offset: 0, ..query.clone() };
        let query = if has_several { &whole } else { query };
        let search = |store: Store| async move {
            let effort = self.levels().effort(store.name(), collection, query.effort);
            let query = SearchQuery { effort, ..query.clone() };
            (store.name(), traced(store.name(), "search", collection, store.search(collection, &query)).await)
        };
        join_all(self.iter().cloned().map(search)).await
    }

    /// Merges the results of [`Stores::nearest`] and leaves out stores whose collection has a different space than
    /// `space`.
    ///
    /// # Errors
    /// Returns an [`IndexError`] if no store is left.
    pub fn merge(
        &self,
        infos: StoreResults<CollectionInfo>,
        nearest: StoreResults<Vec<Hit>>,
        space: &Space,
        query: &SearchQuery,
    ) -> Result<Merged<Vec<MergedHit>>, IndexError> {
        let results = infos.into_iter().zip(nearest).map(|((store, info), (_, hits))| {
            let same = info.and_then(|info| Ok(info.space.admits(space)?));
            (store, same.and(hits))
        });
        let has_several = self.iter().nth(1).is_some();
        let Merged { value, warnings } = merged(unless_all_failed(results.collect())?);
        let mut found = by_id(value);
        if has_several {
            found.sort_by(|a, b| b.hit.score.total_cmp(&a.hit.score).then(a.hit.id.cmp(&b.hit.id)));
            found = found.into_iter().skip(query.offset).take(query.limit).collect();
        }
        Ok(Merged { value: found, warnings })
    }

    /// Returns the record of an image from the first store that has it.
    ///
    /// # Errors
    /// Returns an [`IndexError`] if no store has it and at least one store failed.
    pub async fn find_record(
        &self,
        collection: &CollectionName,
        id: ImageId,
    ) -> Result<Option<ImageRecord>, IndexError> {
        let mut results = Vec::new();
        for store in self.iter() {
            match store.get(collection, &[id]).await.map(|mut records| records.pop()) {
                Ok(Some(record)) => return Ok(Some(record)),
                other => results.push((store.name(), other)),
            }
        }
        // A store that is down may have the record, so the image is not reported as unknown then.
        let down = results.iter().find(|(_, value)| matches!(value, Err(IndexError::Dependency(_))));
        match down {
            Some((_, Err(error))) => Err(error.clone()),
            _ => unless_all_failed(results).map(|_| None),
        }
    }

    /// Returns every collection of every store, sorted by name, with the stores that have it and their record counts.
    ///
    /// # Errors
    /// Returns an [`IndexError`] if no store replies.
    pub async fn collections(&self) -> Result<Merged<Vec<(CollectionInfo, Vec<(&'static str, u64)>)>>, IndexError> {
        let requests = self.iter().map(|store| async move { (store.name(), store.collections().await) });
        let Merged { value, warnings } = merged(unless_all_failed(join_all(requests).await)?);
        let mut all: BTreeMap<CollectionName, (CollectionInfo, Vec<_>)> = BTreeMap::new();
        for (store, infos) in value {
            for info in infos {
                let count = info.count;
                all.entry(info.name.clone()).or_insert_with(|| (info, Vec::new())).1.push((store, count));
            }
        }
        Ok(Merged { value: all.into_values().collect(), warnings })
    }

    /// Checks that at least one store can serve requests. Returns one warning for each store that cannot.
    ///
    /// # Errors
    /// Returns an [`IndexError`] if no store can serve requests.
    pub async fn ready(&self) -> Result<Vec<String>, IndexError> {
        let requests = self.iter().map(|store| async move { (store.name(), store.ready().await) });
        Ok(merged(unless_all_failed(join_all(requests).await)?).warnings)
    }
}

/// Fails if every store failed.
pub(super) fn unless_all_failed<T>(results: StoreResults<T>) -> Result<StoreResults<T>, IndexError> {
    if results.iter().any(|(_, value)| value.is_ok()) {
        return Ok(results);
    }
    Err(preferred(results.into_iter().filter_map(|(_, value)| value.err()).collect()))
}

/// Returns the error of a store that is down, if there is one: that store may have what the others lack. There must be at
/// least one error.
pub(super) fn preferred(mut errors: Vec<IndexError>) -> IndexError {
    let preferred = errors.iter().position(|error| matches!(error, IndexError::Dependency(_))).unwrap_or(0);
    errors.swap_remove(preferred)
}

pub(super) fn merged<T>(results: StoreResults<T>) -> Merged<Vec<(&'static str, T)>> {
    let (mut value, mut warnings) = (Vec::new(), Vec::new());
    for (store, outcome) in results {
        match outcome {
            Ok(good) => value.push((store, good)),
            Err(error) => {
                tracing::warn!(store, %error, "a store failed and is left out of a reply");
                warnings.push(warning(store, &error));
            }
        }
    }
    Merged { value, warnings }
}

/// Returns the message for the client about a store that is left out. The store's own error message goes to the log.
fn warning(store: &str, error: &IndexError) -> String {
    match error {
        IndexError::Dependency(down) if down.failure == FailureKind::Misconfigured => {
            format!("{store} is left out: {}", down.for_client())
        }
        IndexError::Dependency(down) => format!("{store} {} and is left out", down.failure),
        IndexError::UnknownCollection(_)
        | IndexError::NoGeneration { .. }
        | IndexError::NameOfGeneration { .. }
        | IndexError::Space(_)
        | IndexError::NameTaken { .. }
        | IndexError::OutdatedRecords(_)
        | IndexError::NoExactSearch { .. }
        | IndexError::Rejected { .. } => format!("{store} is left out: {error}"),
    }
}

fn by_id(results: Vec<(&'static str, Vec<Hit>)>) -> Vec<MergedHit> {
    let mut positions: HashMap<ImageId, usize> = HashMap::new();
    let mut found: Vec<MergedHit> = Vec::new();
    for (store, hits) in results {
        for hit in hits {
            let position = *positions.entry(hit.id).or_insert(found.len());
            match found.get_mut(position) {
                None => found.push(MergedHit { hit, stores: vec![store] }),
                Some(merged) => {
                    merged.stores.push(store);
                    if hit.score > merged.hit.score {
                        merged.hit = hit;
                    }
                }
            }
        }
    }
    found
}

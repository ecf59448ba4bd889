//! One question to several stores: asked side by side, answers merged.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::future::join_all;

use super::{Store, Stores};
use crate::domain::{CollectionInfo, CollectionName, Hit, ImageId, ImageRecord, SearchQuery, Space, Trouble};
use crate::index::IndexError;

/// A hit, and the stores that had it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// With the best of their scores.
    pub hit: Hit,
    /// In the order of the configuration.
    pub stores: Vec<&'static str>,
}

/// What several stores gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged<T> {
    /// Of those that answered.
    pub answer: T,
    /// Of those that did not, and why, in words for a client.
    pub warnings: Vec<String>,
}

/// The answers of stores, each with who gave it.
pub type Answers<T> = Vec<(&'static str, Result<T, IndexError>)>;

/// The same in words for a client.
pub type Answered<T> = Vec<(&'static str, Result<T, String>)>;

impl Stores {
    /// What each store has, as far as it says so in time.
    pub async fn look(&self, within: Duration) -> Answered<Vec<CollectionInfo>> {
        let asked = self.iter().map(|store| async move {
            let look = async {
                store.ready().await?;
                store.collections().await
            };
            let answer = match tokio::time::timeout(within, look).await {
                Ok(Ok(infos)) => Ok(infos),
                Ok(Err(IndexError::Dependency(down))) => Err(down.for_client()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("{} does not answer in time", store.name())),
            };
            (store.name(), answer)
        });
        join_all(asked).await
    }

    /// Which of the stores hold the collection, in which space; fails where none does.
    ///
    /// # Errors
    /// [`IndexError`] where every store fails.
    pub async fn spaces(&self, collection: &CollectionName) -> Result<Answers<Space>, IndexError> {
        let unknown = || IndexError::UnknownCollection(collection.clone());
        let ask = |store: Store| async move {
            let info = store.describe(collection).await.and_then(|info| info.ok_or_else(unknown));
            (store.name(), info.map(|info| info.space))
        };
        some_good(join_all(self.iter().cloned().map(ask)).await)
    }

    /// The nearest records of every store, each with its hits from the first on.
    pub async fn nearest(&self, collection: &CollectionName, query: &SearchQuery) -> Answers<Vec<Hit>> {
        // What one store has on a later page may be on the first of another: with several, pages are cut after merging.
        let several = self.iter().nth(1).is_some();
        let whole = SearchQuery { limit: query.offset + query.limit, offset: 0, ..query.clone() };
        let query = if several { &whole } else { query };
        join_all(self.iter().map(|store| async move { (store.name(), store.search(collection, query).await) })).await
    }

    /// Merges what [`Stores::nearest`] gave, leaving out stores whose collection is not of this `space`.
    ///
    /// # Errors
    /// [`IndexError`] where no store is left.
    pub fn merge(
        &self,
        spaces: Answers<Space>,
        nearest: Answers<Vec<Hit>>,
        space: &Space,
        query: &SearchQuery,
    ) -> Result<Merged<Vec<Found>>, IndexError> {
        let answers = spaces.into_iter().zip(nearest).map(|((store, of), (_, hits))| {
            let same = of.and_then(|of| Ok(of.admits(space)?));
            (store, same.and(hits))
        });
        let several = self.iter().nth(1).is_some();
        let Merged { answer, warnings } = merged(some_good(answers.collect())?);
        let mut found = by_id(answer);
        if several {
            found.sort_by(|a, b| b.hit.score.total_cmp(&a.hit.score).then(a.hit.id.cmp(&b.hit.id)));
            found = found.into_iter().skip(query.offset).take(query.limit).collect();
        }
        Ok(Merged { answer: found, warnings })
    }

    /// The record of an image, from the first store that has it.
    ///
    /// # Errors
    /// [`IndexError`] where no store has it and one could not be asked.
    pub async fn find(&self, collection: &CollectionName, id: ImageId) -> Result<Option<ImageRecord>, IndexError> {
        let mut answers = Vec::new();
        for store in self.iter() {
            match store.get(collection, &[id]).await.map(|mut records| records.pop()) {
                Ok(Some(record)) => return Ok(Some(record)),
                other => answers.push((store.name(), other)),
            }
        }
        // One that is down may have it: that it is nowhere cannot be said then.
        let down = answers.iter().find(|(_, answer)| matches!(answer, Err(IndexError::Dependency(_))));
        match down {
            Some((_, Err(error))) => Err(error.clone()),
            _ => some_good(answers).map(|_| None),
        }
    }

    /// Every collection of every store, by name, each with the stores that hold it.
    ///
    /// # Errors
    /// [`IndexError`] where no store answers.
    pub async fn collections(&self) -> Result<Merged<Vec<(CollectionInfo, Vec<(&'static str, u64)>)>>, IndexError> {
        let asked = self.iter().map(|store| async move { (store.name(), store.collections().await) });
        let Merged { answer, warnings } = merged(some_good(join_all(asked).await)?);
        let mut all: BTreeMap<CollectionName, (CollectionInfo, Vec<_>)> = BTreeMap::new();
        for (store, infos) in answer {
            for info in infos {
                let count = info.count;
                all.entry(info.name.clone()).or_insert_with(|| (info, Vec::new())).1.push((store, count));
            }
        }
        Ok(Merged { answer: all.into_values().collect(), warnings })
    }

    /// Which stores can serve; the others as warnings.
    ///
    /// # Errors
    /// [`IndexError`] where none can.
    pub async fn ready(&self) -> Result<Vec<String>, IndexError> {
        let asked = self.iter().map(|store| async move { (store.name(), store.ready().await) });
        Ok(merged(some_good(join_all(asked).await)?).warnings)
    }
}

/// Fails where no answer is good. What a store that is down has is not known: that says more than what the others lack.
fn some_good<T>(answers: Answers<T>) -> Result<Answers<T>, IndexError> {
    if answers.iter().any(|(_, answer)| answer.is_ok()) {
        return Ok(answers);
    }
    let mut errors: Vec<IndexError> = answers.into_iter().filter_map(|(_, answer)| answer.err()).collect();
    let gravest = errors.iter().position(|error| matches!(error, IndexError::Dependency(_))).unwrap_or(0);
    Err(errors.swap_remove(gravest))
}

fn merged<T>(answers: Answers<T>) -> Merged<Vec<(&'static str, T)>> {
    let (mut answer, mut warnings) = (Vec::new(), Vec::new());
    for (store, outcome) in answers {
        match outcome {
            Ok(good) => answer.push((store, good)),
            Err(error) => {
                tracing::warn!(store, %error, "left out of an answer");
                warnings.push(warning(store, &error));
            }
        }
    }
    Merged { answer, warnings }
}

/// Why a store is left out, in words for a client: what it said itself is in the log.
fn warning(store: &str, error: &IndexError) -> String {
    match error {
        IndexError::Dependency(down) if down.trouble == Trouble::Misconfigured => {
            format!("{store} is left out: {}", down.for_client())
        }
        IndexError::Dependency(down) => format!("{store} {} and is left out", down.trouble),
        IndexError::UnknownCollection(_)
        | IndexError::Space(_)
        | IndexError::NameTaken { .. }
        | IndexError::Rejected { .. } => format!("{store} is left out: {error}"),
    }
}

fn by_id(answers: Vec<(&'static str, Vec<Hit>)>) -> Vec<Found> {
    let mut places: HashMap<ImageId, usize> = HashMap::new();
    let mut found: Vec<Found> = Vec::new();
    for (store, hits) in answers {
        for hit in hits {
            let place = *places.entry(hit.id).or_insert(found.len());
            match found.get_mut(place) {
                None => found.push(Found { hit, stores: vec![store] }),
                Some(known) => {
                    known.stores.push(store);
                    if hit.score > known.hit.score {
                        known.hit = hit;
                    }
                }
            }
        }
    }
    found
}

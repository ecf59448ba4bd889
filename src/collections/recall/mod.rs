//! The self-test of stores: how many of the best results their usual search finds in each collection, compared with the
//! exact search. It runs in the background, when a collection is large enough and has grown, and chooses the effort of
//! searches.

mod queries;
mod reports;
mod tune;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::queries::Query;
pub use self::reports::RecallReports;
use self::tune::{Tuned, tune};
use crate::collection_models::ModelError;
use crate::domain::{CollectionInfo, CollectionName, ModelRecord, RecallReport, Space, Timestamp};
use crate::embed::EmbedError;
use crate::index::{ImageIndex, IndexError};
use crate::jobs::Jobs;
use crate::ledger::{LedgerError, recall};

/// Collections with fewer records are not tested: every store searches them exactly, or nearly so.
pub const MIN_TESTED_RECORDS: u64 = 2_000;
/// A test is repeated when a collection has this many times as many records, or as few.
const GROWTH: u64 = 2;
/// The interval between two looks at the sizes of all collections.
const INTERVAL: Duration = Duration::from_mins(2);
/// The delay after a failed test, which can be a long one: of many millions of vectors, an exact search can time out.
const RETRY_DELAY: Duration = Duration::from_hours(1);
/// The delay before the first one, so that a start is not slower.
const FIRST_DELAY: Duration = Duration::from_secs(30);

/// What the self-test needs.
#[derive(Clone)]
pub struct RecallParts {
    /// The job service, with its stores, its ledger and the models of collections.
    pub jobs: Jobs,
    /// The texts that are searched for.
    pub texts: Vec<String>,
    /// The limit of the median time of a search, in milliseconds.
    pub max_ms: u32,
    /// Where the results are shown.
    pub reports: RecallReports,
}

/// The self-test of all stores and collections.
#[derive(Clone, Debug)]
pub struct RecallTest(RecallParts);

/// A failed self-test.
#[derive(Debug, thiserror::Error)]
enum RecallError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Embed(#[from] EmbedError),
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The queries by a text in the space of a model.
struct Texts {
    space: Arc<Space>,
    queries: Vec<Query>,
}

impl std::fmt::Debug for RecallParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecallParts").field("max_ms", &self.max_ms).finish_non_exhaustive()
    }
}

impl RecallTest {
    /// Creates the self-test, and lets searches use the levels of earlier tests.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read.
    pub async fn open(parts: RecallParts) -> Result<Self, LedgerError> {
        let test = Self(parts);
        test.load().await?;
        Ok(test)
    }

    /// Tests collections when it is necessary, until `end`.
    pub async fn keep(&self, end: CancellationToken) {
        let keep = async {
            tokio::time::sleep(FIRST_DELAY).await;
            loop {
                let is_complete = self.run().await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the recall of collections cannot be tested; it is tried again later");
                    false
                });
                tokio::time::sleep(if is_complete { INTERVAL } else { RETRY_DELAY }).await;
            }
        };
        end.run_until_cancelled(keep).await;
    }

    /// Tests every collection in every store whose result is missing or outdated. A store that is down is left out. Returns
    /// whether no test failed.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read.
    pub async fn run(&self) -> Result<bool, LedgerError> {
        self.load().await?;
        let (mut texts, mut is_complete) = (HashMap::new(), true);
        for store in self.0.jobs.0.stores.iter() {
            // The reports of health name a store that is down.
            let Ok(collections) = store.collections().await else { continue };
            for info in collections {
                if let Err(error) = self.test_if_due(store.as_ref(), &info, &mut texts).await {
                    let collection = &info.name;
                    tracing::warn!(%collection, store = store.name(), %error, "the recall of a collection is not known");
                    is_complete = false;
                }
            }
        }
        Ok(is_complete)
    }

    /// Reads the results of all tests from the ledger, and lets searches use their levels.
    async fn load(&self) -> Result<(), LedgerError> {
        let service = &self.0.jobs.0;
        let all = service.ledger.read(recall::all).await?;
        let levels = all.iter().filter_map(|(name, store, report)| Some((name.clone(), store.clone(), report.level?)));
        service.stores.levels().replace(levels);
        self.0.reports.replace(all);
        Ok(())
    }

    async fn test_if_due(
        &self,
        store: &dyn ImageIndex,
        info: &CollectionInfo,
        texts: &mut HashMap<ModelRecord, Texts>,
    ) -> Result<(), RecallError> {
        let collection = &info.name;
        let last = self.0.reports.get(collection).remove(store.name());
        if !is_due(last.as_ref(), info.count, self.0.max_ms) || self.is_changing(store, collection).await? {
            return Ok(());
        }
        let models = &self.0.jobs.0.models;
        let texts = match texts.entry(models.record(collection)) {
            Entry::Occupied(texts) => texts.into_mut(),
            Entry::Vacant(entry) => {
                let (model, space) = models.for_search(collection).await?;
                let queries = queries::texts(model.searches.as_ref(), &space, &self.0.texts).await?;
                entry.insert(Texts { space, queries })
            }
        };
        if info.space.admits(&texts.space).is_err() {
            return Ok(());
        }
        let mut queries = texts.queries.clone();
        queries.extend(queries::images(store, collection).await?);
        // A collection that has grown needs at least the effort of before.
        let first = last.filter(|last| last.records < info.count && last.max_ms <= self.0.max_ms);
        let first = first.and_then(|last| last.level);
        let max = Duration::from_millis(self.0.max_ms.into());
        let tuned = tune(store, collection, &queries, first, max).await?;
        // Records that were written meanwhile are missing in the exact results.
        if self.is_changing(store, collection).await? {
            return Ok(());
        }
        self.store(store.name(), info, tuned).await
    }

    /// Whether a job writes to the collection, or the store still works on what was written.
    async fn is_changing(&self, store: &dyn ImageIndex, collection: &CollectionName) -> Result<bool, RecallError> {
        let running = self.0.jobs.0.running().await?;
        let name = self.0.jobs.0.stores.generations().owner(collection);
        let is_written = running.iter().any(|job| [collection, &name].contains(&&job.spec.collection));
        Ok(is_written || !store.is_settled(collection).await?)
    }

    async fn store(&self, store: &'static str, info: &CollectionInfo, tuned: Tuned) -> Result<(), RecallError> {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        let report = RecallReport {
            records: info.count,
            level: tuned.level,
            text: tuned.measured.text,
            image: tuned.measured.image,
            p50_ms: milliseconds(tuned.measured.p50),
            exact_p50_ms: milliseconds(tuned.exact_p50),
            max_ms: self.0.max_ms,
            is_limited: tuned.is_limited,
            tested_at: Timestamp::now(),
        };
        tracing::info!(collection = %info.name, store, ?report, "the recall of a collection was tested");
        let collection = info.name.clone();
        self.0.jobs.0.ledger.write(move |tx| recall::put(tx, &collection, store, report)).await?;
        Ok(self.load().await?)
    }
}

/// Whether a test is missing or outdated.
fn is_due(last: Option<&RecallReport>, records: u64, max_ms: u32) -> bool {
    let is_outdated = last.is_none_or(|last| {
        records >= last.records.saturating_mul(GROWTH) || records <= last.records / GROWTH || last.max_ms != max_ms
    });
    records >= MIN_TESTED_RECORDS && is_outdated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_repeated_when_the_size_or_the_limit_has_changed() {
        let report = |records| RecallReport {
            records,
            level: None,
            text: None,
            image: None,
            p50_ms: 1.0,
            exact_p50_ms: 1.0,
            max_ms: 100,
            is_limited: false,
            tested_at: Timestamp::now(),
        };
        let last = report(10_000);
        for (records, max_ms, due) in
            [(10_000, 100, false), (19_999, 100, false), (20_000, 100, true), (5_000, 100, true), (10_000, 50, true)]
        {
            assert_eq!(is_due(Some(&last), records, max_ms), due, "{records} {max_ms}");
        }
        assert!(is_due(None, 2_000, 100) && !is_due(None, 1_999, 100));
        assert!(!is_due(Some(&last), 1_000, 100), "a small collection needs no test");
    }
}

//! The results of the self-tests, in memory and in the metrics.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use crate::domain::{CollectionName, RecallReport};
use crate::lock::lock;
use crate::telemetry::metrics::{families, gauge};

/// The results of the last self-tests, by collection and store. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RecallReports(Arc<Mutex<HashMap<CollectionName, BTreeMap<String, RecallReport>>>>);

impl RecallReports {
    /// Returns the results of a collection, by the name of the store.
    pub fn get(&self, collection: &CollectionName) -> BTreeMap<String, RecallReport> {
        lock(&self.0).get(collection).cloned().unwrap_or_default()
    }

    /// Removes the results of a collection, because it was dropped.
    pub fn forget(&self, collection: &CollectionName) {
        for store in lock(&self.0).remove(collection).into_iter().flatten().map(|(store, _)| store) {
            show(collection, &store, None);
        }
    }

    /// Replaces all results.
    pub(super) fn replace(&self, all: Vec<(CollectionName, String, RecallReport)>) {
        let mut new = HashMap::<CollectionName, BTreeMap<String, RecallReport>>::new();
        for (collection, store, report) in all {
            show(&collection, &store, Some(&report));
            new.entry(collection).or_default().insert(store, report);
        }
        let old = std::mem::replace(&mut *lock(&self.0), new);
        let now = lock(&self.0);
        for (collection, stores) in old {
            let is_gone = |store: &&String| !now.get(&collection).is_some_and(|stores| stores.contains_key(*store));
            stores.keys().filter(is_gone).for_each(|store| show(&collection, store, None));
        }
    }
}

/// Shows a result in the metrics: NaN if there is none, because a series cannot be removed.
fn show(collection: &CollectionName, store: &str, report: Option<&RecallReport>) {
    let labels = |kind: &'static str| {
        [("collection", collection.to_string()), ("store", store.to_owned()), ("query", kind.to_owned())]
    };
    for (kind, sample) in [("text", report.and_then(|report| report.text)), ("image", report.and_then(|r| r.image))] {
        gauge!(families::RECALL, &labels(kind)).set(sample.map_or(f64::NAN, |sample| sample.recall));
    }
    let labels = [("collection", collection.to_string()), ("store", store.to_owned())];
    gauge!(families::RECALL_SEARCH_SECONDS, &labels).set(report.map_or(f64::NAN, |report| report.p50_ms / 1_000.0));
}

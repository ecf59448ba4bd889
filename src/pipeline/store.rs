//! The last step of the pipeline, and the first: records are written to all stores at the same time, and a record that
//! some store has already is copied from there to the others.
//!
//! An image is done when every store has it. While one store is waited for, the ledger is informed which stores have
//! the image, so that the difference is known if the job ends there.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;

use super::steps::Steps;
use super::{Indexed, ItemOutcome, Task};
use crate::domain::{DependencyError, FailureClass, FailureKind, ImageId, ImageRecord, ItemFailure, StoreSet};
use crate::index::IndexError;
use crate::telemetry::traces;

/// A record that is to be written to the stores.
pub(super) struct Pending {
    pub(super) ticket: i64,
    /// The outcome so far, with the stores that have the record already.
    pub(super) indexed: Indexed,
    pub(super) record: ImageRecord,
}

/// How long one store can lack a record that another has before this is reported to the ledger.
const LAG_BEFORE_REPORT: Duration = Duration::from_secs(1);

impl Steps {
    /// Writes records to every store.
    pub(super) async fn upsert(self, pending: Vec<Pending>) {
        let spans = self.traces().all(pending.iter().map(|one| one.ticket));
        let size = pending.len();
        traces::batch("upsert", &spans, size, self.store(pending, StoreSet::default())).await;
    }

    /// Writes records to every store but those that `have` them.
    async fn store(&self, pending: Vec<Pending>, stored_in: StoreSet) {
        let (pipeline, run) = (self.pipeline(), self.current_run());
        let (mut items, records): (Vec<_>, Vec<_>) =
            pending.into_iter().map(|one| (Item::new(one.ticket, one.indexed), one.record)).unzip();
        run.write_lease.granted().await;
        let mut answers = pipeline.stores.upsert(&run.collection, &records, &stored_in);
        let mut worked = Duration::ZERO;
        let mut reported = true;
        let mut failed = None;
        loop {
            // While there is no new result, there is nothing to report.
            let written = if reported {
                Ok(answers.next().await)
            } else {
                tokio::time::timeout(LAG_BEFORE_REPORT, answers.next()).await
            };
            let Ok(written) = written else {
                self.report_lagging(&items).await;
                reported = true;
                continue;
            };
            let Some(written) = written else { break };
            // The stores work at the same time: the slowest one determines how long the lane worked.
            worked = worked.max(written.worked);
            match written.outcome {
                Ok(refused) => {
                    let refused: HashMap<ImageId, String> = refused.into_iter().collect();
                    for (item, record) in items.iter_mut().zip(&records) {
                        match refused.get(&record.id) {
                            None => item.indexed.stores.insert(written.store),
                            Some(reason) => item.refused = Some(format!("{}: {reason}", written.store)),
                        }
                    }
                    reported = false;
                }
                Err(error) => {
                    failed = Some(as_dependency(written.store, error));
                    break;
                }
            }
        }
        drop(answers);
        run.stages.upsert.took(worked);
        if let Some(down) = failed {
            self.report_lagging(&items).await;
            self.stop_with::<()>(down);
            return;
        }
        for (item, record) in items.into_iter().zip(records) {
            let Some(message) = item.refused else {
                self.report_outcome(item.ticket, ItemOutcome::Indexed(item.indexed)).await;
                continue;
            };
            if !item.indexed.stores.is_empty() {
                self.report_outcome(item.ticket, ItemOutcome::PartlyStored(item.indexed)).await;
            }
            let class = FailureClass::IndexRejected;
            let failure = ItemFailure { uri: record.uri, class, message, attempts: 1 };
            self.report_outcome(item.ticket, ItemOutcome::Failed(failure)).await;
        }
    }

    async fn report_lagging(&self, items: &[Item]) {
        for item in items.iter().filter(|item| !item.indexed.stores.is_empty()) {
            self.report_outcome(item.ticket, ItemOutcome::PartlyStored(item.indexed.clone())).await;
        }
    }

    /// Copies records that some store has to those that lack them. Returns the tasks that must be read from the bucket.
    pub(super) async fn copy(self, batch: Vec<Task>) -> Vec<Task> {
        let (mut rest, mut lagging): (Vec<Task>, Vec<Task>) =
            batch.into_iter().partition(|task| task.stored_in.is_empty());
        while let Some(first) = lagging.first() {
            let stored_in = first.stored_in.clone();
            let (same_stores, others) = lagging.into_iter().partition(|task| task.stored_in == stored_in);
            lagging = others;
            match self.read(&stored_in, same_stores).await {
                Ok((found, missing)) => {
                    rest.extend(missing);
                    if !found.is_empty() {
                        self.store(found, stored_in).await;
                    }
                }
                Err(down) => return self.stop_with(down).unwrap_or_default(),
            }
        }
        rest
    }

    /// Returns the records of tasks, from any store that has them and answers, and the tasks whose records do not
    /// exist.
    async fn read(&self, stored_in: &StoreSet, tasks: Vec<Task>) -> Result<(Vec<Pending>, Vec<Task>), DependencyError> {
        let run = self.current_run();
        let ids: Vec<ImageId> = tasks.iter().map(|task| task.image.uri.id()).collect();
        let found = self.pipeline().stores.get_from_any(stored_in, &run.collection, &ids).await;
        let found = found.map_err(|(store, error)| as_dependency(store, error))?;
        let mut found: HashMap<ImageId, ImageRecord> = found.into_iter().map(|record| (record.id, record)).collect();
        let space = run.space.name();
        let (mut existing, mut missing) = (Vec::new(), Vec::new());
        for task in tasks {
            let record = found.remove(&task.image.uri.id());
            let same = |record: &ImageRecord| record.payload.etag == task.image.etag && record.payload.space == space;
            if let Some(record) = record.filter(same) {
                let (etag, size_bytes) = (record.payload.etag.clone(), record.payload.size_bytes);
                let indexed = Indexed { etag, size_bytes, stores: stored_in.clone(), copied: true };
                existing.push(Pending { ticket: task.ticket, indexed, record });
            } else {
                missing.push(task);
            }
        }
        Ok((existing, missing))
    }
}

/// The state of a record that is being written.
struct Item {
    ticket: i64,
    indexed: Indexed,
    /// Why a store refuses the record.
    refused: Option<String>,
}

impl Item {
    fn new(ticket: i64, indexed: Indexed) -> Self {
        Self { ticket, indexed, refused: None }
    }
}

/// Converts an error of a store: a collection that vanished or changed during a job is a failure of the store, not of
/// an image.
pub(super) fn as_dependency(store: &str, error: IndexError) -> DependencyError {
    match error {
        IndexError::Dependency(down) => down,
        other => {
            DependencyError { dependency: store.to_owned(), failure: FailureKind::Failed, detail: other.to_string() }
        }
    }
}

//! The last step of the chain, and the first: records go to every store side by side, and what some store has already is
//! copied from there to the others.
//!
//! An image is done when every store has it. While one is waited for, the ledger is told which have it: should the job end
//! there, no two stores differ without somebody knowing.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;

use super::steps::Steps;
use super::{Indexed, ItemOutcome, Task};
use crate::domain::{DependencyError, FailureClass, ImageId, ImageRecord, ItemFailure, StoreSet, Trouble};
use crate::index::IndexError;

/// A record on its way into the stores.
pub(super) struct Pending {
    pub(super) ticket: i64,
    /// With the stores that have it already.
    pub(super) indexed: Indexed,
    pub(super) record: ImageRecord,
}

/// What one store has and another lacks for so long is told to the ledger.
const LAG: Duration = Duration::from_secs(1);

impl Steps {
    /// Writes records to every store.
    pub(super) async fn upsert(self, pending: Vec<Pending>) {
        self.store(pending, StoreSet::default()).await;
    }

    /// Writes records to every store but those that `have` them.
    async fn store(&self, pending: Vec<Pending>, have: StoreSet) {
        let (pipeline, run) = (self.pipeline(), self.of_run());
        let (mut items, records): (Vec<_>, Vec<_>) =
            pending.into_iter().map(|one| (Item::new(one.ticket, one.indexed), one.record)).unzip();
        run.leave.granted().await;
        let mut answers = pipeline.stores.upsert(&run.collection, &records, &have, run.stages.clock());
        let mut worked = Duration::ZERO;
        let mut told = true;
        let mut broken = None;
        loop {
            // While nothing new is known, there is nothing to tell.
            let written = if told { Ok(answers.next().await) } else { tokio::time::timeout(LAG, answers.next()).await };
            let Ok(written) = written else {
                self.tell_lags(&items).await;
                told = true;
                continue;
            };
            let Some(written) = written else { break };
            // Side by side: the slowest says how long the lane was at work.
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
                    told = false;
                }
                Err(error) => {
                    broken = Some(as_dependency(written.store, error));
                    break;
                }
            }
        }
        drop(answers);
        run.stages.upsert.took(worked);
        if let Some(down) = broken {
            self.tell_lags(&items).await;
            self.broke::<()>(down);
            return;
        }
        for (item, record) in items.into_iter().zip(records) {
            let Some(message) = item.refused else {
                self.tell(item.ticket, ItemOutcome::Indexed(item.indexed)).await;
                continue;
            };
            if !item.indexed.stores.is_empty() {
                self.tell(item.ticket, ItemOutcome::Lags(item.indexed)).await;
            }
            let class = FailureClass::IndexRejected;
            let failure = ItemFailure { uri: record.uri, class, message, attempts: 1 };
            self.tell(item.ticket, ItemOutcome::Failed(failure)).await;
        }
    }

    async fn tell_lags(&self, items: &[Item]) {
        for item in items.iter().filter(|item| !item.indexed.stores.is_empty()) {
            self.tell(item.ticket, ItemOutcome::Lags(item.indexed.clone())).await;
        }
    }

    /// Copies what some store has to those that lack it; gives back the tasks that must be read from the bucket.
    pub(super) async fn copy(self, batch: Vec<Task>) -> Vec<Task> {
        let (mut rest, mut lagging): (Vec<Task>, Vec<Task>) = batch.into_iter().partition(|task| task.have.is_empty());
        while let Some(first) = lagging.first() {
            let have = first.have.clone();
            let (alike, others) = lagging.into_iter().partition(|task| task.have == have);
            lagging = others;
            match self.read(&have, alike).await {
                Ok((found, missing)) => {
                    rest.extend(missing);
                    if !found.is_empty() {
                        self.store(found, have).await;
                    }
                }
                Err(down) => return self.broke(down).unwrap_or_default(),
            }
        }
        rest
    }

    /// The records of tasks, from any store that has them and answers, and the tasks whose records are not there after all.
    async fn read(&self, have: &StoreSet, tasks: Vec<Task>) -> Result<(Vec<Pending>, Vec<Task>), DependencyError> {
        let run = self.of_run();
        let ids: Vec<ImageId> = tasks.iter().map(|task| task.image.uri.id()).collect();
        let found = self.pipeline().stores.get_from_any(have, &run.collection, &ids).await;
        let found = found.map_err(|(store, error)| as_dependency(store, error))?;
        let mut found: HashMap<ImageId, ImageRecord> = found.into_iter().map(|record| (record.id, record)).collect();
        let space = run.space.name();
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for task in tasks {
            let record = found.remove(&task.image.uri.id());
            let same = |record: &ImageRecord| record.payload.etag == task.image.etag && record.payload.space == space;
            if let Some(record) = record.filter(same) {
                let (etag, size_bytes) = (record.payload.etag.clone(), record.payload.size_bytes);
                let indexed = Indexed { etag, size_bytes, stores: have.clone(), copied: true };
                there.push(Pending { ticket: task.ticket, indexed, record });
            } else {
                missing.push(task);
            }
        }
        Ok((there, missing))
    }
}

/// What became of a record so far.
struct Item {
    ticket: i64,
    indexed: Indexed,
    /// Why a store does not take it.
    refused: Option<String>,
}

impl Item {
    fn new(ticket: i64, indexed: Indexed) -> Self {
        Self { ticket, indexed, refused: None }
    }
}

/// A collection that vanished or changed under a running job is the store's trouble, not an image's.
pub(super) fn as_dependency(store: &str, error: IndexError) -> DependencyError {
    match error {
        IndexError::Dependency(down) => down,
        other => DependencyError { dependency: store.to_owned(), trouble: Trouble::Failed, detail: other.to_string() },
    }
}

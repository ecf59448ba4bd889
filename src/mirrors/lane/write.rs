//! Writes what the comparison found: removes records of objects that are gone, and indexes objects that are new or changed
//! through the pipeline of the jobs.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::try_join_all;
use futures::stream;
use tokio::sync::mpsc;

use super::batch::{Batch, KeyEnd, SHORT_DELAY, Target, after, retry_delay};
use super::compare::Changed;
use super::error::LaneError;
use crate::domain::{
    FailureClass, ImageId, ImageRecord, Indexed, ItemFailure, ItemOutcome, JobSpec, MirrorName, StoreSet, Task,
    TaskOutcome, Timestamp,
};
use crate::index::{EnsureOutcome, IndexError};
use crate::ledger::events::{self, KeyOwner, PendingKey, Written};
use crate::ledger::objects::{ObjectRow, forget};
use crate::ledger::{LedgerError, mirrors};
use crate::mirrors::tally::{self, KeyOutcome};
use crate::pipeline::{Run, RunTrace, Stages, WriteLease};

/// Events may remove this number of records between two runs, even if it is a larger share of the collection than
/// `max_delete_percent`: of a small collection, a single image is such a share.
const MIN_REMOVAL_LIMIT: u64 = 100;

/// How often an object is tried again that the bucket listed and then did not have.
const MAX_MISSING: u32 = 5;

impl Batch<'_> {
    /// Removes the records of objects that are gone, or stops the mirror if they are too many.
    pub(super) async fn remove(
        &self,
        target: &Target,
        removed: Vec<(PendingKey, Option<ObjectRow>)>,
    ) -> Result<(), LedgerError> {
        let KeyOwner::Mirror(name) = &self.owner else { return Ok(()) };
        if removed.is_empty() {
            return Ok(());
        }
        let known = removed.iter().filter(|(_, before)| before.is_some()).count() as u64;
        let keys: Vec<PendingKey> = removed.iter().map(|(key, _)| key.clone()).collect();
        if self.is_over_limit(target, name, known).await? {
            return self.postpone(keys).await;
        }
        let ids: Vec<ImageId> = keys.iter().map(|key| key.uri.id()).collect();
        let collection = &target.collection;
        let deleted = self.service.jobs.0.pipeline.stores().iter().map(|store| {
            let ids = &ids;
            async move {
                match store.delete(collection, ids).await {
                    Ok(()) | Err(IndexError::UnknownCollection(_)) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        });
        if let Err(error) = try_join_all(deleted).await {
            return self.fail(keys, true, &error.into()).await;
        }
        for (key, before) in removed {
            let is_known = before.is_some();
            if self.record(target, &key, before, None).await? {
                self.tally(&key, if is_known { KeyOutcome::Removed } else { KeyOutcome::Unchanged });
                if is_known {
                    let name = name.clone();
                    self.service.ledger.write(move |tx| mirrors::add_removed(tx, &name, 1)).await?;
                }
            }
        }
        self.set_problem(None);
        Ok(())
    }

    /// Stops the mirror if events would remove more records than a run may.
    async fn is_over_limit(&self, target: &Target, name: &MirrorName, count: u64) -> Result<bool, LedgerError> {
        let percent = target.mirror.as_ref().and_then(|spec| spec.max_delete_percent);
        let percent = percent.unwrap_or(JobSpec::MAX_DELETE_PERCENT);
        let name = name.clone();
        let check = move |tx: &rusqlite::Transaction<'_>| {
            let Some(mirror) = mirrors::find(tx, &name)? else { return Ok(true) };
            let share = mirrors::owned(tx, &name)? / 100 * u64::from(percent);
            let limit = if percent == 0 { 0 } else { share.max(MIN_REMOVAL_LIMIT) };
            let removed = mirror.removed + count;
            if count == 0 || removed <= limit {
                return Ok(false);
            }
            let reason = format!(
                "events would remove {removed} records since the last run, more than the {limit} that max_delete_percent = \
                 {percent} allows; nothing more was removed. If this is intended, set a larger max_delete_percent and resume the mirror"
            );
            tracing::error!(mirror = %name, "the mirror is stopped: {reason}");
            mirrors::stop(tx, &name, &reason)?;
            Ok(true)
        };
        self.service.ledger.write(check).await
    }

    /// Indexes objects.
    pub(super) async fn index(&self, target: &Target, changed: Vec<Changed>) -> Result<(), LedgerError> {
        if changed.is_empty() {
            return Ok(());
        }
        let keys = || changed.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
        let created = match self.ensure_collection(target).await {
            Ok(created) => created,
            Err(LaneError::Ledger(error)) => return Err(error),
            Err(error) => return self.fail(keys(), false, &error).await,
        };
        let tasks = match self.tasks(target, &changed).await {
            Ok(tasks) => tasks,
            Err(error) => return self.fail(keys(), false, &error).await,
        };
        let pipeline = self.service.jobs.0.pipeline.clone().with_provider(target.model.jobs.clone());
        let run = Run {
            collection: target.collection.clone(),
            space: target.space.clone(),
            stages: Arc::new(Stages::new(pipeline.lanes(), pipeline.provider().busy())),
            write_lease: WriteLease::default(),
            exif: pipeline.exif(),
            trace: RunTrace::Current,
        };
        let mut left: HashMap<i64, Changed> = changed.into_iter().map(|one| (one.key.id, one)).collect();
        let (outcomes, mut reports) = mpsc::channel(left.len());
        let report = async {
            while let Some(TaskOutcome { ticket, result }) = reports.recv().await {
                // Only an image that every store has, or that failed, is done.
                let result = match result {
                    ItemOutcome::PartlyStored(_) => continue,
                    ItemOutcome::Indexed(indexed) => Ok(indexed),
                    ItemOutcome::Failed(failure) => Err(failure),
                };
                let Some(one) = left.remove(&ticket) else { continue };
                match result {
                    Ok(indexed) => self.indexed(target, one, &indexed).await?,
                    Err(failure) => self.failed(one, &failure).await?,
                }
            }
            Ok::<_, LedgerError>(())
        };
        let stop = target.stop.child_token();
        let (worked, reported) = tokio::join!(pipeline.run(run, stream::iter([tasks]), outcomes, stop), report);
        reported?;
        let undone: Vec<PendingKey> = left.into_values().map(|one| one.key).collect();
        match worked {
            Ok(()) if undone.is_empty() => self.set_problem(None),
            Ok(()) => self.fail(undone, true, &LaneError::Stopped).await?,
            Err(error) => self.fail(undone, true, &error.into()).await?,
        }
        self.finish_load(target, &created).await;
        Ok(())
    }

    /// Makes the collection in every store. Returns the stores that did not have it.
    async fn ensure_collection(&self, target: &Target) -> Result<StoreSet, LaneError> {
        let collection = &target.collection;
        let mut created = StoreSet::default();
        for store in self.service.jobs.0.pipeline.stores().iter() {
            if store.ensure_image_collection(collection, &target.space).await? == EnsureOutcome::Created {
                let forget = forget::forget_store(collection.clone(), store.name());
                self.service.ledger.in_steps(forget).await?;
                created.insert(store.name());
            }
        }
        self.service.jobs.0.models.set(collection, &target.model.record).await?;
        Ok(created)
    }

    /// Ends the load of collections that this batch has made, if no job continues it.
    async fn finish_load(&self, target: &Target, created: &StoreSet) {
        let collection = &target.collection;
        for store in self.service.jobs.0.pipeline.stores().iter().filter(|store| created.contains(store.name())) {
            if self.running().is_empty()
                && let Err(error) = store.finish_load(collection).await
            {
                tracing::warn!(%collection, store = store.name(), %error, "the load of a store was not ended");
            }
        }
    }

    async fn tasks(&self, target: &Target, changed: &[Changed]) -> Result<Vec<Task>, LaneError> {
        let mut metadata = self.known_metadata(target, changed).await?;
        let to_task = |one: &Changed| Task {
            ticket: one.key.id,
            image: one.image.clone(),
            // Every store gets the record, so that all have the version that is read now.
            stored_in: StoreSet::default(),
            possible_copy: one.possible_copy.clone(),
            refresh: false,
            metadata: metadata.remove(&one.key.uri.id()).map(|record| record.payload.meta).unwrap_or_default(),
        };
        Ok(changed.iter().map(to_task).collect())
    }

    /// Returns the known records of objects whose metadata is from the metadata file of the mirror. They keep it until the
    /// next run joins the file again.
    async fn known_metadata(
        &self,
        target: &Target,
        changed: &[Changed],
    ) -> Result<HashMap<ImageId, ImageRecord>, LaneError> {
        if target.mirror.as_ref().is_none_or(|spec| spec.metadata_key.is_none()) {
            return Ok(HashMap::new());
        }
        let ids: Vec<ImageId> = changed.iter().filter(|one| one.before.is_some()).map(|one| one.key.uri.id()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let stores = self.service.jobs.0.pipeline.stores();
        let records = stores.get_from_any(&stores.name_set(), &target.collection, &ids).await;
        let records = records.map_err(|(_, error)| LaneError::Index(error))?;
        Ok(records.into_iter().map(|record| (record.id, record)).collect())
    }

    async fn indexed(&self, target: &Target, one: Changed, indexed: &Indexed) -> Result<(), LedgerError> {
        let Changed { key, image, before, .. } = one;
        if !self.record(target, &key, before, Some(indexed.clone())).await? {
            return Ok(());
        }
        self.tally(&key, KeyOutcome::Indexed);
        let since = image.modified.or_else(|| Timestamp::from_unix_micros(key.received.saturating_mul(1_000)));
        // Clocks of two machines can differ.
        let lag = since.map_or(0.0, |since| Timestamp::now().seconds_since(since)).max(0.0);
        tally::lag(&self.owner, lag);
        if let KeyOwner::Mirror(name) = &self.owner {
            self.service.activity.set_lag(name, lag);
        }
        tracing::debug!(owner = %self.owner, image.uri = %key.uri, lag, "indexed because of an event or an upload");
        Ok(())
    }

    /// An image that cannot be indexed is done: its next version has an event of its own. The next run reports it, too.
    async fn failed(&self, one: Changed, failure: &ItemFailure) -> Result<(), LedgerError> {
        let key = one.key;
        if failure.class == FailureClass::FetchMissing && key.attempts < MAX_MISSING {
            // It was removed or replaced after the comparison.
            let give_back = move |tx: &rusqlite::Transaction<'_>| {
                events::give_back(tx, &key, after(retry_delay(key.attempts)), false, true)
            };
            return self.service.ledger.write(give_back).await;
        }
        tracing::warn!(
            owner = %self.owner, image.uri = %key.uri, class = failure.class.as_str(), failure.message,
            "an image of an event could not be indexed"
        );
        self.set_end(&key, KeyEnd::Failed(failure.clone()));
        self.done(&key, KeyOutcome::Failed).await
    }

    /// Records what was written for a key, and ends the work on it. Returns `false` if a job may have written the record at
    /// the same time: then the key is written again after a moment.
    async fn record(
        &self,
        target: &Target,
        key: &PendingKey,
        before: Option<ObjectRow>,
        indexed: Option<Indexed>,
    ) -> Result<bool, LedgerError> {
        let (key, running) = (key.clone(), self.running());
        let (collection, space) = (target.collection.clone(), target.space.name());
        let record = move |tx: &rusqlite::Transaction<'_>| {
            let indexed = indexed.as_ref().map(|indexed| (indexed, space.as_str()));
            let written = Written { collection: &collection, before: before.as_ref(), indexed, running: &running };
            let is_recorded = events::record(tx, &key, &written)?;
            if is_recorded {
                events::done(tx, &key, after(SHORT_DELAY))?;
            } else {
                events::give_back(tx, &key, after(SHORT_DELAY), true, false)?;
            }
            Ok(is_recorded)
        };
        self.service.ledger.write(record).await
    }
}

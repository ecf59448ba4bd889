//! Brings what has changed in the current generation of a collection into the other ones. After a forced switch, the current
//! generation can have outdated images itself: it is brought up to date from the bucket.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::stream::{self, StreamExt};
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::set_aside::SetAside;
use crate::domain::{CollectionName, Generation, GenerationState, ImageId, ImageRef, ImageUri, JobId, JobRecord};
use crate::jobs::{GRACE, JobService, JobsError};
use crate::ledger::generations::due::{self, DueKey};
use crate::ledger::{LedgerError, ObjectRow, events, generations, objects, tombstones};
use crate::resilience::{Concurrently, until_stopped};

/// Maximum number of keys of one batch, which is the number of images that it has in memory at most.
const MAX_KEYS: u32 = 64;
/// Number of concurrent requests to the bucket.
const CONCURRENT_REQUESTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);
/// The pause between two attempts at a key.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// The pause between two checks whether the model still answers.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// A key to index again, with its object and the digest of its metadata.
pub(super) type Changed = (DueKey, ImageRef, String);

/// The keys of a batch, by what has to be done.
#[derive(Default)]
struct Sorted {
    /// The generation has them in the same version.
    same: Vec<DueKey>,
    /// The object does not exist any more.
    gone: Vec<DueKey>,
    /// They are to be indexed.
    changed: Vec<Changed>,
    /// A job may be writing them, or the bucket did not answer.
    busy: Vec<DueKey>,
}

impl JobService {
    /// Works on some keys of one generation. Returns whether there may be more to do now. A generation whose model does not
    /// answer is set aside, so that the others do not wait for it.
    pub(super) async fn catch_up(&self, set_aside: &mut SetAside) -> Result<bool, JobsError> {
        let now = now_millis();
        let waiting = self.ledger.read(move |db| due::waiting_generations(db, now)).await?;
        let Some(physical) = set_aside.first(waiting) else { return Ok(false) };
        let name = physical.clone();
        let Some(generation) = self.ledger.read(move |db| generations::find(db, &name)).await? else {
            return Ok(false);
        };
        let worked = self.catch_up_generation(&generation, now).await;
        if !matches!(worked, Ok(true)) {
            set_aside.add(physical);
        }
        match worked {
            Err(JobsError::Model(error)) => {
                let Generation { collection, number, .. } = &generation;
                tracing::warn!(%collection, generation = number, %error, "a generation cannot be kept up to date now");
            }
            worked => drop(worked?),
        }
        Ok(true)
    }

    /// Works on some keys of a generation. Returns whether something was done.
    async fn catch_up_generation(&self, generation: &Generation, now: i64) -> Result<bool, JobsError> {
        let physical = &generation.physical;
        let is_current = generation.state == GenerationState::Current;
        // A job that retries images of a rebuild writes this generation; every other one writes the current generation.
        let is_writing = |job: &JobRecord| {
            job.spec.collection == *physical && job.spec.rebuild.is_some()
                || is_current && job.spec.rebuild.is_none() && job.spec.collection == generation.collection
        };
        if self.running().await?.iter().any(is_writing) {
            return Ok(false);
        }
        let model = self.models.get(physical).await.map_err(JobsError::Model)?;
        let is_reachable = || model.jobs.reachable().is_ok();
        if !is_reachable() {
            return Ok(false);
        }
        // Events write the current generation under the name of the collection.
        let lane = if is_current { &generation.collection } else { physical };
        let Some(lane_use) = self.enter_lane(lane) else { return Ok(false) };
        let stop = lane_use.stop.child_token();
        let name = physical.clone();
        let keys = self.ledger.read(move |db| due::take(db, &name, now, MAX_KEYS)).await?;
        let drain = self.drain.clone().cancelled_owned();
        let model_fails = async {
            while is_reachable() {
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        };
        let limit = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = drain => stop.cancel(),
                () = model_fails => stop.cancel(),
            }
            tokio::time::sleep(GRACE).await;
        };
        let work = until_stopped(stop.clone(), self.bring_up_to_date(generation, keys, stop.clone()));
        tokio::select! {
            worked = work => worked,
            () = limit => Ok(false),
        }
    }

    async fn bring_up_to_date(
        &self,
        generation: &Generation,
        keys: Vec<DueKey>,
        stop: CancellationToken,
    ) -> Result<bool, JobsError> {
        let physical = &generation.physical;
        let Sorted { same, gone, changed, busy } = self.sort(generation, keys).await?;
        let did_something = !same.is_empty() || !gone.is_empty() || !changed.is_empty();
        self.end_keys(physical, same, Vec::new()).await?;
        self.postpone_keys(physical, busy, false).await?;
        if !gone.is_empty() {
            let Some(_alone) = stop.run_until_cancelled(self.lane.removals.write()).await else { return Ok(false) };
            self.remove_due(physical, gone).await?;
        }
        if !changed.is_empty() {
            let Some(_shared) = stop.run_until_cancelled(self.lane.removals.read()).await else { return Ok(false) };
            self.index_due(physical, changed, stop.clone()).await?;
        }
        Ok(did_something)
    }

    /// Compares keys with the generation that they changed in; those of the current generation with the bucket, because nothing
    /// keeps the generation that was the current one before it from being older. An image that a client had removed before a
    /// forced switch stays removed, although its object may exist.
    async fn sort(&self, generation: &Generation, keys: Vec<DueKey>) -> Result<Sorted, LedgerError> {
        let (name, stores) = (generation.physical.clone(), self.pipeline.stores().name_set());
        let running: Vec<JobId> = self.running_jobs().keys().copied().collect();
        let is_current = generation.state == GenerationState::Current;
        let mut in_bucket = if is_current {
            self.find_in_bucket(keys.iter().filter(|key| !key.is_removed)).await
        } else {
            HashMap::new()
        };
        let sort = move |db: &Connection| {
            let mut sorted = Sorted::default();
            for key in keys {
                let object = if is_current && key.is_removed {
                    Some(None)
                } else if is_current {
                    in_bucket.remove(&key.uri)
                } else {
                    Some(events::object(db, &key.source, &key.uri)?.map(to_image))
                };
                let (Some(object), false) = (object, events::is_leased(db, &running, &name, &key.uri)?) else {
                    sorted.busy.push(key);
                    continue;
                };
                let is_removed = tombstones::exists(db, &name, &key.uri)?;
                let Some(object) = object.filter(|_| !is_removed) else {
                    sorted.gone.push(key);
                    continue;
                };
                let known = events::object(db, &name, &key.uri)?;
                let digest = objects::metadata_digest(db, &key.source, &key.uri)?;
                let is_same = known.is_some_and(|known| Some(known.etag) == object.etag && known.stores.cover(&stores))
                    && objects::metadata_digest(db, &name, &key.uri)? == digest;
                if is_same { sorted.same.push(key) } else { sorted.changed.push((key, object, digest)) }
            }
            Ok(sorted)
        };
        self.ledger.read(sort).await
    }

    /// Returns the objects of keys, without those for which the bucket did not answer.
    async fn find_in_bucket(&self, keys: impl Iterator<Item = &DueKey>) -> HashMap<ImageUri, Option<ImageRef>> {
        let uris: Vec<ImageUri> = keys.map(|key| key.uri.clone()).collect();
        let source = self.pipeline.source().clone();
        let find = move |uri: ImageUri| {
            let source = source.clone();
            async move {
                let found = source.find(&uri).await.inspect_err(|error| {
                    tracing::warn!(image.uri = %uri, %error, "an outdated image cannot be compared with the bucket now");
                });
                Some((uri, found.ok()?))
            }
        };
        let found: Vec<_> = stream::iter(uris).concurrently(CONCURRENT_REQUESTS, find).collect().await;
        found.into_iter().flatten().collect()
    }

    /// Removes the records of objects that do not exist. A key that was written meanwhile is not due any more, or due again.
    async fn remove_due(&self, physical: &CollectionName, gone: Vec<DueKey>) -> Result<(), JobsError> {
        let name = physical.clone();
        let still_due = move |db: &Connection| {
            let mut left = Vec::new();
            for key in gone {
                if due::is_same(db, &name, &key)? {
                    left.push(key);
                }
            }
            Ok(left)
        };
        let gone = self.ledger.read(still_due).await?;
        let ids: Vec<ImageId> = gone.iter().map(|key| key.uri.id()).collect();
        self.delete_in_stores(physical, &ids).await?;
        Ok(self.end_keys(physical, Vec::new(), gone).await?)
    }

    /// Ends the work on keys whose records are as they should be, and on those whose records were removed.
    pub(super) async fn end_keys(
        &self,
        physical: &CollectionName,
        same: Vec<DueKey>,
        removed: Vec<DueKey>,
    ) -> Result<(), LedgerError> {
        let physical = physical.clone();
        let end = move |tx: &rusqlite::Transaction<'_>| {
            for key in &removed {
                objects::forget(tx, &physical, &key.uri)?;
            }
            same.iter().chain(&removed).try_for_each(|key| due::done(tx, &physical, key))
        };
        self.ledger.write(end).await
    }

    pub(super) async fn postpone_keys(
        &self,
        physical: &CollectionName,
        keys: Vec<DueKey>,
        is_failure: bool,
    ) -> Result<(), LedgerError> {
        let physical = physical.clone();
        let delay = i64::try_from(RETRY_DELAY.as_millis()).unwrap_or(i64::MAX);
        let after = now_millis().saturating_add(if is_failure { delay } else { 1_000 });
        let postpone = move |tx: &rusqlite::Transaction<'_>| {
            keys.iter().try_for_each(|key| due::postpone(tx, &physical, key, after, is_failure))
        };
        self.ledger.write(postpone).await
    }
}

fn to_image(row: ObjectRow) -> ImageRef {
    ImageRef { uri: row.uri, etag: Some(row.etag), size_bytes: row.size_bytes, modified: None }
}

/// Returns the current time in Unix milliseconds.
fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

//! Brings what has changed in the current generation of a collection into the other ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::stream;
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    CollectionName, GenerationState, ImageId, ImageRef, Indexed, ItemOutcome, JobRecord, StoreSet, Task, TaskOutcome,
};
use crate::index::IndexError;
use crate::jobs::{GRACE, JobService, JobsError};
use crate::ledger::generations::due::{self, DueKey};
use crate::ledger::{LedgerError, ObjectRow, events, generations, objects, tombstones};
use crate::pipeline::{Run, Stages, WriteLease};
use crate::resilience::until_stopped;

/// Maximum number of keys of one batch, which is the number of images that it has in memory at most.
const MAX_KEYS: u32 = 64;
/// How often an image is tried that cannot be indexed. Then it is missing in the generation.
const MAX_ATTEMPTS: u32 = 5;
/// The pause between two attempts at a key.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// The keys of a batch, by what has to be done.
#[derive(Default)]
struct Sorted {
    /// The generation has them in the same version.
    same: Vec<DueKey>,
    /// The other generation does not have them any more.
    gone: Vec<DueKey>,
    /// They are to be indexed.
    changed: Vec<(DueKey, ObjectRow, String)>,
    /// A job may be writing them.
    busy: Vec<DueKey>,
}

impl JobService {
    /// Works on some keys of one generation. Returns whether there were any.
    pub(super) async fn catch_up(&self) -> Result<bool, JobsError> {
        let now = now_millis();
        let Some(physical) = self.ledger.read(move |db| due::next_generation(db, now)).await? else {
            return Ok(false);
        };
        let name = physical.clone();
        let Some(generation) = self.ledger.read(move |db| generations::find(db, &name)).await? else {
            return Ok(false);
        };
        // A job that retries images of a rebuild writes this generation.
        let is_writing = |job: &JobRecord| job.spec.rebuild.is_some() && job.spec.collection == physical;
        if self.running().await?.iter().any(is_writing) {
            return Ok(false);
        }
        // Jobs and events write the current generation under the name of the collection.
        let is_current = generation.state == GenerationState::Current;
        let lane = if is_current { &generation.collection } else { &physical };
        let Some(lane_use) = self.enter_lane(lane) else { return Ok(false) };
        let stop = lane_use.stop.child_token();
        let Some(_shared) = stop.run_until_cancelled(self.lane.removals.read()).await else { return Ok(false) };
        let name = physical.clone();
        let keys = self.ledger.read(move |db| due::take(db, &name, now, MAX_KEYS)).await?;
        let drain = self.drain.clone().cancelled_owned();
        let limit = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = drain => stop.cancel(),
            }
            tokio::time::sleep(GRACE).await;
        };
        let work = until_stopped(stop.clone(), self.bring_up_to_date(&physical, keys, stop.clone()));
        tokio::select! {
            worked = work => worked,
            () = limit => Ok(false),
        }
    }

    async fn bring_up_to_date(
        &self,
        physical: &CollectionName,
        keys: Vec<DueKey>,
        stop: CancellationToken,
    ) -> Result<bool, JobsError> {
        let running = self.running_jobs().keys().copied().collect::<Vec<_>>();
        let (name, stores) = (physical.clone(), self.pipeline.stores().name_set());
        let sort = move |db: &Connection| {
            let mut sorted = Sorted::default();
            for key in keys {
                if events::is_leased(db, &running, &name, &key.uri)? {
                    sorted.busy.push(key);
                    continue;
                }
                let is_removed = tombstones::exists(db, &name, &key.uri)?;
                let wanted = events::object(db, &key.source, &key.uri)?.filter(|_| !is_removed);
                let Some(wanted) = wanted else {
                    sorted.gone.push(key);
                    continue;
                };
                let known = events::object(db, &name, &key.uri)?;
                let digest = objects::metadata_digest(db, &key.source, &key.uri)?;
                let is_same = known.is_some_and(|known| known.etag == wanted.etag && known.stores.cover(&stores))
                    && objects::metadata_digest(db, &name, &key.uri)? == digest;
                if is_same { sorted.same.push(key) } else { sorted.changed.push((key, wanted, digest)) }
            }
            Ok(sorted)
        };
        let Sorted { same, gone, changed, busy } = self.ledger.read(sort).await?;
        let did_something = !same.is_empty() || !gone.is_empty() || !changed.is_empty();
        self.end_keys(physical, same, Vec::new()).await?;
        self.postpone_keys(physical, busy, false).await?;
        if !gone.is_empty() {
            let ids: Vec<ImageId> = gone.iter().map(|key| key.uri.id()).collect();
            self.delete_in_stores(physical, &ids).await?;
            self.end_keys(physical, Vec::new(), gone).await?;
        }
        if !changed.is_empty() {
            self.index_due(physical, changed, stop).await?;
        }
        Ok(did_something)
    }

    async fn index_due(
        &self,
        physical: &CollectionName,
        changed: Vec<(DueKey, ObjectRow, String)>,
        stop: CancellationToken,
    ) -> Result<(), JobsError> {
        let model = self.models.get(physical).await.map_err(JobsError::Model)?;
        let space = model.jobs.space().await;
        let space = space.map_err(|error| JobsError::Model(self.models.error(physical, &model.record, error)))?;
        let pipeline = self.pipeline.clone().with_provider(model.jobs.clone());
        let mut metadata = self.metadata_of(&changed).await?;
        let task = |(ticket, (key, row, _)): (usize, &(DueKey, ObjectRow, String))| Task {
            ticket: i64::try_from(ticket).unwrap_or(i64::MAX),
            image: ImageRef {
                uri: key.uri.clone(),
                etag: Some(row.etag.clone()),
                size_bytes: row.size_bytes,
                modified: None,
            },
            stored_in: StoreSet::default(),
            possible_copy: None,
            refresh: false,
            metadata: metadata.remove(&key.uri.id()).unwrap_or_default(),
        };
        let tasks: Vec<Task> = changed.iter().enumerate().map(task).collect();
        let run = Run {
            collection: physical.clone(),
            space: space.clone(),
            stages: Arc::new(Stages::new(pipeline.lanes(), pipeline.provider().busy())),
            write_lease: WriteLease::default(),
            exif: pipeline.exif(),
        };
        let (outcomes, mut reports) = mpsc::channel(tasks.len());
        let report = async {
            while let Some(TaskOutcome { ticket, result }) = reports.recv().await {
                let Some((key, _, digest)) = usize::try_from(ticket).ok().and_then(|at| changed.get(at)) else {
                    continue;
                };
                match result {
                    ItemOutcome::PartlyStored(_) => {}
                    ItemOutcome::Indexed(indexed) => {
                        self.record_due(physical, key, &space.name(), indexed, digest).await?;
                    }
                    ItemOutcome::Failed(failure) => {
                        let class = failure.class.as_str();
                        tracing::warn!(
                            collection = %physical, image.uri = %key.uri, class, failure.message,
                            "an image cannot be indexed in another generation"
                        );
                        if key.attempts + 1 >= MAX_ATTEMPTS {
                            self.end_keys(physical, vec![key.clone()], Vec::new()).await?;
                        } else {
                            self.postpone_keys(physical, vec![key.clone()], true).await?;
                        }
                    }
                }
            }
            Ok::<_, LedgerError>(())
        };
        let (worked, reported) = tokio::join!(pipeline.run(run, stream::iter([tasks]), outcomes, stop), report);
        reported?;
        // Keys without an outcome are still due.
        worked.map_err(|error| JobsError::Conflict("generation_state", error.to_string()))
    }

    /// Returns the metadata that the images have in the generation with which they are compared.
    async fn metadata_of(
        &self,
        changed: &[(DueKey, ObjectRow, String)],
    ) -> Result<HashMap<ImageId, std::collections::BTreeMap<String, String>>, JobsError> {
        let mut by_source: HashMap<&CollectionName, Vec<ImageId>> = HashMap::new();
        for (key, ..) in changed {
            by_source.entry(&key.source).or_default().push(key.uri.id());
        }
        let mut metadata = HashMap::new();
        for (source, ids) in by_source {
            let ids = &ids;
            let read = self.stores.first_reply(|store| async move { store.payloads(source, ids).await }).await;
            match read {
                Ok((_, found)) => metadata.extend(found.into_iter().map(|image| (image.id, image.payload.meta))),
                Err(IndexError::UnknownCollection(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(metadata)
    }

    async fn record_due(
        &self,
        physical: &CollectionName,
        key: &DueKey,
        space: &str,
        indexed: Indexed,
        digest: &str,
    ) -> Result<(), LedgerError> {
        let (physical, key) = (physical.clone(), key.clone());
        let (space, digest) = (space.to_owned(), digest.to_owned());
        let record = move |tx: &rusqlite::Transaction<'_>| {
            objects::put(tx, &physical, &key.uri, &space, &indexed, Some(&digest))?;
            due::done(tx, &physical, &key)
        };
        self.ledger.write(record).await
    }

    /// Ends the work on keys whose records are as they should be, and on those whose records were removed.
    async fn end_keys(
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

    async fn postpone_keys(
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

/// Returns the current time in Unix milliseconds.
fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

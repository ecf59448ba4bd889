//! Some keys of one mirror, or of uploads into one collection: they are sorted by what has to be done with them, and given
//! back to the ledger if it cannot be done now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::compare::Compared;
use super::error::LaneError;
use crate::collection_models::ModelError;
use crate::domain::{CollectionName, ItemFailure, JobId, MirrorSpec, MirrorState, Space};
use crate::embed::EmbeddingModel;
use crate::jobs::GRACE;
use crate::ledger::events::{KeyOwner, PendingKey};
use crate::ledger::objects::forget;
use crate::ledger::{LedgerError, events, mirrors, tombstones};
use crate::lock::lock;
use crate::mirrors::tally::{self, KeyOutcome};
use crate::mirrors::{MirrorService, now_millis};
use crate::resilience::until_stopped;
use crate::source::SourceError;

/// When a key is tried again that another work holds now, and the shortest time between two comparisons of one key.
pub(super) const SHORT_DELAY: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const MAX_DELAY: Duration = Duration::from_mins(5);

/// The work on some keys of one owner.
pub(super) struct Batch<'a> {
    pub(super) service: &'a MirrorService,
    pub(super) owner: KeyOwner,
    /// Cancelled when the work must end soon.
    stop: CancellationToken,
    /// How the work on each key ended, by the number of the key's row.
    ends: Mutex<HashMap<i64, KeyEnd>>,
}

/// How the work on a key ended. A key without an end waits, because a job is writing its record.
#[derive(Clone, Debug)]
pub(super) enum KeyEnd {
    /// The stores agree with the bucket.
    Done,
    /// The image cannot be indexed.
    Failed(ItemFailure),
    /// The image was removed permanently, and is not indexed.
    KeptAway,
    /// The key is tried again, for this reason.
    Retried(String),
}

/// What a batch works with.
pub(super) struct Target {
    /// The name of the collection in the stores.
    pub(super) collection: CollectionName,
    /// `None` for uploads, which remove no record.
    pub(super) mirror: Option<MirrorSpec>,
    pub(super) model: Arc<EmbeddingModel>,
    pub(super) space: Arc<Space>,
    pub(super) stop: CancellationToken,
}

impl<'a> Batch<'a> {
    pub(super) fn new(service: &'a MirrorService, owner: KeyOwner, stop: CancellationToken) -> Self {
        Self { service, owner, stop, ends: Mutex::default() }
    }

    pub(super) fn set_end(&self, key: &PendingKey, end: KeyEnd) {
        lock(&self.ends).insert(key.id, end);
    }

    /// Returns how the work on a key ended.
    pub(super) fn end(&self, key: &PendingKey) -> Option<KeyEnd> {
        lock(&self.ends).get(&key.id).cloned()
    }

    /// Compares keys with the bucket. Each key is done or given back at the end.
    pub(super) async fn work(&self, keys: Vec<PendingKey>) {
        if let Err(error) = self.try_work(keys).await {
            // The keys that are still taken are given back at the next start, as after a crash.
            tracing::error!(owner = %self.owner, %error, "the ledger failed while keys of events were compared");
        }
    }

    async fn try_work(&self, keys: Vec<PendingKey>) -> Result<(), LedgerError> {
        let jobs = &self.service.jobs.0;
        let (collection, mirror) = match &self.owner {
            KeyOwner::Uploads(collection) => (collection.clone(), None),
            KeyOwner::Mirror(name) => {
                let name = name.clone();
                let found = self.service.ledger.read(move |db| mirrors::find(db, &name)).await?;
                let Some(mirror) = found.filter(|mirror| mirror.state == MirrorState::Active) else {
                    return self.postpone(keys).await;
                };
                (mirror.spec.collection.clone(), Some(mirror.spec))
            }
        };
        let Some(lane_use) = jobs.enter_lane(&collection) else { return self.postpone(keys).await };
        // Resolved after the lane was entered: a switch waits until it is left.
        let Ok(resolved) = jobs.resolve(&collection) else { return self.postpone(keys).await };
        let collection = resolved.physical;
        if self.service.ledger.read(forget::dropping).await?.contains(&collection) {
            return self.postpone(keys).await;
        }
        let stop = lane_use.stop.child_token();
        let cancel_at_drain = self.stop.clone().cancelled_owned();
        let limit = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = cancel_at_drain => stop.cancel(),
            }
            tokio::time::sleep(GRACE).await;
        };
        let work = until_stopped(stop.clone(), self.compare_all((collection, mirror), keys.clone(), stop.clone()));
        tokio::select! {
            worked = work => worked,
            () = limit => self.fail(keys, true, &LaneError::Stopped).await,
        }
    }

    async fn compare_all(
        &self,
        (collection, mirror): (CollectionName, Option<MirrorSpec>),
        keys: Vec<PendingKey>,
        stop: CancellationToken,
    ) -> Result<(), LedgerError> {
        let Some(_shared) = stop.run_until_cancelled(self.service.jobs.0.lane.removals.read()).await else {
            return self.postpone(keys).await;
        };
        let (model, space) = match stop.run_until_cancelled(self.model(&collection)).await {
            Some(Ok(found)) => found,
            Some(Err(error)) => return self.fail(keys, false, &error.into()).await,
            None => return self.postpone(keys).await,
        };
        let target = Target { collection, mirror, model, space, stop };
        let Compared { unchanged, kept_away, busy, failed, removed, changed } = self.compare(&target, keys).await?;
        for key in unchanged {
            self.done(&key, KeyOutcome::Unchanged).await?;
        }
        for key in kept_away {
            self.keep_away(&target, key).await?;
        }
        self.postpone(busy).await?;
        for (key, error) in failed {
            if let SourceError::Refused { .. } = error {
                // A later attempt would be refused too.
                tracing::warn!(owner = %self.owner, image.uri = %key.uri, %error, "the key of an event is refused");
                self.set_end(&key, KeyEnd::Retried(error.to_string()));
                self.done(&key, KeyOutcome::Failed).await?;
                continue;
            }
            self.fail(vec![key], false, &error.into()).await?;
        }
        self.remove(&target, removed).await?;
        self.index(&target, changed).await
    }

    /// Returns the model of a collection and its space. Waits for a provider that is down.
    async fn model(&self, collection: &CollectionName) -> Result<(Arc<EmbeddingModel>, Arc<Space>), ModelError> {
        let models = &self.service.jobs.0.models;
        let model = models.get(collection).await?;
        let space = model.jobs.space().await.map_err(|error| models.error(collection, &model.record, error))?;
        Ok((model, space))
    }

    /// The jobs that run in this process now, also those that are stopping.
    pub(super) fn running(&self) -> Vec<JobId> {
        self.service.jobs.0.running_jobs().keys().copied().collect()
    }

    /// Ends the work on a key.
    pub(super) async fn done(&self, key: &PendingKey, outcome: KeyOutcome) -> Result<(), LedgerError> {
        let done = key.clone();
        self.service.ledger.write(move |tx| events::done(tx, &done, after(SHORT_DELAY))).await?;
        self.tally(key, outcome);
        Ok(())
    }

    /// Ends the work on the key of an image that was removed permanently. An earlier attempt may have written its record.
    async fn keep_away(&self, target: &Target, key: PendingKey) -> Result<(), LedgerError> {
        self.set_end(&key, KeyEnd::KeptAway);
        tally::key(&self.owner, KeyOutcome::Unchanged);
        let collection = target.collection.clone();
        let end = move |tx: &rusqlite::Transaction<'_>| {
            if key.is_started {
                tombstones::repeat_removal(tx, &collection, &key.uri)?;
            }
            events::done(tx, &key, after(SHORT_DELAY))
        };
        self.service.ledger.write(end).await
    }

    /// Counts a key that is done.
    pub(super) fn tally(&self, key: &PendingKey, outcome: KeyOutcome) {
        tally::key(&self.owner, outcome);
        if !matches!(outcome, KeyOutcome::Failed) {
            self.set_end(key, KeyEnd::Done);
        }
    }

    /// Sets or removes the problem that the status of the mirror shows.
    pub(super) fn set_problem(&self, problem: Option<String>) {
        if let KeyOwner::Mirror(name) = &self.owner {
            self.service.activity.set_problem(name, problem);
        }
    }

    /// Gives back keys on which nothing was done.
    pub(super) async fn postpone(&self, keys: Vec<PendingKey>) -> Result<(), LedgerError> {
        let give_back = move |tx: &rusqlite::Transaction<'_>| {
            keys.iter().try_for_each(|key| events::give_back(tx, key, after(SHORT_DELAY), false, false))
        };
        self.service.ledger.write(give_back).await
    }

    /// Gives back keys after a failure. `started` says whether records may have been written.
    pub(super) async fn fail(
        &self,
        keys: Vec<PendingKey>,
        started: bool,
        error: &LaneError,
    ) -> Result<(), LedgerError> {
        if !keys.is_empty() && !matches!(error, LaneError::Stopped) {
            tracing::warn!(owner = %self.owner, keys = keys.len(), %error, "keys of events are tried again later");
            self.set_problem(Some(error.client_message()));
        }
        for key in &keys {
            tally::key(&self.owner, KeyOutcome::Retried);
            self.set_end(key, KeyEnd::Retried(error.client_message()));
        }
        let give_back = move |tx: &rusqlite::Transaction<'_>| {
            keys.iter().try_for_each(|key| {
                // A key that is done already has no row any more, so this changes nothing.
                events::give_back(tx, key, after(retry_delay(key.attempts)), started, true)
            })
        };
        self.service.ledger.write(give_back).await
    }
}

/// Gives keys back after a panic. Records may have been written.
pub(super) async fn give_back_after_panic(service: &MirrorService, keys: Vec<PendingKey>) {
    let give_back = move |tx: &rusqlite::Transaction<'_>| {
        keys.iter().try_for_each(|key| events::give_back(tx, key, after(retry_delay(key.attempts)), true, true))
    };
    if let Err(error) = service.ledger.write(give_back).await {
        tracing::error!(%error, "the keys of events could not be given back; the next start does it");
    }
}

/// Returns the time after this pause, in Unix milliseconds.
pub(super) fn after(pause: Duration) -> i64 {
    now_millis().saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

/// Returns the pause after a number of attempts, which doubles with each.
pub(super) fn retry_delay(attempts: u32) -> Duration {
    SHORT_DELAY.saturating_mul(2_u32.saturating_pow(attempts.min(16))).min(MAX_DELAY)
}

//! Keys of direct uploads. A key is claimed before its object is stored: if the process is killed afterwards, the lane finds
//! the key at the next start. Then the upload is indexed at once, or left to the lane.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, KeyEnd, after};
use crate::domain::{CollectionName, ImageUri, ItemFailure};
use crate::ledger::events::{self, Claim, KeyOwner, PendingKey};
use crate::ledger::{LedgerError, objects::forget};
use crate::mirrors::{MirrorService, Mirrors, now_millis};

/// Maximum number of uploads into one collection that wait to be indexed.
const MAX_WAITING_UPLOADS: u64 = 10_000;
/// How long an upload waits until its image is indexed. After that the lane continues.
const INDEX_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two attempts while another work holds the key.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A key that is claimed for an upload. If it is dropped, the lane compares the key with the bucket.
#[derive(Debug)]
pub(crate) struct LaneUpload {
    service: Arc<MirrorService>,
    collection: CollectionName,
    uri: ImageUri,
    key: Option<PendingKey>,
    /// Whether the key waited for nothing else before it was claimed.
    is_new: bool,
}

/// Why a key cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("another upload of the key is in progress")]
    Busy,
    #[error("{} uploads wait to be indexed", MAX_WAITING_UPLOADS)]
    Full,
    #[error("the image was removed permanently")]
    Removed,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// How an upload ended.
#[derive(Clone, Debug)]
pub(crate) enum UploadEnd {
    /// The stores agree with the bucket. With the version of the object that was indexed.
    Indexed(Option<String>),
    /// The image cannot be indexed.
    Failed(ItemFailure),
    /// The image was removed permanently after the key was claimed, and is not indexed.
    KeptAway,
    /// The lane continues; with the problem, if it is known.
    Later(Option<String>),
}

impl Mirrors {
    /// Whether a removal of the collection has begun and has not ended.
    pub(crate) async fn is_dropping(&self, collection: &CollectionName) -> Result<bool, LedgerError> {
        Ok(self.0.ledger.read(forget::dropping).await?.contains(collection))
    }

    /// Claims a key for an upload. Waits up to `wait` for an earlier upload of the same key.
    pub(crate) async fn claim_upload(
        &self,
        collection: &CollectionName,
        uri: &ImageUri,
        wait: Duration,
    ) -> Result<LaneUpload, ClaimError> {
        let deadline = Instant::now() + wait;
        loop {
            let (into, of_object) = (collection.clone(), uri.clone());
            let claim = move |tx: &rusqlite::Transaction<'_>| {
                events::claim(tx, &into, &of_object, now_millis(), MAX_WAITING_UPLOADS)
            };
            match self.0.ledger.write(claim).await? {
                Claim::Claimed { key, is_new } => {
                    let (service, collection, uri) = (self.0.clone(), collection.clone(), uri.clone());
                    return Ok(LaneUpload { service, collection, uri, key: Some(key), is_new });
                }
                Claim::Busy if Instant::now() < deadline => tokio::time::sleep(POLL_INTERVAL).await,
                Claim::Busy => return Err(ClaimError::Busy),
                Claim::Full => return Err(ClaimError::Full),
                Claim::Removed => return Err(ClaimError::Removed),
            }
        }
    }
}

impl LaneUpload {
    /// Ends the claim of an upload that has not stored anything: the lane has nothing to compare, unless the key waited before.
    pub(crate) async fn abandon(mut self) -> Result<(), LedgerError> {
        let Some(key) = self.key.clone().filter(|_| self.is_new) else { return Ok(()) };
        self.service.ledger.write(move |tx| events::forget_claim(tx, &key)).await?;
        self.key = None;
        Ok(())
    }

    /// Leaves the key to the lane.
    pub(crate) async fn leave(mut self) -> Result<(), LedgerError> {
        if let Some(key) = self.key.take() {
            give_back(&self.service, key).await?;
        }
        Ok(())
    }

    /// Indexes the object that was stored. After 10 seconds, or when `stop` is cancelled, the key is left to the lane.
    pub(crate) async fn index(mut self, stop: &CancellationToken) -> Result<UploadEnd, LedgerError> {
        let deadline = Instant::now() + INDEX_TIMEOUT;
        while let Some(key) = self.key.clone() {
            let end = self.work(&key, deadline).await;
            self.key = None;
            match end {
                Some(KeyEnd::Done) => return Ok(UploadEnd::Indexed(self.indexed_version().await?)),
                Some(KeyEnd::Failed(failure)) => return Ok(UploadEnd::Failed(failure)),
                Some(KeyEnd::KeptAway) => return Ok(UploadEnd::KeptAway),
                Some(KeyEnd::Retried(problem)) => return Ok(UploadEnd::Later(Some(problem))),
                // A job is writing the record now.
                None => self.key = self.reclaim(stop, deadline).await?,
            }
        }
        let (into, uri) = (self.collection.clone(), self.uri.clone());
        let waits = self.service.ledger.read(move |db| events::find(db, &into, &uri)).await?.is_some();
        Ok(match self.indexed_version().await? {
            Some(version) if !waits => UploadEnd::Indexed(Some(version)),
            _ => UploadEnd::Later(None),
        })
    }

    async fn work(&self, key: &PendingKey, deadline: Instant) -> Option<KeyEnd> {
        let stop = self.service.jobs.0.drain.child_token();
        let batch = Batch::new(&self.service, KeyOwner::Uploads(self.collection.clone()), stop.clone());
        let mut work = Box::pin(batch.work(vec![key.clone()]));
        if tokio::time::timeout_at(deadline, &mut work).await.is_err() {
            stop.cancel();
            work.await;
        }
        batch.end(key)
    }

    /// Claims the key again. Returns `None` if the time is over, or if the lane has worked on the key.
    async fn reclaim(&self, stop: &CancellationToken, deadline: Instant) -> Result<Option<PendingKey>, LedgerError> {
        let drain = &self.service.jobs.0.drain;
        while Instant::now() < deadline && !stop.is_cancelled() && !drain.is_cancelled() {
            tokio::time::sleep(POLL_INTERVAL).await;
            let (into, uri) = (self.collection.clone(), self.uri.clone());
            let reclaim = move |tx: &rusqlite::Transaction<'_>| {
                Ok((events::find(tx, &into, &uri)?, events::reclaim(tx, &into, &uri)?))
            };
            match self.service.ledger.write(reclaim).await? {
                (_, Some(key)) => return Ok(Some(key)),
                (Some(_), None) => {}
                (None, None) => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn indexed_version(&self) -> Result<Option<String>, LedgerError> {
        let Ok(current) = self.service.jobs.0.resolve(&self.collection) else { return Ok(None) };
        let (into, uri) = (current.physical, self.uri.clone());
        let object = self.service.ledger.read(move |db| events::object(db, &into, &uri)).await?;
        Ok(object.map(|object| object.etag))
    }
}

impl Drop for LaneUpload {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let service = self.service.clone();
            self.service.jobs.0.tasks.spawn(async move {
                if let Err(error) = give_back(&service, key).await {
                    tracing::error!(%error, "the key of an upload could not be given back; the next start does it");
                }
            });
        }
    }
}

/// Gives a key back, which is due at once.
async fn give_back(service: &MirrorService, key: PendingKey) -> Result<(), LedgerError> {
    let give_back =
        move |tx: &rusqlite::Transaction<'_>| events::give_back(tx, &key, after(Duration::ZERO), false, false);
    service.ledger.write(give_back).await?;
    service.wake_lane.notify_one();
    Ok(())
}

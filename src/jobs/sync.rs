//! `sync`: a collection mirrors its bucket. What the job's bucket and prefix own and its listing no longer has leaves every
//! store, and then the ledger.
//!
//! Only a listing that came to its end by itself says what has vanished ([`super::ledger`] walks it), and only up to
//! `max_delete_percent`. Removing is the job's last step and is done in batches: stores first, ledger after them, so that a
//! crash in between repeats a batch, which changes nothing. Thumbnails stay: the service removes nothing from a bucket.

use futures::future::try_join_all;
use tokio_util::sync::CancellationToken;

use super::error::JobsError;
use super::ledger::{Ledger, Losses};
use super::service::Submission;
use super::trouble::JobTrouble;
use crate::domain::{FailureLimit, ImageId, ImageUri, JobRecord, JobSpec};
use crate::index::Stores;

/// Records of one batch: one call of each store, one transaction of the ledger.
const BATCH: u32 = 500;

/// URIs that begin so are the job's own, where it is to say what of them has vanished.
pub(super) fn owns(spec: &JobSpec) -> Option<String> {
    // Not an `ImageUri`: it may have no key yet.
    spec.sync.then(|| format!("s3://{}/{}", spec.bucket, spec.prefix))
}

/// What the listing has shown to have vanished, if the job may remove so much.
///
/// # Errors
/// [`JobTrouble::TooMuchVanished`], [`JobTrouble::Ledger`]
pub(super) async fn judge(ledger: &Ledger, job: &JobRecord) -> Result<Losses, JobTrouble> {
    let losses = ledger.losses(job.id).await?;
    // A job that goes on has removed some already.
    let (_, excluded) = ledger.excluded(job.id).await?;
    let deleted = ledger.job(job.id).await?.map_or(0, |job| job.counts.deleted.saturating_sub(excluded));
    if losses.exceed(job.spec.max_delete_percent, deleted) {
        return Err(JobTrouble::TooMuchVanished {
            vanished: losses.vanished + deleted,
            owned: losses.owned,
            percent: job.spec.max_delete_percent,
        });
    }
    Ok(losses)
}

/// Removes what has vanished, until nothing is left of it or until `stop`. A store that is down is waited for.
pub(super) async fn remove(
    ledger: &Ledger,
    stores: &Stores,
    job: &JobRecord,
    stop: &CancellationToken,
) -> Result<(), JobTrouble> {
    let collection = &job.spec.collection;
    while !stop.is_cancelled() {
        let uris = ledger.vanished(job.id, BATCH).await?;
        if uris.is_empty() {
            return Ok(());
        }
        let ids: Vec<ImageId> = uris.iter().map(ImageUri::id).collect();
        let removed = try_join_all(stores.iter().map(|store| store.delete(collection, &ids)));
        tokio::select! {
            removed = removed => drop(removed.map_err(JobTrouble::Store)?),
            () = stop.cancelled() => return Ok(()),
        }
        ledger.removed(job.id, collection.clone(), uris).await?;
    }
    Ok(())
}

/// What of a submission does not go together.
///
/// # Errors
/// [`JobsError::Invalid`] naming the field.
pub(super) fn check(submission: &Submission) -> Result<Option<FailureLimit>, JobsError> {
    let invalid = |field, reason: &str| Err(JobsError::Invalid(field, reason.to_owned()));
    if submission.sync && submission.max_items.is_some() {
        let reason =
            "cannot go together with sync: what a capped listing does not reach would look as if it had vanished";
        return invalid("image_max_items", reason);
    }
    match submission.max_delete_percent {
        Some(_) if !submission.sync => return invalid("max_delete_percent", "means something only together with sync"),
        Some(percent) if percent > 100 => return invalid("max_delete_percent", "must be 0 to 100"),
        Some(_) | None => {}
    }
    let limit = submission.max_failures.as_deref().map(str::parse::<FailureLimit>).transpose();
    limit.or_else(|error| invalid("max_failures", &error.to_string()))
}

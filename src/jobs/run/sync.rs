//! `sync`: makes a collection a mirror of its bucket. Records under the job's bucket and prefix whose objects are not
//! in the listing any more are removed from every store, and then from the ledger.
//!
//! Records are removed only after a complete listing ([`crate::ledger`] finds the vanished objects), and only up to
//! `max_delete_percent`. Removal is the job's last step and works in batches, first in the stores and then in the
//! ledger: a crash in between repeats a batch, which changes nothing. Thumbnails stay, since the service removes
//! nothing from a bucket.

use futures::future::try_join_all;
use tokio_util::sync::CancellationToken;

use crate::domain::{FailureLimit, ImageId, ImageUri, JobRecord, JobSpec};
use crate::index::Stores;
use crate::jobs::error::JobsError;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::lane_gate::LaneGate;
use crate::jobs::service::Submission;
use crate::jobs::service::tally;
use crate::ledger::Ledger;
use crate::ledger::planning::vanished::{self, Losses};

/// Records of one batch: one call to each store and one transaction of the ledger.
const BATCH: u32 = 500;

/// Maximum number of characters of a prefix: S3 keys have at most 1,024 bytes.
const MAX_KEY: usize = 1_024;

/// Returns the URI prefix of the objects that a `sync` job may remove; `None` without `sync`.
pub(crate) fn owned_prefix(spec: &JobSpec) -> Option<String> {
    // Not an `ImageUri`, since it may have no key.
    spec.sync.then(|| format!("s3://{}/{}", spec.bucket, spec.prefix))
}

/// Returns the objects that have vanished according to the listing, if the job may remove that many.
///
/// # Errors
/// [`JobFailure::TooMuchVanished`], [`JobFailure::Ledger`]
pub(crate) async fn check_losses(ledger: &Ledger, job: &JobRecord) -> Result<Losses, JobFailure> {
    let id = job.id;
    let losses = ledger.read_in_steps(vanished::losses(id)).await?;
    // A continued job may have removed some records already.
    let excluded = ledger.read(move |db| vanished::excluded_removed(db, id)).await?;
    let deleted = ledger.job(job.id).await?.map_or(0, |job| job.counts.deleted.saturating_sub(excluded));
    if losses.exceed(job.spec.max_delete_percent, deleted) {
        return Err(JobFailure::TooMuchVanished {
            vanished: losses.vanished + deleted,
            owned: losses.owned,
            percent: job.spec.max_delete_percent,
        });
    }
    Ok(losses)
}

/// Removes the records of vanished objects until none is left or until `stop`. Waits for a store that is down.
pub(crate) async fn remove(
    ledger: &Ledger,
    stores: &Stores,
    job: &JobRecord,
    lane: &LaneGate,
    stop: &CancellationToken,
) -> Result<(), JobFailure> {
    let (id, collection) = (job.id, &job.spec.collection);
    while !stop.is_cancelled() {
        let Some(_alone) = stop.run_until_cancelled(lane.removals.write()).await else { return Ok(()) };
        let uris = ledger.read(move |db| vanished::list(db, id, BATCH)).await?;
        if uris.is_empty() {
            return Ok(());
        }
        let ids: Vec<ImageId> = uris.iter().map(ImageUri::id).collect();
        let removed = try_join_all(stores.iter().map(|store| store.delete(collection, &ids)));
        tokio::select! {
            removed = removed => drop(removed.map_err(JobFailure::Store)?),
            () = stop.cancelled() => return Ok(()),
        }
        let collection = collection.clone();
        tally::deleted(ledger.write(move |tx| vanished::remove(tx, id, &collection, &uris)).await?);
    }
    Ok(())
}

/// Checks the fields of a submission that depend on each other. Returns the parsed `max_failures`.
///
/// # Errors
/// [`JobsError::Invalid`], which names the field.
pub(crate) fn check_submission(submission: &Submission) -> Result<Option<FailureLimit>, JobsError> {
    let invalid = |field, reason: &str| Err(JobsError::Invalid(field, reason.to_owned()));
    if submission.bucket.as_deref() == Some("") {
        return invalid("s3_bucket", "must not be empty");
    }
    let length = submission.prefix.chars().count();
    if length > MAX_KEY {
        return invalid("s3_prefix", &format!("must have at most {MAX_KEY} characters, as a key, not {length}"));
    }
    if submission.max_items == Some(0) {
        return invalid("image_max_items", "must be 1 or more, not 0");
    }
    if submission.sync && submission.max_items.is_some() {
        let reason = "cannot be used with sync, which would remove the records of the objects after the limit";
        return invalid("image_max_items", reason);
    }
    if submission.refresh.is_some() && (submission.sync || submission.metadata_key.is_some()) {
        return invalid("refresh", "cannot be used with sync or metadata_key: start another job for them");
    }
    match submission.max_delete_percent {
        Some(_) if !submission.sync => {
            return invalid(
                "max_delete_percent",
                "has an effect only with `sync`: set `sync` to true, or leave it out",
            );
        }
        Some(percent) if percent > 100 => {
            return invalid("max_delete_percent", &format!("must be a whole number from 0 to 100, not {percent}"));
        }
        Some(_) | None => {}
    }
    let limit = submission.max_failures.as_deref().map(str::parse::<FailureLimit>).transpose();
    limit.or_else(|error| invalid("max_failures", &error.to_string()))
}

//! A dry run lists and compares like the job itself, but changes nothing: it creates no collection, plans no batch and
//! removes no record. Its result is the job's `plan`.

use crate::domain::{CollectionName, JobId, Space, StoreSet};
use crate::index::Stores;
use crate::jobs::job_failure::JobFailure;
use crate::ledger::Ledger;
use crate::ledger::planning::vanished::{self, Losses};

/// Returns the stores that have the collection. Waits for a store that is down.
///
/// # Errors
/// [`JobFailure::Space`] if a store has the collection in another space, [`JobFailure::Store`]
pub(crate) async fn find_stores(
    stores: &Stores,
    collection: &CollectionName,
    space: &Space,
) -> Result<StoreSet, JobFailure> {
    let mut found = StoreSet::default();
    for store in stores.iter() {
        if let Some(described) = store.describe(collection).await.map_err(JobFailure::Store)? {
            described.space.admits(space).map_err(JobFailure::Space)?;
            found.insert(store.name());
        }
    }
    Ok(found)
}

/// Returns the warning of a dry run at its end, if the job without `dry_run` would remove too much.
///
/// # Errors
/// [`JobFailure::Ledger`]
pub(crate) async fn warning(ledger: &Ledger, id: JobId) -> Result<Option<String>, JobFailure> {
    let Some(job) = ledger.job(id).await? else { return Ok(None) };
    let plan = job.plan.unwrap_or_default();
    let (vanished, percent) = (plan.deleted.saturating_sub(plan.excluded), job.spec.max_delete_percent);
    let losses = Losses { vanished, ..ledger.read_in_steps(vanished::losses(id)).await? };
    Ok(losses.exceed(percent, 0).then(|| {
        let refused = JobFailure::TooMuchVanished { vanished, owned: losses.owned, percent };
        format!("without dry_run, this job would fail: {}", refused.client_message())
    }))
}

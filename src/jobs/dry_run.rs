//! A dry run lists and compares, as the job itself would, and touches nothing: it makes no collection, plans no batch,
//! removes no record. What it found is the job's `plan`.

use super::ledger::{Ledger, Losses};
use super::trouble::JobTrouble;
use crate::domain::{CollectionName, JobId, Space, StoreSet};
use crate::index::Stores;

/// The stores that have the collection, in this space. A store that is down is waited for.
///
/// # Errors
/// [`JobTrouble::Space`] where the job would be refused, [`JobTrouble::Store`]
pub(super) async fn look(stores: &Stores, collection: &CollectionName, space: &Space) -> Result<StoreSet, JobTrouble> {
    let mut there = StoreSet::default();
    for store in stores.iter() {
        if let Some(described) = store.describe(collection).await.map_err(JobTrouble::Store)? {
            described.space.admits(space).map_err(JobTrouble::Space)?;
            there.insert(store.name());
        }
    }
    Ok(there)
}

/// What a dry run has to say at its end, beside its plan.
///
/// # Errors
/// [`JobTrouble::Ledger`]
pub(super) async fn warning(ledger: &Ledger, id: JobId) -> Result<Option<String>, JobTrouble> {
    let Some(job) = ledger.job(id).await? else { return Ok(None) };
    let plan = job.plan.unwrap_or_default();
    let (vanished, percent) = (plan.deleted.saturating_sub(plan.excluded), job.spec.max_delete_percent);
    let losses = Losses { vanished, ..ledger.losses(id).await? };
    Ok(losses.exceed(percent, 0).then(|| {
        let refused = JobTrouble::TooMuchVanished { vanished, owned: losses.owned, percent };
        format!("without dry_run this job would fail: {}", refused.said())
    }))
}

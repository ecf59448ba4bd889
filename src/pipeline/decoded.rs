//! Objects that were compressed before they were stored: their decoded size is larger than the size in the listing.

use bytes::Bytes;

use super::Pipeline;
use super::budget::BudgetPermit;
use super::steps::Steps;
use crate::source::{EncodingError, Fetched};

impl Steps {
    /// Returns the bytes without their content encoding, within the size limit for images and the memory budget.
    pub(super) async fn decoded(&self, fetched: &Fetched, permit: &mut BudgetPermit) -> Result<Bytes, EncodingError> {
        let Some(encoded) = fetched.encoded() else { return Ok(fetched.bytes.clone()) };
        let Pipeline { budget, cores, limits, .. } = self.pipeline();
        let core = cores.clone().acquire_owned().await.ok();
        let size = encoded.clone().size(limits.max_bytes).await?;
        // A task that exceeds the budget can be waiting for a core.
        drop(core);
        budget.grow_encoded(permit, fetched.bytes.len() as u64 + size).await;
        let core = cores.clone().acquire_owned().await.ok();
        let bytes = encoded.decode(size).await;
        drop(core);
        bytes
    }
}

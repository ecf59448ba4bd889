//! Objects that were compressed before they were stored: more bytes come out than the listing said.

use bytes::Bytes;

use super::Pipeline;
use super::budget::BudgetPermit;
use super::steps::Steps;
use crate::source::{EncodingError, Fetched};

impl Steps {
    /// The bytes as they were before they were stored, within the limit for images and the budget.
    pub(super) async fn decoded(&self, fetched: &Fetched, taken: &mut BudgetPermit) -> Result<Bytes, EncodingError> {
        let Some(encoded) = fetched.encoded() else { return Ok(fetched.bytes.clone()) };
        let Pipeline { budget, cores, limits, .. } = self.pipeline();
        let core = cores.clone().acquire_owned().await.ok();
        let size = encoded.clone().size(limits.max_bytes).await?;
        // Whoever goes beyond the budget may be waiting for a core.
        drop(core);
        budget.grow_encoded(taken, fetched.bytes.len() as u64 + size).await;
        let core = cores.clone().acquire_owned().await.ok();
        let bytes = encoded.decode(size).await;
        drop(core);
        bytes
    }
}

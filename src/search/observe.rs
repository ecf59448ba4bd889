//! Metrics of the search's permits and uploads, for `/metrics`.

use tokio::sync::Semaphore;

use super::{MAX_CONCURRENT_SEARCHES, Search};
use crate::telemetry::metrics::{families, gauge};

#[expect(clippy::cast_precision_loss, reason = "permits are few")]
impl Search {
    /// Updates the gauges in `/metrics` with the current values.
    pub fn observe(&self) {
        let used = |limit: usize, permits: &Semaphore| limit.saturating_sub(permits.available_permits()) as f64;
        gauge!(families::SEARCH_PERMITS).set(used(MAX_CONCURRENT_SEARCHES, &self.permits));
        gauge!(families::SEARCH_PERMITS_LIMIT).set(MAX_CONCURRENT_SEARCHES as f64);
        let (uploads, limit) = self.uploads.fill();
        gauge!(families::SEARCH_UPLOADS).set(uploads);
        gauge!(families::SEARCH_UPLOADS_LIMIT).set(limit);
    }
}

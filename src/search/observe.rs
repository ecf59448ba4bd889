//! Metrics of the search's permits and uploads, for `/metrics`.

use tokio::sync::Semaphore;

use super::{MAX_CONCURRENT_SEARCHES, Search};
use crate::telemetry::metrics::families;

#[expect(clippy::cast_precision_loss, reason = "permits are few")]
impl Search {
    /// Updates the gauges in `/metrics` with the current values.
    pub fn observe(&self) {
        let used = |limit: usize, permits: &Semaphore| limit.saturating_sub(permits.available_permits()) as f64;
        families::SEARCH_PERMITS.one().set(used(MAX_CONCURRENT_SEARCHES, &self.search_permits));
        families::SEARCH_PERMITS_LIMIT.one().set(MAX_CONCURRENT_SEARCHES as f64);
        let (uploads, limit) = self.uploads.fill();
        families::SEARCH_UPLOADS.one().set(uploads);
        families::SEARCH_UPLOADS_LIMIT.one().set(limit);
    }
}

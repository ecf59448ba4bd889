//! How full the search is, for `/metrics`.

use tokio::sync::Semaphore;

use super::{AT_ONCE, Search};
use crate::telemetry::metrics::families;

#[expect(clippy::cast_precision_loss, reason = "permits are few")]
impl Search {
    /// Tells `/metrics` what is so at this moment.
    pub fn observe(&self) {
        let taken = |most: usize, of: &Semaphore| most.saturating_sub(of.available_permits()) as f64;
        families::SEARCH_PERMITS.one().set(taken(AT_ONCE, &self.door));
        families::SEARCH_PERMITS_LIMIT.one().set(AT_ONCE as f64);
        let (uploads, most) = self.uploads.fill();
        families::SEARCH_UPLOADS.one().set(uploads);
        families::SEARCH_UPLOADS_LIMIT.one().set(most);
    }
}

//! Work on single keys beside the jobs: a removal or a verification of a collection holds it, and the removals of `sync`
//! do not run at the same time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::CollectionName;
use crate::jobs::JobService;
use crate::lock::lock;

/// How long a removal or a verification waits until the work on single keys has stopped: longer than that work may take
/// to finish what is in flight.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(30);

/// The collections that work on single keys uses.
#[derive(Debug, Default)]
pub(crate) struct LaneGate {
    uses: Mutex<HashMap<CollectionName, Uses>>,
    /// Notified when a collection is not used any more.
    left: Notify,
    /// Work on single keys shares it. Each batch of removals of `sync` has it alone, so that none removes a record that
    /// is being written.
    pub(crate) removals: tokio::sync::RwLock<()>,
}

#[derive(Debug, Default)]
struct Uses {
    count: usize,
    stop: CancellationToken,
}

/// The permission to work on single keys of a collection.
#[derive(Debug)]
pub(crate) struct LaneUse<'a> {
    gate: &'a LaneGate,
    collection: CollectionName,
    /// Cancelled when the collection is to be removed or verified: the work must end soon.
    pub(crate) stop: CancellationToken,
}

impl JobService {
    /// Returns the permission to work on single keys of a collection; `None` while it is removed or verified.
    pub(crate) fn enter_lane(&self, collection: &CollectionName) -> Option<LaneUse<'_>> {
        // Entered under the lock: a later reservation finds the use, and an earlier one is found here.
        let reserved = lock(&self.reserved);
        if reserved.contains(collection) {
            return None;
        }
        let mut all = lock(&self.lane.uses);
        let uses = all.entry(collection.clone()).or_default();
        uses.count += 1;
        Some(LaneUse { gate: &self.lane, collection: collection.clone(), stop: uses.stop.clone() })
    }

    /// Stops the work on single keys of a collection that is reserved, and waits for its end. Returns `false` if it does
    /// not end in time.
    pub(crate) async fn clear_lane(&self, collection: &CollectionName) -> bool {
        let cleared = async {
            loop {
                // Subscribed before the check, so that the end in between is not missed.
                let left = self.lane.left.notified();
                match lock(&self.lane.uses).get(collection) {
                    Some(uses) => uses.stop.cancel(),
                    None => return,
                }
                left.await;
            }
        };
        tokio::time::timeout(LEAVE_TIMEOUT, cleared).await.is_ok()
    }
}

impl Drop for LaneUse<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.gate.uses);
        if let Some(uses) = all.get_mut(&self.collection) {
            uses.count -= 1;
            if uses.count == 0 {
                all.remove(&self.collection);
            }
        }
        self.gate.left.notify_waiters();
    }
}

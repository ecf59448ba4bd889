//! The renewal of a pool's leases, and what happens if a lease is lost.

use std::time::Duration;

use crate::jobs::pool::Shared;
use crate::jobs::pool::broker::{LeaseBroker, LeaseStatus};
use crate::pipeline::Until;

/// Returns how long a lease lasts without renewal: three renewal intervals.
pub(super) fn lease_duration(broker: &dyn LeaseBroker) -> Option<Duration> {
    broker.renew_every().map(|interval| interval * 3)
}

impl Shared {
    /// Renews the leases at each interval. Ends only with an error after which the pool cannot continue.
    pub(super) async fn renew(&self) {
        let Some(interval) = self.broker.renew_every() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(interval).await;
            // Measured from before sending, so that it ends before the service's lease.
            let until = lease_duration(&*self.broker).map(Until::after);
            // Sent even if nothing is held, since the reply tells the pool whether to stop.
            match self.broker.renew(self.held_leases.leases()).await {
                Ok(status) => {
                    self.apply_status(&status);
                    self.renew_write_lease(until);
                }
                Err(error) => {
                    self.fail(error);
                    return;
                }
            }
        }
    }

    /// Permits writing held items until the given time, since the service has renewed their leases.
    pub(super) fn renew_write_lease(&self, until: Option<Until>) {
        if let Some(until) = until.filter(|_| !self.lost.is_cancelled()) {
            self.write_lease.renew(until);
        }
    }

    /// Stops the pool if the service asks for it, and gives up the items in flight if a lease is lost.
    pub(super) fn apply_status(&self, status: &LeaseStatus) {
        if status.stop {
            self.stop.cancel();
        }
        if self.held_leases.has_any(&status.lost) || self.held_leases.has_unreported(&status.gone) {
            tracing::warn!(
                lost = ?status.lost, gone = ?status.gone,
                "leases expired and went to other workers; the items in flight are given up"
            );
            self.lost.cancel();
        }
    }
}

//! The lease to write records. A process can be frozen between reading and writing for longer than others wait for it.
//! Another worker can have read and written a newer version by then, and the older version must not replace it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

/// The permission to write records, without a limit or until it expires. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct WriteLease(Option<Arc<watch::Sender<Until>>>);

/// When a write lease expires.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    uptime: Instant,
    /// This clock also runs while the whole machine sleeps.
    clock: SystemTime,
}

impl Until {
    /// Returns the time `term` after now.
    pub fn after(term: Duration) -> Self {
        let now = SystemTime::now();
        Self { uptime: Instant::now() + term, clock: now.checked_add(term).unwrap_or(now) }
    }

    fn has_passed(self) -> bool {
        Instant::now() >= self.uptime || SystemTime::now() >= self.clock
    }
}

impl WriteLease {
    /// Returns a lease that expires at `until` unless it is renewed.
    pub fn until(until: Until) -> Self {
        Self(Some(Arc::new(watch::Sender::new(until))))
    }

    /// Renews the lease, even if it has expired. A lease without a limit does not change. If two renewals arrive in
    /// the wrong order, the later end applies.
    pub fn renew(&self, until: Until) {
        if let Some(lease) = &self.0 {
            lease.send_if_modified(|now| {
                let is_later = until.uptime >= now.uptime;
                if is_later {
                    *now = until;
                }
                is_later
            });
        }
    }

    /// Returns at once while the lease is valid; otherwise waits until it is extended.
    pub(super) async fn granted(&self) {
        let Some(lease) = &self.0 else { return };
        // This value owns the sender, so the channel is not closed.
        lease.subscribe().wait_for(|until| !until.has_passed()).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    const TERM: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn an_expired_lease_waits_until_it_is_extended() {
        let lease = WriteLease::until(Until::after(TERM));
        tokio::time::advance(TERM / 2).await;
        assert!(poll!(Box::pin(lease.granted())).is_ready());
        tokio::time::advance(TERM / 2).await;
        let mut waiting = Box::pin(lease.granted());
        assert!(poll!(&mut waiting).is_pending());
        lease.renew(Until::after(TERM));
        assert!(poll!(waiting).is_ready());
        tokio::time::advance(1_000 * TERM).await;
        assert!(poll!(Box::pin(WriteLease::default().granted())).is_ready(), "a lease without a limit");
    }

    #[tokio::test]
    async fn a_lease_expires_while_the_machine_sleeps() {
        let until = Until { clock: SystemTime::now() - TERM, ..Until::after(TERM) };
        assert!(poll!(Box::pin(WriteLease::until(until).granted())).is_pending());
    }
}

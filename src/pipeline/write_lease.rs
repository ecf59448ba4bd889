//! WriteLease to write what was read. A process may be frozen between the two for longer than others wait for it; then somebody
//! else has read a newer version and written it, and the older must not follow.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

/// WriteLease to write, for good or until it runs out. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct WriteLease(Option<Arc<watch::Sender<Until>>>);

/// When a leave runs out.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    uptime: Instant,
    /// Goes on while the whole machine sleeps, too.
    clock: SystemTime,
}

impl Until {
    /// So long after this moment.
    pub fn after(term: Duration) -> Self {
        let now = SystemTime::now();
        Self { uptime: Instant::now() + term, clock: now.checked_add(term).unwrap_or(now) }
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.uptime || SystemTime::now() >= self.clock
    }
}

impl WriteLease {
    /// WriteLease that runs out unless it is prolonged.
    pub fn until(until: Until) -> Self {
        Self(Some(Arc::new(watch::Sender::new(until))))
    }

    /// Prolongs it, even where it has run out. One for good stays so. Of two answers that come in the wrong order the later
    /// end counts.
    pub fn prolong(&self, until: Until) {
        if let Some(leave) = &self.0 {
            leave.send_if_modified(|now| {
                let is_later = until.uptime >= now.uptime;
                if is_later {
                    *now = until;
                }
                is_later
            });
        }
    }

    /// Returns while there is leave; otherwise waits until it is prolonged.
    pub(super) async fn granted(&self) {
        let Some(leave) = &self.0 else { return };
        // The sender is ours: there is always one.
        leave.subscribe().wait_for(|until| !until.is_over()).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    const TERM: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_has_run_out_waits_until_it_is_prolonged() {
        let leave = WriteLease::until(Until::after(TERM));
        tokio::time::advance(TERM / 2).await;
        assert!(poll!(Box::pin(leave.granted())).is_ready());
        tokio::time::advance(TERM / 2).await;
        let mut late = Box::pin(leave.granted());
        assert!(poll!(&mut late).is_pending());
        leave.prolong(Until::after(TERM));
        assert!(poll!(late).is_ready());
        tokio::time::advance(1_000 * TERM).await;
        assert!(poll!(Box::pin(WriteLease::default().granted())).is_ready(), "for good");
    }

    #[tokio::test]
    async fn a_machine_that_slept_has_no_leave_though_its_uptime_stood_still() {
        let until = Until { clock: SystemTime::now() - TERM, ..Until::after(TERM) };
        assert!(poll!(Box::pin(WriteLease::until(until).granted())).is_pending());
    }
}

//! The lane: it compares the keys that events have named, and those of uploads, with the bucket, beside the jobs, so that one
//! image does not wait for the end of a long job. It works on a few batches at the same time. An upload whose client waits
//! is a batch of its own.

mod batch;
mod compare;
mod error;
mod upload;
mod write;

pub(crate) use upload::{ClaimError, LaneUpload, UploadEnd};

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;

use self::batch::Batch;
use super::{MirrorService, now_millis};
use crate::ledger::{LedgerError, events};

/// Maximum number of batches at the same time.
const MAX_BATCHES: usize = 4;
/// Maximum number of keys in a batch, which is the number of images that a batch has in memory at most.
const MAX_KEYS: u32 = 32;
/// The longest pause between two checks for keys that are due.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// The pause after a failure of the ledger.
const RETRY_DELAY: Duration = Duration::from_secs(2);

impl MirrorService {
    /// Works on keys that are due, until the service is asked to stop. The work in flight is then finished.
    pub(super) async fn work(self: Arc<Self>) {
        let drain = self.jobs.0.drain.clone();
        let mut batches = JoinSet::new();
        while !drain.is_cancelled() {
            let pause = self.start_batches(&mut batches).await.unwrap_or_else(|error| {
                tracing::error!(%error, "the keys of events could not be read from the ledger");
                RETRY_DELAY
            });
            tokio::select! {
                () = drain.cancelled() => {}
                _ = batches.join_next(), if !batches.is_empty() => {}
                () = self.wake_lane.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        batches.join_all().await;
    }

    /// Starts batches while keys are due and there is room. Returns the pause until a key is due.
    async fn start_batches(self: &Arc<Self>, batches: &mut JoinSet<()>) -> Result<Duration, LedgerError> {
        if self.jobs.0.disk.problem().is_some() {
            return Ok(RETRY_DELAY);
        }
        while batches.len() < MAX_BATCHES {
            let now = now_millis();
            // Read first: a transaction that writes costs more, and usually no key is due.
            let next_due = self.ledger.read(events::next_due).await?;
            match next_due {
                Some(due) if due <= now => {}
                Some(due) => {
                    let wait = Duration::from_millis(u64::try_from(due - now).unwrap_or_default());
                    return Ok(wait.min(MAX_PAUSE));
                }
                None => return Ok(MAX_PAUSE),
            }
            let Some((owner, keys)) = self.ledger.write(move |tx| events::take(tx, now, MAX_KEYS)).await? else {
                return Ok(MAX_PAUSE);
            };
            let service = self.clone();
            batches.spawn(async move {
                let all = keys.clone();
                let batch = Batch::new(&service, owner, service.jobs.0.drain.clone());
                let work = AssertUnwindSafe(Box::pin(batch.work(keys)));
                if work.catch_unwind().await.is_err() {
                    tracing::error!("the work on keys of events panicked; the keys are tried again");
                    batch::give_back_after_panic(&service, all).await;
                }
            });
        }
        // A batch that ends wakes the loop.
        Ok(MAX_PAUSE)
    }
}

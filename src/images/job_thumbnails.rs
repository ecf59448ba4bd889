//! Keeps the thumbnails that jobs make from pixels that they have decoded anyway, so that a first search fetches no
//! original.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::preview_side::PreviewSide;
use super::thumbnails::{Thumbnails, cache_file_name};
use crate::lock::lock;
use crate::pipeline::ThumbnailStore;

/// Maximum number of thumbnails that are written at the same time.
const MAX_WRITES: usize = 8;
/// How long an image waits for its thumbnail to be written. A write continues after that.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long no thumbnails are kept after a write took too long: otherwise a disk that hangs would slow down a job.
const PAUSE: Duration = Duration::from_mins(1);

/// The writes of thumbnails of jobs. Clones share one limit.
#[derive(Clone)]
pub(super) struct JobWrites(Arc<JobWritesState>);

struct JobWritesState {
    permits: Arc<Semaphore>,
    /// No thumbnails are kept before this time.
    paused_until: Mutex<Option<Instant>>,
}

impl Default for JobWrites {
    fn default() -> Self {
        let permits = Arc::new(Semaphore::new(MAX_WRITES));
        Self(Arc::new(JobWritesState { permits, paused_until: Mutex::default() }))
    }
}

impl JobWrites {
    /// Runs `write` on a thread that may block, and waits for it for a limited time.
    async fn run(&self, write: impl FnOnce() -> std::io::Result<()> + Send + 'static) {
        if lock(&self.0.paused_until).is_some_and(|until| Instant::now() < until) {
            return;
        }
        let permits = self.0.permits.clone();
        let written = timeout(WRITE_TIMEOUT, async move {
            // The semaphore is never closed.
            let permit = permits.acquire_owned().await.ok();
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                write()
            })
            .await
        });
        match written.await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "a thumbnail could not be stored in the cache"),
            Ok(Err(panic)) => tracing::error!(%panic, "storing a thumbnail panicked"),
            Err(_) => {
                tracing::warn!("storing thumbnails takes too long; none are kept for {} seconds", PAUSE.as_secs());
                *lock(&self.0.paused_until) = Some(Instant::now() + PAUSE);
            }
        }
    }
}

#[async_trait]
impl ThumbnailStore for Thumbnails {
    async fn keep(&self, sha256: &str, jpeg: Bytes) {
        let (cache, name) = (self.cache.clone(), cache_file_name(sha256, PreviewSide::THUMBNAIL));
        // The ETag of a thumbnail stays the same, so its bytes must too.
        if !cache.contains(&name) {
            self.job_writes.run(move || cache.put(&name, &jpeg)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_delays_no_job() {
        let (writes, (release, released)) = (JobWrites::default(), mpsc::channel::<()>());
        let before = Instant::now();
        // Blocking work stops the automatic advance of the paused clock, so the clock is advanced here.
        let hanging = writes.run(move || {
            released.recv().ok();
            Ok(())
        });
        tokio::join!(hanging, tokio::time::advance(WRITE_TIMEOUT + Duration::from_millis(1)));
        writes.run(|| unreachable!("writes are paused")).await;
        assert!(before.elapsed() < WRITE_TIMEOUT * 2);
        release.send(()).unwrap();
        tokio::time::advance(PAUSE).await;
        let (done, is_done) = mpsc::channel();
        let write = move || {
            done.send(()).unwrap();
            Ok(())
        };
        writes.run(write).await;
        is_done.try_recv().unwrap();
    }
}

//! Makes each thumbnail only once at a time: a second request for a thumbnail that is being made waits for the
//! first one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::{ImagesError, Thumbnail};
use crate::lock::lock;

/// Maximum number of thumbnails that are being made or wait to be made. A request beyond it fails.
const MAX_IN_PROGRESS: usize = 512;

type ThumbnailFuture = BoxFuture<'static, Result<Thumbnail, ImagesError>>;

/// The thumbnails that are being made. Clones share one state.
#[derive(Clone, Default)]
pub(super) struct InProgress(Arc<Mutex<HashMap<String, WeakShared<ThumbnailFuture>>>>);

impl InProgress {
    /// Returns the shared future for this key and starts it if there is none. It continues as long as any request
    /// waits for it, even if the first request was cancelled.
    ///
    /// # Errors
    /// Fails with [`ImagesError::Busy`] if [`MAX_IN_PROGRESS`] thumbnails are being made.
    pub(super) fn join_or_start<F>(
        &self,
        key: String,
        make: impl FnOnce() -> F,
    ) -> Result<Shared<ThumbnailFuture>, ImagesError>
    where
        F: Future<Output = Result<Thumbnail, ImagesError>> + Send + 'static,
    {
        let mut in_progress = lock(&self.0);
        if let Some(thumbnail) = in_progress.get(&key).and_then(WeakShared::upgrade) {
            return Ok(thumbnail);
        }
        in_progress.retain(|_, thumbnail| thumbnail.upgrade().is_some());
        if in_progress.len() >= MAX_IN_PROGRESS {
            return Err(ImagesError::Busy);
        }
        let thumbnail = make().boxed().shared();
        if let Some(weak) = thumbnail.downgrade() {
            in_progress.insert(key, weak);
        }
        Ok(thumbnail)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn thumbnail() -> Thumbnail {
        Thumbnail { bytes: "jpeg".into(), etag: "e".to_owned() }
    }

    #[tokio::test]
    async fn followers_share_the_work_and_survive_the_first_request() {
        let (in_progress, calls) = (InProgress::default(), Arc::new(AtomicUsize::new(0)));
        let (release, released) = tokio::sync::watch::channel(false);
        let start = || {
            let (calls, mut released) = (calls.clone(), released.clone());
            move || async move {
                calls.fetch_add(1, Ordering::SeqCst);
                released.wait_for(|release| *release).await.unwrap();
                Ok(thumbnail())
            }
        };
        let mut leader = in_progress.join_or_start("a".to_owned(), start()).unwrap();
        assert!(futures::poll!(&mut leader).is_pending());
        let mut follower = in_progress.join_or_start("a".to_owned(), start()).unwrap();
        assert!(futures::poll!(&mut follower).is_pending());
        drop(leader);
        release.send(true).unwrap();
        assert_eq!(follower.await.unwrap().etag, "e");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        // The first one has ended, so the next request starts a new one.
        in_progress.join_or_start("a".to_owned(), start()).unwrap().await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_abandoned_thumbnail_is_cancelled_and_too_many_are_rejected() {
        let in_progress = InProgress::default();
        let never = || futures::future::pending::<Result<Thumbnail, ImagesError>>();
        let all: Vec<_> =
            (0..MAX_IN_PROGRESS).map(|n| in_progress.join_or_start(n.to_string(), never).unwrap()).collect();
        assert!(matches!(in_progress.join_or_start("more".to_owned(), never), Err(ImagesError::Busy)));
        assert!(
            in_progress.join_or_start("0".to_owned(), never).is_ok(),
            "a request can join a thumbnail that is being made"
        );
        drop(all);
        assert!(in_progress.join_or_start("more".to_owned(), never).is_ok());
    }
}

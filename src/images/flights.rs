//! Makes each thumbnail only once at a time: a second request for a thumbnail that is being made waits for the
//! first one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::{ImagesError, Thumbnail};

/// Maximum number of thumbnails that are being made or wait to be made. A request beyond it fails.
const MAX_FLIGHTS: usize = 512;

type ThumbnailFuture = BoxFuture<'static, Result<Thumbnail, ImagesError>>;

/// The thumbnails that are being made. Clones share one state.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<String, WeakShared<ThumbnailFuture>>>>);

impl Flights {
    /// Returns the shared future for this key and starts it if there is none. It continues as long as any request
    /// waits for it, even if the first request was cancelled.
    ///
    /// # Errors
    /// Fails with [`ImagesError::Busy`] if [`MAX_FLIGHTS`] thumbnails are being made.
    pub(super) fn join<F>(&self, key: String, make: impl FnOnce() -> F) -> Result<Shared<ThumbnailFuture>, ImagesError>
    where
        F: Future<Output = Result<Thumbnail, ImagesError>> + Send + 'static,
    {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key).and_then(WeakShared::upgrade) {
            return Ok(flight);
        }
        flights.retain(|_, flight| flight.upgrade().is_some());
        if flights.len() >= MAX_FLIGHTS {
            return Err(ImagesError::Busy);
        }
        let flight = make().boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        Ok(flight)
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
        let (flights, calls) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let (release, released) = tokio::sync::watch::channel(false);
        let start = || {
            let (calls, mut released) = (calls.clone(), released.clone());
            move || async move {
                calls.fetch_add(1, Ordering::SeqCst);
                released.wait_for(|release| *release).await.unwrap();
                Ok(thumbnail())
            }
        };
        let mut leader = flights.join("a".to_owned(), start()).unwrap();
        assert!(futures::poll!(&mut leader).is_pending());
        let mut follower = flights.join("a".to_owned(), start()).unwrap();
        assert!(futures::poll!(&mut follower).is_pending());
        drop(leader);
        release.send(true).unwrap();
        assert_eq!(follower.await.unwrap().etag, "e");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        // The first one has ended, so the next request starts a new one.
        flights.join("a".to_owned(), start()).unwrap().await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_abandoned_thumbnail_is_cancelled_and_too_many_are_rejected() {
        let flights = Flights::default();
        let never = || futures::future::pending::<Result<Thumbnail, ImagesError>>();
        let all: Vec<_> = (0..MAX_FLIGHTS).map(|n| flights.join(n.to_string(), never).unwrap()).collect();
        assert!(matches!(flights.join("more".to_owned(), never), Err(ImagesError::Busy)));
        assert!(flights.join("0".to_owned(), never).is_ok(), "a request can join a thumbnail that is being made");
        drop(all);
        assert!(flights.join("more".to_owned(), never).is_ok());
    }
}

//! One flight per thumbnail: a request for a thumbnail that is being made waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::{ImagesError, Thumbnail};

/// Thumbnails that are made or wait to be made at once. One more is refused.
const MAX_FLIGHTS: usize = 512;

type Making = BoxFuture<'static, Result<Thumbnail, ImagesError>>;

/// The thumbnails that are being made. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<String, WeakShared<Making>>>>);

impl Flights {
    /// Returns the flight of that key. It goes on while any request waits for it, also if the first one has gone away.
    pub(super) fn join<F>(&self, key: String, make: impl FnOnce() -> F) -> Result<Shared<Making>, ImagesError>
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
    async fn followers_share_the_work_and_survive_the_one_who_began_it() {
        let (flights, made) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let (go, waits) = tokio::sync::watch::channel(false);
        let begin = || {
            let (made, mut waits) = (made.clone(), waits.clone());
            move || async move {
                made.fetch_add(1, Ordering::SeqCst);
                waits.wait_for(|go| *go).await.unwrap();
                Ok(thumbnail())
            }
        };
        let mut leader = flights.join("a".to_owned(), begin()).unwrap();
        assert!(futures::poll!(&mut leader).is_pending());
        let mut follower = flights.join("a".to_owned(), begin()).unwrap();
        assert!(futures::poll!(&mut follower).is_pending());
        drop(leader);
        go.send(true).unwrap();
        assert_eq!(follower.await.unwrap().etag, "e");
        assert_eq!(made.load(Ordering::SeqCst), 1);
        // It is over: the next one begins anew.
        flights.join("a".to_owned(), begin()).unwrap().await.unwrap();
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_given_up_and_what_is_too_much_is_refused() {
        let flights = Flights::default();
        let never = || futures::future::pending::<Result<Thumbnail, ImagesError>>();
        let all: Vec<_> = (0..MAX_FLIGHTS).map(|n| flights.join(n.to_string(), never).unwrap()).collect();
        assert!(matches!(flights.join("more".to_owned(), never), Err(ImagesError::Busy)));
        assert!(flights.join("0".to_owned(), never).is_ok(), "that one is under way");
        drop(all);
        assert!(flights.join("more".to_owned(), never).is_ok());
    }
}

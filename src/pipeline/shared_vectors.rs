//! The vectors of one run, by the hash of the bytes of their images: images with the same bytes share one call of the
//! model, also while that call runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::domain::Embedding;
use crate::lock::lock;

/// Maximum number of vectors that a run keeps, each of a few kilobytes, in addition to those of the calls that run.
const MAX_KEPT: usize = 1_024;

/// The vectors of one run.
#[derive(Debug, Default)]
pub(super) struct SharedVectors(Mutex<Vectors>);

#[derive(Debug, Default)]
struct Vectors {
    /// What the call of the model sends. It is `None` until then.
    by_hash: HashMap<String, watch::Receiver<Option<Embedding>>>,
    /// The hashes whose vectors are known, oldest first.
    known: VecDeque<String>,
}

/// Who calls the model for an image.
#[derive(Debug)]
pub(super) enum Claim {
    /// The caller.
    Own(Computation),
    /// Another call that runs or has ended.
    Other(SharedVector),
}

/// The duty to compute a vector. If it is dropped without a vector, the others that wait for it compute it themselves.
#[derive(Debug)]
pub(super) struct Computation {
    vectors: Arc<SharedVectors>,
    hash: String,
    sender: watch::Sender<Option<Embedding>>,
}

/// The vector of another call.
#[derive(Debug)]
pub(super) struct SharedVector(watch::Receiver<Option<Embedding>>);

impl SharedVectors {
    /// Returns who computes the vector of the image whose bytes have this hash: the first who asks does.
    pub(super) fn claim(self: &Arc<Self>, hash: &str) -> Claim {
        let mut vectors = lock(&self.0);
        if let Some(receiver) = vectors.by_hash.get(hash) {
            return Claim::Other(SharedVector(receiver.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        vectors.by_hash.insert(hash.to_owned(), receiver);
        Claim::Own(Computation { vectors: self.clone(), hash: hash.to_owned(), sender })
    }
}

impl Computation {
    /// Gives the vector to the others that wait for it, or ask for it later.
    pub(super) fn done(self, embedding: Embedding) {
        self.sender.send_replace(Some(embedding));
    }
}

impl Drop for Computation {
    fn drop(&mut self) {
        let is_known = self.sender.borrow().is_some();
        let hash = std::mem::take(&mut self.hash);
        let mut vectors = lock(&self.vectors.0);
        if !is_known {
            vectors.by_hash.remove(&hash);
            return;
        }
        vectors.known.push_back(hash);
        if vectors.known.len() > MAX_KEPT
            && let Some(oldest) = vectors.known.pop_front()
        {
            vectors.by_hash.remove(&oldest);
        }
    }
}

impl SharedVector {
    /// Waits for the vector. Returns `None` if the call of the model ended without it.
    pub(super) async fn get(mut self) -> Option<Embedding> {
        let known = self.0.wait_for(Option::is_some).await;
        known.ok().and_then(|known| known.as_ref().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector() -> Embedding {
        Embedding::normalised(vec![3.0, 4.0], 2).unwrap()
    }

    fn own(claim: Claim) -> Computation {
        match claim {
            Claim::Own(computation) => computation,
            Claim::Other(vector) => panic!("another computes it: {vector:?}"),
        }
    }

    fn other(claim: Claim) -> SharedVector {
        match claim {
            Claim::Own(computation) => panic!("no other computes it: {computation:?}"),
            Claim::Other(vector) => vector,
        }
    }

    #[tokio::test]
    async fn the_first_computes_and_the_others_get_its_vector_or_compute_after_its_failure() {
        let vectors = Arc::new(SharedVectors::default());
        let first = own(vectors.claim("a"));
        let mut waits = Box::pin(other(vectors.claim("a")).get());
        assert!(futures::poll!(&mut waits).is_pending());
        drop(first);
        assert_eq!(waits.await, None);

        let second = own(vectors.claim("a"));
        let mut waits = Box::pin(other(vectors.claim("a")).get());
        assert!(futures::poll!(&mut waits).is_pending());
        second.done(vector());
        assert_eq!(waits.await, Some(vector()));
        assert_eq!(other(vectors.claim("a")).get().await, Some(vector()), "after the end of the call");
    }

    #[tokio::test]
    async fn only_the_last_vectors_are_kept() {
        let vectors = Arc::new(SharedVectors::default());
        for number in 0..=MAX_KEPT {
            own(vectors.claim(&number.to_string())).done(vector());
        }
        assert_eq!(lock(&vectors.0).by_hash.len(), MAX_KEPT);
        assert_eq!(other(vectors.claim("1")).get().await, Some(vector()));
        drop(own(vectors.claim("0")));
    }
}

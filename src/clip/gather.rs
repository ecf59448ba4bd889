//! [`Gather`]: images of requests that come at once, together in one run of a model that gains by it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Semaphore, oneshot};

use super::error::ClipError;
use crate::domain::Embedding;
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::imaging::PreparedImage;

/// How long a image waits for company, while others are under way.
const WAIT: Duration = Duration::from_millis(3);
/// Images that may be here at once, under way or waiting; one more is told to come back.
const PLACES: usize = 256;
/// When it may.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);

type Outcome = Result<Embedding, EmbedError>;

/// Requests of one image each. Nobody leads: whoever fills a run, or whose wait is over first, makes it for all, so
/// that none hangs on another's connection.
pub(super) struct Gather {
    provider: Arc<dyn ImageEmbeddingProvider>,
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Runs.
    under_way: usize,
    /// Of the run that still waits for company.
    seats: Vec<Seat>,
    /// Which run that is.
    number: u64,
}

struct Seat {
    image: PreparedImage,
    reply: oneshot::Sender<Outcome>,
}

impl Gather {
    pub(super) fn new(provider: Arc<dyn ImageEmbeddingProvider>) -> Self {
        Self { provider, places: Semaphore::new(PLACES), state: Mutex::default() }
    }

    /// The vector of one image. One that comes alone does not wait, and goes ahead of batches as searches do.
    ///
    /// # Errors
    /// What the provider says of this image; [`ClipError::Busy`] where too many are here.
    pub(super) async fn embed(&self, image: PreparedImage) -> Result<Embedding, ClipError> {
        let _place = self.places.try_acquire().map_err(|_| ClipError::Busy(RETRY_WHEN_FULL))?;
        let most = self.provider.useful_batch().get();
        if most == 1 {
            return Ok(self.provider.embed_image(&image).await?);
        }
        if let Some(_first) = self.begin_if_idle() {
            return Ok(self.provider.embed_image(&image).await?);
        }
        let (reply, mut answer) = oneshot::channel();
        let (number, full) = self.sit(Seat { image: image.clone(), reply }, most);
        if let Some(seats) = full {
            self.run(seats).await;
        } else {
            match tokio::time::timeout(WAIT, &mut answer).await {
                Ok(Ok(outcome)) => return Ok(outcome?),
                // Whoever made the run went away in the middle of it.
                Ok(Err(_)) => return Ok(self.alone(&image).await?),
                Err(_) => self.run(self.take(number)).await,
            }
        }
        match answer.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Ok(self.alone(&image).await?),
        }
    }

    async fn alone(&self, image: &PreparedImage) -> Outcome {
        let _under_way = self.begin();
        self.provider.embed_image(image).await
    }

    /// One run. A image that is refused costs its neighbours a second run, each alone.
    async fn run(&self, mut seats: Vec<Seat>) {
        seats.retain(|seat| !seat.reply.is_closed());
        let (images, replies): (Vec<_>, Vec<_>) = seats.into_iter().map(|seat| (seat.image, seat.reply)).unzip();
        let outcomes: Vec<Outcome> = match images.as_slice() {
            [] => return,
            [one] => vec![self.alone(one).await],
            many => {
                let _under_way = self.begin();
                match self.provider.embed_image_batch(many).await {
                    Ok(vectors) if vectors.len() == many.len() => vectors.into_iter().map(Ok).collect(),
                    Err(error @ (EmbedError::Dependency(_) | EmbedError::ProbeFailed(_))) => {
                        many.iter().map(|_| Err(error.clone())).collect()
                    }
                    Ok(_)
                    | Err(
                        EmbedError::Rejected(_)
                        | EmbedError::Failing { .. }
                        | EmbedError::WrongCount { .. }
                        | EmbedError::Invalid(_)
                        | EmbedError::Unsupported,
                    ) => join_all(many.iter().map(|image| self.provider.embed_image(image))).await,
                }
            }
        };
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Who asked may be gone.
            drop(reply.send(outcome));
        }
    }

    /// Takes a seat in the run that waits: which that is, and all of it where it is full by that.
    fn sit(&self, seat: Seat, most: usize) -> (u64, Option<Vec<Seat>>) {
        let mut state = self.lock();
        state.seats.push(seat);
        let full = state.seats.len() >= most;
        (state.number, full.then(|| state.close()))
    }

    /// The run of this number, where it still waits.
    fn take(&self, number: u64) -> Vec<Seat> {
        let mut state = self.lock();
        if state.number == number { state.close() } else { Vec::new() }
    }

    /// Begins a run where there is no other; looked at and begun in one, or two that come together would both be first.
    fn begin_if_idle(&self) -> Option<UnderWay<'_>> {
        let mut state = self.lock();
        let idle = state.under_way == 0 && state.seats.is_empty();
        idle.then(|| {
            state.under_way += 1;
            UnderWay(self)
        })
    }

    fn begin(&self) -> UnderWay<'_> {
        self.lock().under_way += 1;
        UnderWay(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self) -> Vec<Seat> {
        self.number += 1;
        std::mem::take(&mut self.seats)
    }
}

/// A run, until it is dropped.
struct UnderWay<'a>(&'a Gather);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;

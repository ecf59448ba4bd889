//! [`Gather`]: puts images of concurrent requests into one run of the model, if the model is faster with batches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Semaphore, oneshot};

use super::error::ClipError;
use crate::domain::Embedding;
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::imaging::PreparedImage;

/// How long an image waits for others to join its run, while other runs are in progress.
const MAX_WAIT: Duration = Duration::from_millis(3);
/// Maximum number of images in progress or waiting; further requests get [`ClipError::Busy`].
const MAX_IMAGES: usize = 256;
/// `Retry-After` of a request that was refused because of [`MAX_IMAGES`].
const RETRY_AFTER: Duration = Duration::from_secs(1);

type EmbedResult = Result<Embedding, EmbedError>;

/// Gathers requests of one image each. There is no leader task: the request that fills a run, or whose wait ends
/// first, computes the run for all members, so that no request depends on another client's connection.
pub(super) struct Gather {
    provider: Arc<dyn ImageEmbeddingProvider>,
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of runs in progress.
    in_progress: usize,
    /// Members of the run that still waits for more images.
    members: Vec<Member>,
    /// Number of that run.
    number: u64,
}

struct Member {
    image: PreparedImage,
    reply: oneshot::Sender<EmbedResult>,
}

impl Gather {
    pub(super) fn new(provider: Arc<dyn ImageEmbeddingProvider>) -> Self {
        Self { provider, permits: Semaphore::new(MAX_IMAGES), state: Mutex::default() }
    }

    /// Returns the vector of one image. If no other run is in progress, the image does not wait, and it has priority
    /// over batches, like a search.
    ///
    /// # Errors
    /// The provider's error for this image; [`ClipError::Busy`] if [`MAX_IMAGES`] images are in progress or waiting.
    pub(super) async fn embed(&self, image: PreparedImage) -> Result<Embedding, ClipError> {
        let _permit = self.permits.try_acquire().map_err(|_| ClipError::Busy(RETRY_AFTER))?;
        let max_batch = self.provider.useful_batch().get();
        if max_batch == 1 {
            return Ok(self.provider.embed_image(&image).await?);
        }
        if let Some(_in_progress) = self.begin_if_idle() {
            return Ok(self.provider.embed_image(&image).await?);
        }
        let (reply, mut result) = oneshot::channel();
        let (number, full) = self.join(Member { image: image.clone(), reply }, max_batch);
        if let Some(members) = full {
            self.run(members).await;
        } else {
            match tokio::time::timeout(MAX_WAIT, &mut result).await {
                Ok(Ok(outcome)) => return Ok(outcome?),
                // The request that computed the run was cancelled.
                Ok(Err(_)) => return Ok(self.embed_alone(&image).await?),
                Err(_) => self.run(self.take_run(number)).await,
            }
        }
        match result.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Ok(self.embed_alone(&image).await?),
        }
    }

    async fn embed_alone(&self, image: &PreparedImage) -> EmbedResult {
        let _in_progress = self.begin();
        self.provider.embed_image(image).await
    }

    /// Computes one run. If the batch is refused, each image is embedded again alone, so that one bad image does not
    /// fail the others.
    async fn run(&self, mut members: Vec<Member>) {
        members.retain(|member| !member.reply.is_closed());
        let (images, replies): (Vec<_>, Vec<_>) =
            members.into_iter().map(|member| (member.image, member.reply)).unzip();
        let outcomes: Vec<EmbedResult> = match images.as_slice() {
            [] => return,
            [single] => vec![self.embed_alone(single).await],
            batch => {
                let _in_progress = self.begin();
                match self.provider.embed_image_batch(batch).await {
                    Ok(vectors) if vectors.len() == batch.len() => vectors.into_iter().map(Ok).collect(),
                    Err(error @ (EmbedError::Dependency(_) | EmbedError::ProbeFailed(_))) => {
                        batch.iter().map(|_| Err(error.clone())).collect()
                    }
                    Ok(_)
                    | Err(
                        EmbedError::Rejected(_)
                        | EmbedError::Failing { .. }
                        | EmbedError::WrongCount { .. }
                        | EmbedError::Invalid(_)
                        | EmbedError::Unsupported,
                    ) => join_all(batch.iter().map(|image| self.provider.embed_image(image))).await,
                }
            }
        };
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // The receiver may be gone.
            drop(reply.send(outcome));
        }
    }

    /// Adds a member to the waiting run. Returns the number of that run, and its members if the run is now full.
    fn join(&self, member: Member, max_batch: usize) -> (u64, Option<Vec<Member>>) {
        let mut state = self.lock();
        state.members.push(member);
        let full = state.members.len() >= max_batch;
        (state.number, full.then(|| state.close()))
    }

    /// Takes the members of the run with this number, if it still waits.
    fn take_run(&self, number: u64) -> Vec<Member> {
        let mut state = self.lock();
        if state.number == number { state.close() } else { Vec::new() }
    }

    /// Begins a run if there is no other. The check and the start are under one lock; otherwise two concurrent
    /// requests could both be first.
    fn begin_if_idle(&self) -> Option<InProgress<'_>> {
        let mut state = self.lock();
        let idle = state.in_progress == 0 && state.members.is_empty();
        idle.then(|| {
            state.in_progress += 1;
            InProgress(self)
        })
    }

    fn begin(&self) -> InProgress<'_> {
        self.lock().in_progress += 1;
        InProgress(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self) -> Vec<Member> {
        self.number += 1;
        std::mem::take(&mut self.members)
    }
}

/// Counts one run as in progress until it is dropped.
struct InProgress<'a>(&'a Gather);

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.lock().in_progress -= 1;
    }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;

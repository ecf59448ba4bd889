//! A model that is fetched and loaded in the background, once, while the service already answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::source::Source;
use super::towers::Towers;
use super::{DEPENDENCY, failed};
use crate::domain::{DependencyError, Trouble};
use crate::embed::EmbedError;
use crate::imaging::Resize;

/// How long a caller waits for a model that loads: a folder takes seconds. A download takes longer than anybody waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a failure is told to everyone before the next try.
const AGAIN: Duration = Duration::from_secs(30);

type Outcome = Result<Arc<Towers>, (EmbedError, Instant)>;
type Attempt = Shared<BoxFuture<'static, Outcome>>;

/// The model, or the way to it.
pub(super) struct Opening {
    source: Arc<Source>,
    /// Side of an image that the settings insist on.
    size: Option<u32>,
    attempt: Mutex<Option<Attempt>>,
}

impl Opening {
    /// Nothing is begun before the first call.
    pub(super) fn new(source: Source, size: Option<u32>) -> Self {
        Self { source: Arc::new(source), size, attempt: Mutex::new(None) }
    }

    /// One that is there already.
    pub(super) fn done(source: Source, towers: Towers) -> Self {
        let done: Attempt = futures::future::ready(Ok(Arc::new(towers))).boxed().shared();
        // A shared future can be peeked into once it has been polled.
        done.clone().now_or_never();
        Self { attempt: Mutex::new(Some(done)), ..Self::new(source, None) }
    }

    pub(super) fn name(&self) -> String {
        self.source.name()
    }

    /// Side of an image in pixels: the model's, once it is loaded.
    pub(super) fn size(&self) -> Option<u32> {
        self.loaded().map(|towers| towers.size).or(self.size)
    }

    /// How its own preprocessing cuts an image: the built-in model's card says it otherwise than CLIP's does.
    pub(super) fn crop(&self) -> Resize {
        if self.source.is_built_in() { Resize::Crop } else { Resize::CropFloor }
    }

    /// The model if it is there, without waiting.
    pub(super) fn loaded(&self) -> Option<Arc<Towers>> {
        let attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.as_ref().and_then(Shared::peek).and_then(|outcome| outcome.as_ref().ok()).cloned()
    }

    /// The model. While it is on its way a caller waits for a moment, and is then told to come again: the way goes on.
    pub(super) async fn towers(&self) -> Result<Arc<Towers>, EmbedError> {
        if let Ok(outcome) = timeout(PATIENCE, self.attempt()).await {
            return outcome.map_err(|(error, _)| error);
        }
        let detail = format!("{} is being fetched and loaded; the log says how far it is", self.name());
        let trouble = Trouble::Unavailable { retry_after: PATIENCE };
        Err(DependencyError { dependency: DEPENDENCY.to_owned(), trouble, detail }.into())
    }

    /// The same, however long it takes.
    pub(super) async fn wait(&self) -> Result<Arc<Towers>, EmbedError> {
        self.attempt().await.map_err(|(error, _)| error)
    }

    /// What is under way or done; a failure that is old enough is tried again.
    fn attempt(&self) -> Attempt {
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.take_if(|attempt| matches!(attempt.peek(), Some(Err((_, at))) if at.elapsed() >= AGAIN));
        attempt.get_or_insert_with(|| begin(self.source.clone(), self.size)).clone()
    }
}

/// Begins on a task of its own, which ends with the provider and not with whoever asked first.
fn begin(source: Arc<Source>, size: Option<u32>) -> Attempt {
    let load = async move {
        let towers = source.load().await?;
        match size.filter(|&size| size != towers.size) {
            None => Ok(Arc::new(towers)),
            Some(size) => Err(super::unusable(format!(
                "IMAGE_TARGET_SIZE is {size}, but the model {} takes {}; leave it empty",
                towers.name, towers.size
            ))),
        }
    };
    let dated = async move { load.await.map_err(|error| (error, Instant::now())) };
    #[expect(clippy::disallowed_methods, reason = "the handle is held by the attempt and aborts on drop")]
    let task = AbortOnDropHandle::new(tokio::spawn(dated));
    let ended = |error| Err((failed(format!("loading it ended: {error}")), Instant::now()));
    async move { task.await.unwrap_or_else(ended) }.boxed().shared()
}

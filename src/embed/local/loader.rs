//! Downloads and loads a model once in the background, while the service already answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::engine::Engine;
use super::source::Source;
use super::towers::Towers;
use super::{DEPENDENCY, failed};
use crate::domain::{DependencyError, FailureKind};
use crate::embed::EmbedError;
use crate::embed::remote::DEFAULT_IMAGE_SIZE;
use crate::imaging::{Preprocessing, Resize};
use crate::lock::lock;

/// Maximum wait of a caller while the model is loading. A folder takes seconds; a download may take much longer.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long a failure is cached before the next attempt.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

type Outcome = Result<Arc<Towers>, (EmbedError, Instant)>;
type Attempt = Shared<BoxFuture<'static, Outcome>>;

/// A model that is loaded or loading.
pub(super) struct ModelLoader {
    source: Arc<Source>,
    /// Side of an image in pixels from the settings, if set.
    size: Option<u32>,
    attempt: Mutex<Option<Attempt>>,
}

impl ModelLoader {
    /// Creates the loader; loading starts with the first call.
    pub(super) fn new(source: Source, size: Option<u32>) -> Self {
        Self { source: Arc::new(source), size, attempt: Mutex::new(None) }
    }

    /// Creates a loader whose model is already loaded.
    pub(super) fn with_model(source: Source, towers: Arc<Towers>) -> Self {
        let done: Attempt = futures::future::ready(Ok(towers)).boxed().shared();
        // A shared future can be peeked into once it has been polled.
        done.clone().now_or_never();
        Self { attempt: Mutex::new(Some(done)), ..Self::new(source, None) }
    }

    pub(super) fn name(&self) -> String {
        self.source.name()
    }

    pub(super) fn engine(&self) -> &Engine {
        self.source.engine()
    }

    pub(super) fn needs_no_network(&self) -> bool {
        self.source.needs_no_network()
    }

    pub(super) fn is_built_in(&self) -> bool {
        self.source.is_built_in()
    }

    /// Returns how the model prepares images; before it is loaded, that of CLIP with the size of the settings.
    pub(super) fn preprocessing(&self) -> Preprocessing {
        let default = || Preprocessing::new(self.size.unwrap_or(DEFAULT_IMAGE_SIZE), Resize::CropFloor);
        self.loaded().map_or_else(default, |towers| towers.preprocessing)
    }

    /// Returns the model if it is loaded, without waiting.
    pub(super) fn loaded(&self) -> Option<Arc<Towers>> {
        let attempt = lock(&self.attempt);
        attempt.as_ref().and_then(Shared::peek).and_then(|outcome| outcome.as_ref().ok()).cloned()
    }

    /// Waits for the model for at most [`MAX_WAIT`], and then returns [`FailureKind::Unavailable`]; loading continues.
    pub(super) async fn towers(&self) -> Result<Arc<Towers>, EmbedError> {
        if let Ok(outcome) = timeout(MAX_WAIT, self.attempt()).await {
            return outcome.map_err(|(error, _)| error);
        }
        let detail = format!("the model {} is being downloaded and loaded; the log shows the progress", self.name());
        let failure = FailureKind::Unavailable { retry_after: MAX_WAIT };
        Err(DependencyError { dependency: DEPENDENCY.to_owned(), failure, detail }.into())
    }

    /// Waits for the model without a time limit.
    pub(super) async fn wait(&self) -> Result<Arc<Towers>, EmbedError> {
        self.attempt().await.map_err(|(error, _)| error)
    }

    /// Returns the current attempt. Starts a new one if there is none, or if the last one failed long enough ago.
    fn attempt(&self) -> Attempt {
        let mut attempt = lock(&self.attempt);
        attempt.take_if(|attempt| matches!(attempt.peek(), Some(Err((_, at))) if at.elapsed() >= RETRY_INTERVAL));
        attempt.get_or_insert_with(|| begin(self.source.clone(), self.size)).clone()
    }
}

/// Starts loading on a separate task, which ends with the provider and not with the first caller.
fn begin(source: Arc<Source>, size: Option<u32>) -> Attempt {
    let load = async move {
        let towers = source.load().await?;
        match size.filter(|&size| size != towers.preprocessing.size) {
            None => Ok(towers),
            Some(size) => Err(super::unusable(format!(
                "IMAGE_TARGET_SIZE is {size}, but the model {} takes {}; leave IMAGE_TARGET_SIZE empty",
                towers.name, towers.preprocessing.size
            ))),
        }
    };
    let with_time = async move { load.await.map_err(|error| (error, Instant::now())) };
    #[expect(clippy::disallowed_methods, reason = "the handle is held by the attempt and aborts on drop")]
    let task = AbortOnDropHandle::new(tokio::spawn(with_time));
    let join_failed = |error| Err((failed(format!("loading the model ended unexpectedly: {error}")), Instant::now()));
    async move { task.await.unwrap_or_else(join_failed) }.boxed().shared()
}

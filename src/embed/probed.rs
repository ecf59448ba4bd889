//! [`Proof`]: what is known of a provider; one for all who use it. [`Probed`]: a provider that is used only as far as
//! its proof goes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Busy, EmbedError, ImageEmbeddingProvider};
use crate::domain::{Embedding, InvalidEmbedding, Space, SpaceMismatch, Trouble};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::resilience::{Breaker, Guard, Retryable};

/// How long a failed probe is remembered and told to everyone.
const MEMORY: Duration = Duration::from_secs(30);
/// The same for a provider that could not be asked at all and did not say when it can. Shorter, because one that
/// has just been started is wanted soon; it is the breaker that keeps the calls few.
const SILENT: Duration = Duration::from_secs(5);

enum State {
    /// Not asked yet, or doubted.
    Unknown,
    Proven {
        space: Arc<Space>,
        /// Of the breaker, when the probe began.
        outages: u64,
    },
    Failed {
        error: EmbedError,
        until: Instant,
    },
}

/// Whether a provider does what it says, and in which space: asked once, by one caller for all, and again after each
/// outage, since what comes back may be another model.
pub struct Proof {
    provider: Arc<dyn ImageEmbeddingProvider>,
    breaker: Option<Arc<Breaker>>,
    state: Mutex<State>,
    /// Held by whoever probes.
    flight: tokio::sync::Mutex<()>,
    doubted: Notify,
}

impl Proof {
    /// A proof still to be given by `provider`, which must not be patient: everyone waits for its answer. `breaker` is the
    /// one that its calls go through.
    pub fn new(provider: Arc<dyn ImageEmbeddingProvider>, breaker: Option<Arc<Breaker>>) -> Self {
        let (state, flight) = (Mutex::new(State::Unknown), tokio::sync::Mutex::new(()));
        Self { provider, breaker, state, flight, doubted: Notify::new() }
    }

    /// The proven space; probes where nothing is known.
    ///
    /// # Errors
    /// Why there is none, for as long as that is remembered.
    pub async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        if let Some(known) = self.known() {
            return known;
        }
        let _flight = self.flight.lock().await;
        // Whoever waited for another's probe has its answer.
        if let Some(known) = self.known() {
            return known;
        }
        let outages = self.outages();
        let (state, outcome) = match self.provider.space().await {
            Ok(space) => (State::Proven { space: space.clone(), outages }, Ok(space)),
            Err(error) => {
                let memory = memory(&error);
                let outcome = Err(told(&error, memory));
                (State::Failed { error, until: Instant::now() + memory }, outcome)
            }
        };
        *self.lock() = state;
        outcome
    }

    /// Takes back that it is `space`: something was seen that contradicts it.
    fn doubt(&self, space: &Arc<Space>) {
        let mut state = self.lock();
        if matches!(&*state, State::Proven { space: proven, .. } if Arc::ptr_eq(proven, space)) {
            *state = State::Unknown;
            self.doubted.notify_one();
        }
    }

    /// Probes until there is a proof, and again whenever it is in doubt, until `end`: who asks first does not wait, and a
    /// provider that was made right is found so.
    pub async fn keep(&self, end: CancellationToken) {
        let keep = async {
            loop {
                match self.space().await {
                    Ok(space) => {
                        tracing::info!(space = space.name(), "the embedding provider has passed its probe");
                        self.doubted.notified().await;
                    }
                    Err(error) => {
                        tracing::error!(%error, "the embedding provider is not usable");
                        tokio::time::sleep(memory(&error)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = keep => {}
            () = end.cancelled() => {}
        }
    }

    /// `None` where it must be asked.
    fn known(&self) -> Option<Result<Arc<Space>, EmbedError>> {
        match &*self.lock() {
            State::Unknown => None,
            // While the breaker is open nobody can be asked, and nothing can be answered by anyone else.
            State::Proven { space, outages } => (*outages == self.outages()).then(|| Ok(space.clone())),
            State::Failed { error, until } => {
                let left = until.saturating_duration_since(Instant::now());
                (!left.is_zero()).then(|| Err(told(error, left)))
            }
        }
    }

    fn outages(&self) -> u64 {
        self.breaker.as_ref().map_or(0, |breaker| breaker.outages())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("space", &self.known().map(|known| known.map(|space| space.name()))).finish()
    }
}

fn memory(error: &EmbedError) -> Duration {
    if error.is_retryable() {
        error.retry_after().unwrap_or(SILENT).clamp(Duration::from_millis(1), MEMORY)
    } else {
        MEMORY
    }
}

/// A failure as it is told: of a provider that was down it is known when it is asked again.
fn told(error: &EmbedError, left: Duration) -> EmbedError {
    match error {
        EmbedError::Dependency(down) if down.trouble.may_pass() => {
            let mut down = down.clone();
            down.trouble = Trouble::Unavailable { retry_after: left };
            EmbedError::Dependency(down)
        }
        other => other.clone(),
    }
}

/// A provider that answers only once its space is proven, and whose vectors are of that space's size.
pub struct Probed {
    inner: Arc<dyn ImageEmbeddingProvider>,
    proof: Arc<Proof>,
    patience: Option<Guard>,
}

impl Probed {
    /// Uses `inner` as far as `proof` goes.
    pub fn new(inner: Arc<dyn ImageEmbeddingProvider>, proof: Arc<Proof>) -> Self {
        Self { inner, proof, patience: None }
    }

    /// Waits, as `guard` does, for the proof of a provider that is down. It must not go through the breaker that the proof
    /// itself goes through.
    #[must_use]
    pub fn with_patience(self, guard: Guard) -> Self {
        Self { patience: Some(guard), ..self }
    }

    /// What `call` answers, if `vectors` of it have the proven size, and if the space is after it what it was before.
    /// A vector of another size is the provider's trouble where another probe says so too, else the input's.
    async fn checked<T>(
        &self,
        call: impl Future<Output = Result<T, EmbedError>>,
        vectors: impl Fn(&T) -> &[Embedding],
    ) -> Result<T, EmbedError> {
        let space = self.space().await?;
        let expected = space.dimension;
        let answer = match call.await {
            Ok(answer) => match vectors(&answer).iter().map(Embedding::dimension).find(|size| *size != expected) {
                None => Ok(answer),
                Some(actual) => Err(InvalidEmbedding::WrongSize { expected, actual }),
            },
            Err(EmbedError::Invalid(wrong @ InvalidEmbedding::WrongSize { .. })) => Err(wrong),
            Err(other) => return Err(other),
        };
        if let Err(wrong) = &answer {
            tracing::warn!(%wrong, "the embedding provider is probed again");
            self.proof.doubt(&space);
        }
        let now = self.space().await?;
        if !Arc::ptr_eq(&space, &now) {
            space.admits(&now).map_err(|moved| changed(&moved))?;
        }
        Ok(answer?)
    }
}

fn changed(SpaceMismatch { stored, offered, reason }: &SpaceMismatch) -> EmbedError {
    EmbedError::ProbeFailed(format!(
        "the model behind it was changed: it made vectors of `{stored}`, now it makes vectors of `{offered}`: {reason}"
    ))
}

#[async_trait]
impl ImageEmbeddingProvider for Probed {
    fn preprocessing(&self) -> Preprocessing {
        self.inner.preprocessing()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        match &self.patience {
            Some(guard) => guard.call(|| self.proof.space()).await,
            None => self.proof.space().await,
        }
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.checked(self.inner.embed_image_batch(images), |vectors| vectors).await
    }

    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        self.checked(self.inner.embed_image(image), std::slice::from_ref).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.checked(self.inner.embed_text(text), std::slice::from_ref).await
    }

    fn busy(&self) -> Option<Busy> {
        self.inner.busy()
    }
}

impl std::fmt::Debug for Probed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probed").field("proof", &self.proof).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "probed_tests.rs"]
mod tests;

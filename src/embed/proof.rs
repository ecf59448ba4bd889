//! [`Proof`]: what is known of a provider; one for all who use it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{EmbedError, ImageEmbeddingProvider};
use crate::domain::{Space, Trouble};
use crate::resilience::{Breaker, Retryable};

/// How long a failed probe is remembered and told to everyone.
const MEMORY: Duration = Duration::from_secs(30);
/// The same for a provider that could not be asked at all and did not say when it can. Shorter, because one that
/// has just been started is wanted soon; it is the breaker that keeps the calls few.
pub(super) const SILENT: Duration = Duration::from_secs(5);

/// How often a provider elsewhere is probed again though nothing is known against it: its model may be changed without
/// an outage.
const RENEWAL: Duration = Duration::from_mins(10);

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
    missed: Notify,
}

impl Proof {
    /// A proof still to be given by `provider`, which must not be patient: everyone waits for its answer. `breaker` is the
    /// one that its calls go through.
    pub fn new(provider: Arc<dyn ImageEmbeddingProvider>, breaker: Option<Arc<Breaker>>) -> Self {
        let (state, flight) = (Mutex::new(State::Unknown), tokio::sync::Mutex::new(()));
        Self { provider, breaker, state, flight, doubted: Notify::new(), missed: Notify::new() }
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
        self.probe(self.provider.space(), |_| true).await
    }

    /// Remembers the answer to `asked`, which the provider is asked now; of errors those that `counts` says.
    async fn probe(
        &self,
        asked: impl Future<Output = Result<Arc<Space>, EmbedError>>,
        counts: impl FnOnce(&EmbedError) -> bool,
    ) -> Result<Arc<Space>, EmbedError> {
        let outages = self.outages();
        match asked.await {
            Ok(space) => {
                *self.lock() = State::Proven { space: space.clone(), outages };
                Ok(space)
            }
            Err(error) => {
                let memory = memory(&error);
                let outcome = Err(told(&error, memory));
                if counts(&error) {
                    *self.lock() = State::Failed { error, until: Instant::now() + memory };
                }
                outcome
            }
        }
    }

    /// Probes again what is proven. One that is down meanwhile is no less proven for that: the breaker knows of it.
    async fn renew(&self, asked: impl Future<Output = Result<Arc<Space>, EmbedError>>) {
        let _flight = self.flight.lock().await;
        if let Err(error) = self.probe(asked, |error| !error.is_retryable()).await {
            tracing::warn!(%error, "the embedding provider was probed again");
        }
    }

    /// Takes back that it is `space`: something was seen that contradicts it.
    pub(super) fn doubt(&self, space: &Arc<Space>) {
        let mut state = self.lock();
        if matches!(&*state, State::Proven { space: proven, .. } if Arc::ptr_eq(proven, space)) {
            *state = State::Unknown;
            self.doubted.notify_one();
        }
    }

    /// Says that somebody wants it while the breaker is open: then [`keep`](Self::keep) looks when it is back. Without that
    /// a service that is sent no searches, because it is not ready, would never be ready again.
    pub(super) fn miss(&self) {
        self.missed.notify_one();
    }

    /// Probes until there is a proof, and again whenever it is in doubt, until `end`: who asks first does not wait, and a
    /// provider that was made right is found so.
    pub async fn keep(&self, end: CancellationToken) {
        let mut told = None;
        let keep = async {
            loop {
                match self.space().await {
                    Ok(space) => {
                        if told.as_ref() != Some(&space) {
                            tracing::info!(space = space.name(), "the embedding provider has passed its probe");
                        }
                        told = Some(space);
                        self.until_it_may_be_another().await;
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

    /// Returns when it is in doubt, or has been renewed.
    async fn until_it_may_be_another(&self) {
        // The model of this process cannot change.
        let elsewhere = self.breaker.is_some();
        tokio::select! {
            () = self.doubted.notified() => {}
            () = self.missed_and_cooled_down() => {
                // Another's call may have been let through, and closed it.
                if self.open_for().is_some() {
                    self.renew(self.provider.space()).await;
                }
            }
            () = tokio::time::sleep(RENEWAL), if elsewhere => self.renew(self.provider.space_again()).await,
        }
    }

    /// Returns when the breaker may let a call through again, after somebody has missed the provider.
    async fn missed_and_cooled_down(&self) {
        self.missed.notified().await;
        while let Some(left) = self.open_for().filter(|left| !left.is_zero()) {
            tokio::time::sleep(left).await;
        }
    }

    fn open_for(&self) -> Option<Duration> {
        self.breaker.as_ref().and_then(|breaker| breaker.open_for())
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

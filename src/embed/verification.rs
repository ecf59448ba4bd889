//! [`Verification`]: the cached verification of a provider, shared by all its users.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{EmbedError, ImageEmbeddingProvider};
use crate::domain::{FailureKind, Space};
use crate::lock::lock;
use crate::resilience::{Breaker, Retryable};

/// How long a failed probe is cached and returned to all callers.
const FAILURE_TTL: Duration = Duration::from_secs(30);
/// How long an outage is cached if the provider does not report a time. Shorter than [`FAILURE_TTL`], so that a
/// provider that has just started is found soon. The breaker limits the number of calls.
pub(super) const OUTAGE_TTL: Duration = Duration::from_secs(5);

/// Interval of probes of a remote provider without a known problem, because its model may be changed without an outage.
const RENEWAL_INTERVAL: Duration = Duration::from_mins(10);

enum State {
    /// Not probed yet, or invalidated.
    Unknown,
    Verified {
        space: Arc<Space>,
        /// Number of outages of the breaker at the start of the probe.
        outages: u64,
    },
    Failed {
        error: EmbedError,
        until: Instant,
    },
}

/// Verifies that a provider works as required, and in which space. One caller probes for all. The provider is probed
/// again after each outage, because it may return with another model.
pub struct Verification {
    provider: Arc<dyn ImageEmbeddingProvider>,
    breaker: Option<Arc<Breaker>>,
    state: Mutex<State>,
    /// Held during a probe.
    probing: tokio::sync::Mutex<()>,
    invalidated: Notify,
    needed: Notify,
}

impl Verification {
    /// Creates a verification of `provider`; makes no call. `provider` must not retry in the background, because all
    /// callers wait for its probe. `breaker` is the breaker of its calls.
    pub fn new(provider: Arc<dyn ImageEmbeddingProvider>, breaker: Option<Arc<Breaker>>) -> Self {
        let (state, probing) = (Mutex::new(State::Unknown), tokio::sync::Mutex::new(()));
        Self { provider, breaker, state, probing, invalidated: Notify::new(), needed: Notify::new() }
    }

    /// Returns the verified space; probes if no result is cached.
    ///
    /// # Errors
    /// The error of the probe, which is cached for some seconds.
    pub async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        if let Some(cached) = self.cached() {
            return cached;
        }
        let _probing = self.probing.lock().await;
        // Another caller may have probed while this one waited.
        if let Some(cached) = self.cached() {
            return cached;
        }
        self.probe(self.provider.space(), |_| true).await
    }

    /// Returns the verified space after another probe of a remote provider, whose model can change without an outage. A model in
    /// this process cannot change.
    ///
    /// # Errors
    /// As [`space`](Self::space).
    pub async fn recheck(&self) -> Result<Arc<Space>, EmbedError> {
        if self.breaker.is_none() || !matches!(self.cached(), Some(Ok(_))) {
            return self.space().await;
        }
        let _probing = self.probing.lock().await;
        self.probe(self.provider.recheck_space(), |error| !error.is_retryable()).await
    }

    /// Waits for `probe` and caches its result. Errors are cached only if `counts` returns true.
    async fn probe(
        &self,
        probe: impl Future<Output = Result<Arc<Space>, EmbedError>>,
        counts: impl FnOnce(&EmbedError) -> bool,
    ) -> Result<Arc<Space>, EmbedError> {
        let outages = self.outages();
        match probe.await {
            Ok(space) => {
                *lock(&self.state) = State::Verified { space: space.clone(), outages };
                Ok(space)
            }
            Err(error) => {
                let ttl = failure_ttl(&error);
                let outcome = Err(client_error(&error, ttl));
                if counts(&error) {
                    *lock(&self.state) = State::Failed { error, until: Instant::now() + ttl };
                }
                outcome
            }
        }
    }

    /// Probes again. An outage does not invalidate the verification, because the breaker handles outages.
    async fn renew(&self, probe: impl Future<Output = Result<Arc<Space>, EmbedError>>) {
        let _probing = self.probing.lock().await;
        if let Err(error) = self.probe(probe, |error| !error.is_retryable()).await {
            tracing::warn!(%error, "a repeated probe of the embedding provider failed");
        }
    }

    /// Invalidates the verification of `space`, because a reply contradicts it.
    pub(super) fn invalidate(&self, space: &Arc<Space>) {
        let mut state = lock(&self.state);
        if matches!(&*state, State::Verified { space: verified, .. } if Arc::ptr_eq(verified, space)) {
            *state = State::Unknown;
            self.invalidated.notify_one();
        }
    }

    /// Records that a caller needs the provider while the breaker is open, so that [`keep`](Self::keep) checks when the
    /// provider is back. Otherwise a service that gets no searches while it is not ready would never become ready.
    pub(super) fn request_recheck(&self) {
        self.needed.notify_one();
    }

    /// Probes until the provider is verified, and again after each invalidation, until `end`. So the first caller does
    /// not wait for a probe, and a repaired provider is found without a call.
    pub async fn keep(&self, end: CancellationToken) {
        let mut reported = None;
        let keep = async {
            loop {
                match self.space().await {
                    Ok(space) => {
                        if reported.as_ref() != Some(&space) {
                            tracing::info!(space = space.name(), "the embedding provider has passed its probe");
                        }
                        reported = Some(space);
                        self.wait_for_renewal().await;
                    }
                    Err(error) => {
                        tracing::error!(%error, "the embedding provider is not usable");
                        tokio::time::sleep(failure_ttl(&error)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = keep => {}
            () = end.cancelled() => {}
        }
    }

    /// Waits until the verification is invalidated or renewed.
    async fn wait_for_renewal(&self) {
        // Only a remote provider can change; it has a breaker.
        let is_remote = self.breaker.is_some();
        tokio::select! {
            () = self.invalidated.notified() => {}
            () = self.wait_for_need_and_breaker() => {
                // Another call may have closed the breaker.
                if self.open_for().is_some() {
                    self.renew(self.provider.space()).await;
                }
            }
            () = tokio::time::sleep(RENEWAL_INTERVAL), if is_remote => self.renew(self.provider.recheck_space()).await,
        }
    }

    /// Waits until a caller needs the provider and the breaker allows a call again.
    async fn wait_for_need_and_breaker(&self) {
        self.needed.notified().await;
        while let Some(left) = self.open_for().filter(|left| !left.is_zero()) {
            tokio::time::sleep(left).await;
        }
    }

    fn open_for(&self) -> Option<Duration> {
        self.breaker.as_ref().and_then(|breaker| breaker.open_for())
    }

    /// Returns the cached result; `None` if the provider must be probed.
    fn cached(&self) -> Option<Result<Arc<Space>, EmbedError>> {
        match &*lock(&self.state) {
            State::Unknown => None,
            // Valid also while the breaker is open: no call is possible then, so no other model can answer.
            State::Verified { space, outages } => (*outages == self.outages()).then(|| Ok(space.clone())),
            State::Failed { error, until } => {
                let left = until.saturating_duration_since(Instant::now());
                (!left.is_zero()).then(|| Err(client_error(error, left)))
            }
        }
    }

    fn outages(&self) -> u64 {
        self.breaker.as_ref().map_or(0, |breaker| breaker.outages())
    }
}

impl std::fmt::Debug for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verification")
            .field("space", &self.cached().map(|cached| cached.map(|space| space.name())))
            .finish()
    }
}

fn failure_ttl(error: &EmbedError) -> Duration {
    if error.is_retryable() {
        error.retry_after().unwrap_or(OUTAGE_TTL).clamp(Duration::from_millis(1), FAILURE_TTL)
    } else {
        FAILURE_TTL
    }
}

/// Returns the error for callers. For an outage it has the time until the next probe.
fn client_error(error: &EmbedError, left: Duration) -> EmbedError {
    match error {
        EmbedError::Dependency(down) if down.failure.is_temporary() => {
            let mut down = down.clone();
            down.failure = FailureKind::Unavailable { retry_after: left };
            EmbedError::Dependency(down)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
#[path = "verification_tests.rs"]
mod tests;

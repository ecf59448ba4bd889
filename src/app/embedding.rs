//! Adds retries, limits, verification and a cache to the embedding provider. Jobs retry for as long as needed; searches
//! answer quickly and cache texts. Both share one verification and one circuit breaker.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::config::Settings;
use crate::embed::{ImageEmbeddingProvider, ProviderKind, Resilient, TextCache, Verification, Verified};
use crate::resilience::{Breaker, Guard, WaitList};

/// Maximum number of concurrent calls of all jobs. One job alone makes at most as many as it has lanes.
const JOB_PERMITS: usize = 32;
/// Maximum number of concurrent calls of searches, independent of the calls of jobs.
const SEARCH_PERMITS: usize = 16;
/// Number of retries of a search.
const SEARCH_RETRIES: usize = 2;

/// One provider, in the variant for each of its users.
pub(super) struct Embedding {
    pub(super) jobs: Arc<dyn ImageEmbeddingProvider>,
    pub(super) searches: Arc<dyn ImageEmbeddingProvider>,
    pub(super) verification: Arc<Verification>,
}

/// Adds these layers to the provider `raw`. `name` is its name in the status, in errors and in metrics.
pub(super) fn add_layers(
    raw: Arc<dyn ImageEmbeddingProvider>,
    name: &str,
    settings: &Settings,
    wait_list: &WaitList,
) -> Embedding {
    let embed = &settings.embed;
    let (jobs, searches, verification) = if embed.image_embedding_provider == ProviderKind::Local {
        // A model in this process needs no retries. But it may still be downloading, and then a job waits for it.
        let verification = Arc::new(Verification::new(raw.clone(), None));
        let jobs =
            Verified::new(raw.clone(), verification.clone()).with_guard(Guard::background(name, wait_list.clone()));
        (Arc::new(jobs), Arc::new(Verified::new(raw, verification.clone())), verification)
    } else {
        let breaker = Arc::new(Breaker::new(embed.breaker()).with_metrics(name));
        let timeout = embed.clip_timeout.duration();
        // A slow provider embeds the images of one call one after the other.
        let (permits, images) = raw.max_per_call().map_or((JOB_PERMITS, 1), |max| (1, max.get()));
        let job_timeout = timeout.saturating_mul(u32::try_from(images).unwrap_or(u32::MAX));
        let guard = Guard::background(name, wait_list.clone()).with_breaker(breaker.clone());
        let background = Resilient::new(raw.clone(), guard.with_permits(permits).with_timeout(job_timeout));
        // Half of the timeout of the request, so that the client still gets the reason of a failure.
        let search_timeout = timeout.min(settings.api.glimpse_request_timeout.duration() / 2);
        let guard = Guard::interactive(name, SEARCH_RETRIES).with_breaker(breaker.clone());
        let interactive =
            Arc::new(Resilient::new(raw, guard.with_permits(SEARCH_PERMITS).with_timeout(search_timeout)));
        let verification = Arc::new(Verification::new(interactive.clone(), Some(breaker)));
        let jobs = Verified::new(Arc::new(background), verification.clone())
            .with_guard(Guard::background(name, wait_list.clone()));
        (Arc::new(jobs), Arc::new(Verified::new(interactive, verification.clone())), verification)
    };
    let searches: Arc<dyn ImageEmbeddingProvider> = match NonZeroUsize::new(embed.glimpse_text_cache) {
        Some(entries) => Arc::new(TextCache::new(searches, entries)),
        None => searches,
    };
    Embedding { jobs, searches, verification }
}

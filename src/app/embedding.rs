//! What is put around the embedding provider: patience for jobs, promptness and a memory for searches, one proof and
//! one breaker for both.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Settings;
use crate::embed::{ImageEmbeddingProvider, Proof, ProviderKind, Resilient, TextCache, Verified};
use crate::resilience::{Breaker, Guard, WaitBoard};

/// Calls of jobs under way at once, over all jobs; one job alone makes as many as it has lanes.
const JOB_PERMITS: usize = 32;
/// Calls of searches under way at once, however many calls jobs make.
const SEARCH_PERMITS: usize = 16;
/// How often a search tries again.
const SEARCH_RETRIES: usize = 2;

/// One provider, as each of its users needs it.
pub(super) struct Embedding {
    pub(super) jobs: Arc<dyn ImageEmbeddingProvider>,
    pub(super) searches: Arc<dyn ImageEmbeddingProvider>,
    pub(super) proof: Arc<Proof>,
}

/// Puts it around `raw`.
pub(super) fn around(raw: Arc<dyn ImageEmbeddingProvider>, settings: &Settings, board: &WaitBoard) -> Embedding {
    let of = &settings.embed;
    let name = of.kind().map_or("local", ProviderKind::name);
    let (jobs, searches, proof) = if name == "local" {
        // Nothing to retry in this process; but a model may still be on its way here, and a job waits for it.
        let proof = Arc::new(Proof::new(raw.clone(), None));
        let jobs = Verified::new(raw.clone(), proof.clone()).with_patience(Guard::background(name, board.clone()));
        (Arc::new(jobs), Arc::new(Verified::new(raw, proof.clone())), proof)
    } else {
        let breaker = Arc::new(Breaker::new(of.breaker()).of(name));
        let timeout = Duration::from_secs(of.clip_timeout);
        // A slow provider makes the images of one call one after the other.
        let (permits, images) = raw.max_per_call().map_or((JOB_PERMITS, 1), |most| (1, most.get()));
        let patience = timeout.saturating_mul(u32::try_from(images).unwrap_or(u32::MAX));
        let patient = Guard::background(name, board.clone()).through(breaker.clone());
        let patient = Resilient::new(raw.clone(), patient.with_permits(permits).within(patience));
        // Half of what the request itself has: whoever waits shall hear what was wrong.
        let prompt = timeout.min(Duration::from_secs(settings.api.glimpse_request_timeout) / 2);
        let guard = Guard::interactive(name, SEARCH_RETRIES).through(breaker.clone());
        let prompt = Arc::new(Resilient::new(raw, guard.with_permits(SEARCH_PERMITS).within(prompt)));
        let proof = Arc::new(Proof::new(prompt.clone(), Some(breaker)));
        let jobs =
            Verified::new(Arc::new(patient), proof.clone()).with_patience(Guard::background(name, board.clone()));
        (Arc::new(jobs), Arc::new(Verified::new(prompt, proof.clone())), proof)
    };
    let searches: Arc<dyn ImageEmbeddingProvider> = match NonZeroUsize::new(of.glimpse_text_cache) {
        Some(entries) => Arc::new(TextCache::new(searches, entries)),
        None => searches,
    };
    Embedding { jobs, searches, proof }
}

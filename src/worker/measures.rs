//! What the chain of a worker has counted, and when that is worth telling.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::embed::ImageEmbeddingProvider;
use crate::pipeline::{Stages, Timings};

/// With reports of results it is told at most so often.
const PAUSE: Duration = Duration::from_secs(1);

/// The timings of one run of the chain.
pub struct Measures {
    stages: Arc<Stages>,
    provider: Arc<dyn ImageEmbeddingProvider>,
    told: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Measures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measures").field("stages", &self.stages).finish_non_exhaustive()
    }
}

impl Measures {
    /// Of the chain that counts in `stages` and embeds by `provider`.
    pub fn new(stages: Arc<Stages>, provider: Arc<dyn ImageEmbeddingProvider>) -> Self {
        Self { stages, provider, told: Mutex::default() }
    }

    pub(super) fn now(&self) -> Timings {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.stages.timings(self.provider.busy())
    }

    /// As [`now`](Self::now), where it was not told a moment ago.
    pub(super) fn due(&self) -> Option<Timings> {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.is_none_or(|at| at.elapsed() >= PAUSE).then(|| self.now())
    }
}

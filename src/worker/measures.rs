//! The timings of the pipeline of a worker, and when to report them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::embed::ImageEmbeddingProvider;
use crate::lock::lock;
use crate::pipeline::{Stages, Timings};

/// Minimum interval between timings that are sent with results.
const MIN_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The timings of one run of the pipeline.
pub struct Measures {
    stages: Arc<Stages>,
    provider: Arc<dyn ImageEmbeddingProvider>,
    last_report: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Measures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measures").field("stages", &self.stages).finish_non_exhaustive()
    }
}

impl Measures {
    /// Measures the pipeline that counts in `stages` and embeds with `provider`.
    pub fn new(stages: Arc<Stages>, provider: Arc<dyn ImageEmbeddingProvider>) -> Self {
        Self { stages, provider, last_report: Mutex::default() }
    }

    /// Returns what was measured since the last call.
    pub(super) fn now(&self) -> Timings {
        *lock(&self.last_report) = Some(Instant::now());
        self.stages.drain(self.provider.busy())
    }

    /// Returns what was measured since the last report, or `None` if that was less than [`MIN_REPORT_INTERVAL`] ago.
    pub(super) fn due(&self) -> Option<Timings> {
        let last_report = *lock(&self.last_report);
        last_report.is_none_or(|at| at.elapsed() >= MIN_REPORT_INTERVAL).then(|| self.now())
    }
}

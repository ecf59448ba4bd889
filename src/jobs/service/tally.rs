//! The metrics of jobs for `/metrics`. Images are counted when the ledger records them, so that an image that is
//! reported twice counts once.

use std::time::Duration;

use crate::domain::{FailureClass, JobState};
use crate::jobs::service::Jobs;
use crate::telemetry::metrics::families;

/// How long a scrape waits for the ledger.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Label values for how the service noticed that a worker died: its exit was reported, or it sent no requests.
pub(crate) const EXIT_REPORTED: &str = "said";
pub(crate) const NO_REQUESTS: &str = "silent";

/// The outcome of a key; the labels are the names of a job's counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CountedOutcome {
    Skipped,
    Unchanged,
    Done,
    Failed,
    Deleted,
}

impl CountedOutcome {
    const ALL: [Self; 5] = [Self::Skipped, Self::Unchanged, Self::Done, Self::Failed, Self::Deleted];

    fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Unchanged => "unchanged",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }
}

/// Creates every series at the start. A rate would miss the first event of a counter that appears with this event.
pub(crate) fn begin() {
    for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
        families::JOBS_FINISHED.labels([state_label(state)]).increment(0);
    }
    for outcome in CountedOutcome::ALL {
        items(outcome, 0);
    }
    for class in FailureClass::ALL {
        families::ITEM_FAILURES.labels([class.as_str()]).increment(0);
    }
    for detection in [EXIT_REPORTED, NO_REQUESTS] {
        families::WORKER_DEATHS.labels([detection]).increment(0);
    }
    families::LEASES_GRANTED.one().increment(0);
    families::LEASES_EXPIRED.one().increment(0);
    copied(0);
}

/// Counts a job that has ended.
pub(crate) fn finished(state: JobState) {
    families::JOBS_FINISHED.labels([state_label(state)]).increment(1);
}

/// Adds keys with this outcome.
pub(crate) fn items(outcome: CountedOutcome, count: u64) {
    families::ITEMS.labels([outcome.as_str()]).increment(count);
}

/// Counts failed images by their classes.
pub(crate) fn failures(classes: &[FailureClass]) {
    items(CountedOutcome::Failed, classes.len() as u64);
    for class in classes {
        families::ITEM_FAILURES.labels([class.as_str()]).increment(1);
    }
}

/// Counts images that were copied from one store to another.
pub(crate) fn copied(count: u64) {
    families::VECTORS_REUSED.labels(["copied"]).increment(count);
}

/// Counts remote workers that died with images under lease.
pub(crate) fn deaths(detection: &'static str, count: u64) {
    families::WORKER_DEATHS.labels([detection]).increment(count);
}

impl Jobs {
    /// Updates the gauges for `/metrics`. If the ledger does not answer, the numbers of jobs are NaN; the other gauges
    /// are updated all the same.
    pub async fn observe(&self) {
        self.0.pipeline.observe();
        let counts = match tokio::time::timeout(LEDGER_TIMEOUT, self.0.ledger.count_jobs()).await {
            Ok(Ok(counts)) => Some(counts),
            Ok(Err(error)) => {
                tracing::warn!(%error, "jobs could not be counted for /metrics");
                None
            }
            Err(_) => None,
        };
        for state in JobState::ALL {
            let count = counts.as_ref().map(|counts| counts.get(&state).copied().unwrap_or(0));
            families::JOBS.labels([state_label(state)]).set(count.map_or(f64::NAN, f64::from));
        }
    }
}

/// Returns a job's state as a label value.
fn state_label(state: JobState) -> String {
    state.as_str().to_ascii_lowercase()
}

//! What jobs tell `/metrics`. Counted where the ledger has it: an image whose report comes twice counts once.

use std::time::Duration;

use super::service::Jobs;
use crate::domain::{FailureClass, JobState};
use crate::telemetry::metrics::families;

/// A scrape waits so long for the ledger.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a worker's death was seen: whoever watched over it said so, or it was not heard of.
pub(super) const SAID: &str = "said";
pub(super) const SILENT: &str = "silent";

/// What became of keys, in the words of a job's counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum CountedOutcome {
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

/// Every series from the start: a counter that appears with its first event hides that event from a rate.
pub(super) fn begin() {
    for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
        families::JOBS_FINISHED.labels([word(state)]).increment(0);
    }
    for fate in CountedOutcome::ALL {
        items(fate, 0);
    }
    for class in FailureClass::ALL {
        families::ITEM_FAILURES.labels([class.as_str()]).increment(0);
    }
    for seen in [SAID, SILENT] {
        families::WORKER_DEATHS.labels([seen]).increment(0);
    }
    families::LEASES_GRANTED.one().increment(0);
    families::LEASES_EXPIRED.one().increment(0);
    copied(0);
}

/// A job came to its end.
pub(super) fn finished(state: JobState) {
    families::JOBS_FINISHED.labels([word(state)]).increment(1);
}

/// So many keys more.
pub(super) fn items(fate: CountedOutcome, count: u64) {
    families::ITEMS.labels([fate.as_str()]).increment(count);
}

/// Images failed, each for such a reason.
pub(super) fn failures(classes: &[FailureClass]) {
    items(CountedOutcome::Failed, classes.len() as u64);
    for class in classes {
        families::ITEM_FAILURES.labels([class.as_str()]).increment(1);
    }
}

/// Images were copied from one store to another.
pub(super) fn copied(count: u64) {
    families::VECTORS_REUSED.labels(["copied"]).increment(count);
}

/// Workers elsewhere died with images under lease.
pub(super) fn deaths(seen: &'static str, count: u64) {
    families::WORKER_DEATHS.labels([seen]).increment(count);
}

impl Jobs {
    /// Tells `/metrics` what is so at this moment. A ledger that does not answer leaves its figures unknown; the rest is told
    /// all the same.
    pub async fn observe(&self) {
        self.0.pipeline.observe();
        let counts = match tokio::time::timeout(PATIENCE, self.0.ledger.count_jobs()).await {
            Ok(Ok(counts)) => Some(counts),
            Ok(Err(error)) => {
                tracing::warn!(%error, "jobs could not be counted for /metrics");
                None
            }
            Err(_) => None,
        };
        for state in JobState::ALL {
            let count = counts.as_ref().map(|counts| counts.get(&state).copied().unwrap_or(0));
            families::JOBS.labels([word(state)]).set(count.map_or(f64::NAN, f64::from));
        }
    }
}

/// A job's state as a label.
fn word(state: JobState) -> String {
    state.as_str().to_ascii_lowercase()
}

//! The metrics of jobs for `/metrics`. Images are counted when the ledger records them, so that an image that is
//! reported twice counts once.

use std::time::Duration;

use crate::domain::{Executor, FailureClass, JobState};
use crate::jobs::service::Jobs;
use crate::ledger::jobs;
use crate::ledger::leases::deaths::EndedLeases;
use crate::ledger::leases::report::Reported;
use crate::ledger::planning::Planned;
use crate::telemetry::metrics::{counter, families, gauge};

/// How long a scrape waits for the ledger.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Label values for how the service noticed that a worker died: its exit was reported, or it sent no requests.
pub(crate) const EXIT_REPORTED: &str = "supervisor";
pub(crate) const NO_REQUESTS: &str = "lease";

/// The outcome of a key; the labels are the names of a job's counts.
#[derive(Clone, Copy, Debug)]
enum CountedOutcome {
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
pub(crate) fn create_series() {
    for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
        counter!(families::JOBS_FINISHED, "state" => state_label(state)).increment(0);
    }
    for outcome in CountedOutcome::ALL {
        items(outcome, 0);
    }
    for class in FailureClass::ALL {
        failures(class, 0);
    }
    for detection in [EXIT_REPORTED, NO_REQUESTS] {
        counter!(families::WORKER_DEATHS, "detected_by" => detection).increment(0);
    }
    counter!(families::LEASES_GRANTED).increment(0);
    counter!(families::LEASES_EXPIRED).increment(0);
    copied(0);
}

/// Counts a job that has ended.
pub(crate) fn finished(state: JobState) {
    counter!(families::JOBS_FINISHED, "state" => state_label(state)).increment(1);
}

/// Counts a planned page of a listing.
pub(crate) fn planned(page: &Planned) {
    items(CountedOutcome::Skipped, page.skipped);
    items(CountedOutcome::Unchanged, page.unchanged);
    failures(FailureClass::Archived, page.archived);
}

/// Counts vanished objects whose records were removed.
pub(crate) fn deleted(count: u64) {
    items(CountedOutcome::Deleted, count);
}

/// Counts the items that a report completed.
pub(crate) fn reported(report: &Reported) {
    items(CountedOutcome::Skipped, report.skipped);
    items(CountedOutcome::Done, report.done);
    copied(report.copied);
    failed(&report.failed);
}

/// Counts leases that were ended because their workers died. Returns them.
pub(crate) fn ended(ended: EndedLeases, detection: &'static str) -> EndedLeases {
    failed(&ended.failed);
    counter!(families::WORKER_DEATHS, "detected_by" => detection).increment(ended.workers.len() as u64);
    if detection == NO_REQUESTS {
        counter!(families::LEASES_EXPIRED).increment(ended.leases as u64);
    }
    ended
}

/// Adds keys with this outcome.
fn items(outcome: CountedOutcome, count: u64) {
    counter!(families::ITEMS, "outcome" => outcome.as_str()).increment(count);
}

/// Counts failed images by their classes.
pub(crate) fn failed(classes: &[FailureClass]) {
    for class in classes {
        failures(*class, 1);
    }
}

fn failures(class: FailureClass, count: u64) {
    items(CountedOutcome::Failed, count);
    counter!(families::ITEM_FAILURES, "class" => class.as_str()).increment(count);
}

/// Counts images that were copied from one store to another.
fn copied(count: u64) {
    counter!(families::VECTORS_REUSED, "reason" => "copied").increment(count);
}

impl Jobs {
    /// Updates the gauges for `/metrics`. If the ledger does not answer, the numbers of jobs and of images that are left are
    /// NaN; the other gauges are updated all the same.
    pub async fn observe(&self) {
        self.0.pipeline.observe();
        let counts = match tokio::time::timeout(LEDGER_TIMEOUT, self.0.ledger.read(jobs::count_by_state)).await {
            Ok(Ok(counts)) => Some(counts),
            Ok(Err(error)) => {
                tracing::warn!(%error, "jobs could not be counted for /metrics");
                None
            }
            Err(_) => None,
        };
        let left = match tokio::time::timeout(LEDGER_TIMEOUT, self.0.ledger.read(jobs::images_left)).await {
            Ok(Ok(left)) => Some(left),
            Ok(Err(_)) | Err(_) => None,
        };
        for executor in Executor::ALL {
            let count = left.as_ref().map(|left| left.get(&executor).copied().unwrap_or(0));
            #[expect(clippy::cast_precision_loss, reason = "a metric")]
            let count = count.map_or(f64::NAN, |count| count as f64);
            gauge!(families::IMAGES_LEFT, "executor" => executor.as_str()).set(count);
        }
        for state in JobState::ALL {
            let count = counts.as_ref().map(|counts| counts.get(&state).copied().unwrap_or(0));
            gauge!(families::JOBS, "state" => state_label(state)).set(count.map_or(f64::NAN, f64::from));
        }
    }
}

/// Returns a job's state as a label value.
fn state_label(state: JobState) -> String {
    state.as_str().to_ascii_lowercase()
}

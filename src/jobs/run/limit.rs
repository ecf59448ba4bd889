//! Ends a job early if too many of its images fail.

use crate::domain::{JobCounts, JobRecord};
use crate::jobs::pool::broker::LeaseError;
use crate::ledger::{Ledger, failures};

/// Checks a job's failures against its `max_failures`. `over` means that the job has no work left.
///
/// # Errors
/// [`LeaseError::TooManyFailures`], [`LeaseError::Ledger`]
pub(crate) async fn check_failures(
    ledger: &Ledger,
    job: &JobRecord,
    counts: &JobCounts,
    over: bool,
) -> Result<(), LeaseError> {
    match job.spec.max_failures {
        Some(most) if most.is_exceeded(counts, over) => {
            let id = job.id;
            let last = ledger.read(move |db| failures::last(db, id)).await?.unwrap_or_else(|| "unknown".to_owned());
            let processed = counts.done + counts.failed;
            Err(LeaseError::TooManyFailures { failed: counts.failed, processed, most, last })
        }
        _ => Ok(()),
    }
}

//! The end of a run whose job a client has paused.

use std::time::Duration;

use crate::domain::JobRecord;
use crate::jobs::JobService;
use crate::ledger::{LedgerError, leases, placements};

impl JobService {
    /// Gives back the leases that are left of a paused job, and ends its workers on the cluster. Workers that a user has started
    /// wait until the job is resumed.
    pub(super) async fn end_paused_run(&self, job: &JobRecord) -> Result<(), LedgerError> {
        let id = job.id;
        let placed = self
            .ledger
            .write(move |tx| {
                leases::recall(tx, id)?;
                placements::remove(tx, id)
            })
            .await?;
        if let Some(submission) = placed {
            self.end_placement(id, submission, Duration::ZERO);
        }
        let done = job.counts.done;
        tracing::info!(job.id = %id, done, "paused job has ended its work; it continues when it is resumed");
        self.ledger.log(id, format!("paused: {done} done; the job continues when it is resumed")).await
    }
}

//! What the service does at its start with the work of the previous process: it ends the leases, and with
//! `GLIMPSE_RESUME=false` it stops the unfinished jobs. The scheduler continues the others.

use crate::domain::JobState;
use crate::jobs::service::finish::finish_job;
use crate::jobs::service::tally;
use crate::ledger::jobs::Finish;
use crate::ledger::{Ledger, LedgerError, jobs, leases, prune};

/// Ends the local leases of the previous process, and removes what a crash left of finished jobs. If the disk is full,
/// this is only logged, so that the service starts: its jobs wait for space and then take these leases back.
pub(super) async fn end_previous(ledger: &Ledger) -> Result<(), LedgerError> {
    match end_local_leases(ledger).await {
        Err(error) if error.may_pass() => {
            tracing::error!(%error, "the leases of the previous process could not be ended; its jobs end them later");
            Ok(())
        }
        ended => ended,
    }
}

async fn end_local_leases(ledger: &Ledger) -> Result<(), LedgerError> {
    ledger.in_steps(prune::clear_finished()).await?;
    tally::failed(&ledger.write(leases::deaths::end_local_leases).await?.failed);
    Ok(())
}

/// Ends every unfinished job as stopped.
pub(super) async fn stop_unfinished(ledger: &Ledger) -> Result<(), LedgerError> {
    let unfinished = ledger.read(jobs::unfinished).await?;
    for id in &unfinished {
        let message = Some("stopped: the service was restarted with GLIMPSE_RESUME=false".to_owned());
        finish_job(ledger, *id, Finish { state: JobState::Stopped, message, summary: None }).await?;
        ledger.in_steps(jobs::clear(*id)).await?;
    }
    tracing::info!(jobs = unfinished.len(), "unfinished jobs are stopped, because GLIMPSE_RESUME is false");
    Ok(())
}

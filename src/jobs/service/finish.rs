//! Ends a job in the ledger.

use crate::domain::JobId;
use crate::jobs::service::tally;
use crate::ledger::jobs::{self, Finish};
use crate::ledger::{Ledger, LedgerError};

/// Ends a job whose state is not final, and counts it. Returns whether this call ended it.
pub(crate) async fn finish_job(ledger: &Ledger, id: JobId, finish: Finish) -> Result<bool, LedgerError> {
    let state = finish.state;
    let ended = ledger.write(move |tx| jobs::finish(tx, id, &finish)).await?;
    if ended {
        tally::finished(state);
    }
    Ok(ended)
}

//! Ends a placement that is not needed any more: it ends by itself or is stopped, and its output goes into the job's
//! log.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::JobId;
use crate::jobs::placing::decide::{Action, JobStance, PlacementStatus, decide};
use crate::jobs::placing::ray::{POLL, Placing};
use crate::ledger::{Ledger, LedgerError, logs};

/// How long the service waits for the end of a placement.
const END_TIMEOUT: Duration = Duration::from_mins(1);

/// Maximum characters that are kept of a line.
const MAX_LINE_CHARS: usize = 2_000;

/// A placement that must end.
pub(crate) struct WindUp {
    pub(crate) placing: Placing,
    pub(crate) ledger: Ledger,
    pub(crate) job: JobId,
    pub(crate) submission: String,
    /// How long it may take to end by itself.
    pub(crate) grace: Duration,
    pub(crate) drain: CancellationToken,
}

impl WindUp {
    /// The grace period for workers of an ended job, which end by themselves within seconds.
    pub(crate) const END_GRACE: Duration = Duration::from_secs(10);

    /// Runs until the placement has ended. Gives up after [`END_TIMEOUT`] if the cluster does not answer: the workers
    /// then end by themselves.
    pub(crate) async fn run(self) {
        tokio::select! {
            ended = self.end() => {
                if let Err(error) = ended {
                    tracing::error!(
                        job.id = %self.job, %error,
                        "the log of the workers could not be written to the ledger"
                    );
                }
            }
            () = self.drain.cancelled() => {}
        }
    }

    async fn end(&self) -> Result<(), LedgerError> {
        let (begun, mut stop_requested) = (Instant::now(), false);
        while begun.elapsed() < END_TIMEOUT {
            let look = self.placing.cluster.look(&self.submission).await;
            match decide(JobStance::Over, look.as_ref().map_or(PlacementStatus::Hidden, PlacementStatus::from)) {
                Action::End if !stop_requested && begun.elapsed() >= self.grace => {
                    stop_requested = self.placing.cluster.stop(&self.submission).await.is_ok();
                }
                Action::Done => return take_logs(&self.placing, &self.ledger, self.job, &self.submission).await,
                Action::End
                | Action::Wait
                | Action::Confirm
                | Action::Submit
                | Action::Again
                | Action::Fail
                | Action::Refuse
                | Action::Stop => {}
            }
            tokio::time::sleep(POLL).await;
        }
        tracing::warn!(
            job.id = %self.job, submission = self.submission,
            "the cluster has not ended the job's workers in time"
        );
        Ok(())
    }
}

/// Copies the output of a placement into the job's log. If the cluster does not return it, the job is not affected.
pub(crate) async fn take_logs(
    placing: &Placing,
    ledger: &Ledger,
    job: JobId,
    submission: &str,
) -> Result<(), LedgerError> {
    let text = match placing.cluster.logs(submission).await {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!(
                job.id = %job, submission, %error, detail = error.detail(),
                "the log of the placement could not be read"
            );
            return Ok(());
        }
    };
    let plain = |line: &str| -> String {
        line.chars()
            .take(MAX_LINE_CHARS)
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect()
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<_> = lines.map(|line| format!("[ray] {}", plain(line))).collect();
    ledger.write(move |tx| logs::add(tx, job, &lines)).await
}

//! The end of a placement that is needed no more: it ends by itself, or is asked to, and what it wrote goes into the job's log.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decide::{Action, JobStance, PlacementStatus, decide};
use super::{POLL, Placing};
use crate::domain::JobId;
use crate::jobs::ledger::Ledger;
use crate::sqlite::SqliteError;

/// So long it is looked whether the placement has come to its end.
const PATIENCE: Duration = Duration::from_mins(1);

/// Characters that are kept of a line.
const MAX_LINE: usize = 2_000;

/// A placement that is to come to its end.
pub(in crate::jobs) struct WindUp {
    pub(in crate::jobs) placing: Placing,
    pub(in crate::jobs) ledger: Ledger,
    pub(in crate::jobs) job: JobId,
    pub(in crate::jobs) submission: String,
    /// For so long it may end by itself.
    pub(in crate::jobs) grace: Duration,
    pub(in crate::jobs) drain: CancellationToken,
}

impl WindUp {
    /// Workers of a job that is over leave by themselves within seconds.
    pub(in crate::jobs) const OF_ITSELF: Duration = Duration::from_secs(10);

    /// Until it has ended. A cluster that does not answer is left alone after a while: its workers find out by themselves.
    pub(in crate::jobs) async fn run(self) {
        tokio::select! {
            ended = self.end() => {
                if let Err(error) = ended {
                    tracing::error!(job.id = %self.job, %error, "the ledger takes no lines");
                }
            }
            () = self.drain.cancelled() => {}
        }
    }

    async fn end(&self) -> Result<(), SqliteError> {
        let (begun, mut asked) = (Instant::now(), false);
        while begun.elapsed() < PATIENCE {
            let look = self.placing.cluster.look(&self.submission).await;
            match decide(JobStance::Over, look.as_ref().map_or(PlacementStatus::Hidden, PlacementStatus::from)) {
                Action::End if !asked && begun.elapsed() >= self.grace => {
                    asked = self.placing.cluster.stop(&self.submission).await.is_ok();
                }
                Action::WriteLease => return take_logs(&self.placing, &self.ledger, self.job, &self.submission).await,
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
        tracing::warn!(job.id = %self.job, submission = self.submission, "the cluster has not ended the job's workers");
        Ok(())
    }
}

/// Takes what a placement wrote into the job's log. A cluster that does not give it is no trouble of the job.
pub(super) async fn take_logs(
    placing: &Placing,
    ledger: &Ledger,
    job: JobId,
    submission: &str,
) -> Result<(), SqliteError> {
    let text = match placing.cluster.logs(submission).await {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!(job.id = %job, submission, %error, detail = error.detail(), "no log of it");
            return Ok(());
        }
    };
    let plain = |line: &str| -> String {
        line.chars().take(MAX_LINE).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    ledger.log_all(job, lines.map(|line| format!("[ray] {}", plain(line))).collect()).await
}

//! Ends a placement that is not needed any more: it ends by itself or is stopped.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::JobId;
use crate::jobs::placing::decide::{Action, JobPhase, PlacementStatus, decide};
use crate::jobs::placing::ray::{POLL, Placing};

/// How long the service waits for the end of a placement.
const END_TIMEOUT: Duration = Duration::from_mins(1);

/// A placement that must end.
pub(crate) struct EndPlacement {
    pub(crate) placing: Placing,
    pub(crate) job: JobId,
    pub(crate) submission: String,
    /// How long it may take to end by itself.
    pub(crate) grace: Duration,
    pub(crate) drain: CancellationToken,
}

impl EndPlacement {
    /// The grace period for workers of an ended job, which end by themselves within seconds.
    pub(crate) const END_GRACE: Duration = Duration::from_secs(10);

    /// Runs until the placement has ended. Gives up after [`END_TIMEOUT`] if the cluster does not answer: the workers
    /// then end by themselves.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = self.end() => {}
            () = self.drain.cancelled() => {}
        }
    }

    async fn end(&self) {
        let (begun, mut stop_requested) = (Instant::now(), false);
        while begun.elapsed() < END_TIMEOUT {
            let reply = self.placing.cluster.status(&self.submission).await;
            match decide(JobPhase::NoWorkLeft, reply.as_ref().map_or(PlacementStatus::Unknown, PlacementStatus::from)) {
                Action::End if !stop_requested && begun.elapsed() >= self.grace => {
                    stop_requested = self.placing.cluster.stop(&self.submission).await.is_ok();
                }
                Action::Done => return,
                Action::End
                | Action::Wait
                | Action::Confirm
                | Action::Submit
                | Action::PlaceAgain
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
    }
}

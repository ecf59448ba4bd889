//! The service's side of workers that a cluster places; [`super::LeaseWatch`] watches their leases. Generations of
//! workers follow each other. Each has its own token and id, which are recorded before the cluster is asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{JobRecord, Secret, Timestamp};
use crate::jobs::placing::cluster::{Cluster, ClusterError, Placed, Placement};
use crate::jobs::remote::protocol::token;
use crate::jobs::remote::protocol::wire::plain;
use crate::jobs::run::progress::{RunningJob, processed};
use crate::ledger::placements::{self, PlacementRow};
use crate::ledger::{Ledger, leases, logs};

use super::decide::{Action, JobPhase, PlacementStatus, decide};
use super::error::PlaceError;

/// How often the status of a placement is read.
pub(crate) const POLL: Duration = Duration::from_secs(2);
/// Maximum pause between generations that made no progress.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How long stopped workers may take to end by themselves before the cluster is asked to end them.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A cluster and the limits of a job on it.
#[derive(Clone, Debug)]
pub struct Placing {
    /// The cluster that places workers.
    pub cluster: Arc<dyn Cluster>,
    /// Maximum generations after the first that may end without progress.
    pub max_retries: u32,
    /// Maximum duration of a job; a job that takes longer fails.
    pub timeout: Option<Duration>,
}

/// The cluster's reply about a placement.
type ClusterReply<'a> = Result<&'a Placed, &'a ClusterError>;

/// Keeps workers placed for one job.
pub(crate) struct Ray {
    pub(crate) placing: Placing,
    pub(crate) ledger: Ledger,
    pub(crate) job: JobRecord,
    pub(crate) running: Arc<RunningJob>,
    /// Cancelled when the process stops. The workers continue and are found again at the next start.
    pub(crate) drain: CancellationToken,
}

/// The current generation of workers.
struct Generation {
    row: PlacementRow,
    /// The token, until the cluster has confirmed the placement: it is sent again with the same token.
    unsent: Option<Secret>,
}

impl Ray {
    /// Keeps workers placed while there is work. Ends if new workers would make no difference, and after a stop when
    /// the cluster has ended the workers.
    pub(crate) async fn keep(&self) -> Result<(), PlaceError> {
        self.running.placing.begin(self.placing.cluster.workers());
        // Read first: `place` then notices if the job is moved to another executor after this.
        let id = self.job.id;
        let generation = self.ledger.read(move |db| placements::generation(db, id)).await?;
        let mut now = match self.ledger.read(move |db| placements::find(db, id)).await? {
            Some(row) => Generation { row, unsent: None },
            None if self.wait_for_work().await? => match self.place_generation(0, generation).await? {
                Some(now) => now,
                None => return self.leave_to_another().await,
            },
            None => return Ok(()),
        };
        let begun = self.ledger.job(self.job.id).await?.and_then(|job| job.started_at);
        let mut stopping: Option<Instant> = None;
        loop {
            let stop = self.running.stop.is_cancelled();
            if self.drain.is_cancelled() || self.running.is_moved() {
                return Ok(());
            }
            if stop {
                stopping.get_or_insert_with(Instant::now);
            }
            let phase = match (stop, &now.unsent) {
                (true, _) => JobPhase::Stopping,
                (false, _) if self.ledger.read(move |db| leases::is_complete(db, id)).await? => JobPhase::NoWorkLeft,
                (false, Some(_)) => JobPhase::Unsent,
                (false, None) => JobPhase::Open,
            };
            let reply = self.placing.cluster.status(&now.row.submission).await;
            self.running.placing.record_reply(reply.as_ref());
            let mut pause = POLL;
            match decide(phase, reply.as_ref().map_or(PlacementStatus::Unknown, PlacementStatus::from)) {
                Action::Wait => {}
                Action::Confirm => self.confirm(&mut now).await?,
                Action::Submit => self.submit(&mut now).await?,
                Action::PlaceAgain => {
                    let reason = end_reason(reply.as_ref());
                    let fruitless = self.count_fruitless(&now.row, reply.as_ref(), &reason).await?;
                    self.report_end(&now.row, reply.as_ref(), &reason).await?;
                    now = match self.place_generation(fruitless, now.row.generation).await? {
                        Some(now) => now,
                        None => return self.leave_to_another().await,
                    };
                    pause = (POLL * 2_u32.saturating_pow(fruitless.min(8))).min(MAX_PAUSE);
                }
                Action::Fail => {
                    self.log_output(reply.as_ref()).await?;
                    return Err(PlaceError::StartFailed(end_reason(reply.as_ref())));
                }
                Action::Refuse => {
                    self.report_end(&now.row, reply.as_ref(), &end_reason(reply.as_ref())).await?;
                    return Err(PlaceError::Refused(self.running.remote_workers.refusal()));
                }
                Action::Stop => return Err(PlaceError::Stopped),
                Action::End => {
                    if stopping.is_some_and(|since| since.elapsed() >= STOP_GRACE) {
                        self.end(&now.row).await;
                    }
                }
                Action::Done => {
                    // No worker is left that could give back its leases.
                    self.ledger.write(move |tx| leases::recall(tx, id)).await?;
                    return Ok(());
                }
            }
            self.check_timeout(begun)?;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.running.stop.cancelled(), if !stop => {}
            }
        }
    }

    /// Waits until there is work, since a dry run or a job without new images needs no workers. Returns `false` after a
    /// stop.
    async fn wait_for_work(&self) -> Result<bool, PlaceError> {
        loop {
            // Subscribed before checking, so that a page that is planned in between is not missed.
            let planned = self.running.work_changed.notified();
            let id = self.job.id;
            if self.ledger.read(move |db| leases::has_work(db, id)).await? {
                return Ok(true);
            }
            tokio::select! {
                () = planned => {}
                () = tokio::time::sleep(POLL) => {}
                () = self.running.stop.cancelled() => return Ok(false),
            }
        }
    }

    /// Records the generation that follows the generation `after`, and submits it. Returns `None` if the job was moved
    /// to another executor meanwhile.
    async fn place_generation(&self, fruitless: u32, after: u32) -> Result<Option<Generation>, PlaceError> {
        let token = token::fresh().ok_or(PlaceError::NoToken)?;
        let (id, digest) = (self.job.id, token::digest(token.reveal()));
        let placed = self.ledger.write(move |tx| placements::place(tx, id, &digest, fruitless, after)).await?;
        let Some(row) = placed else { return Ok(None) };
        self.running.placing.begin(self.placing.cluster.workers());
        let mut now = Generation { row, unsent: Some(token) };
        self.submit(&mut now).await?;
        Ok(Some(now))
    }

    /// Ends this run of a job that was moved to another executor. The next run uses that executor.
    async fn leave_to_another(&self) -> Result<(), PlaceError> {
        tracing::info!(job.id = %self.job.id, "the job was moved to another executor; no workers are placed");
        if let Some(job) = self.ledger.job(self.job.id).await? {
            self.running.move_to_executor(job.spec.executor);
        }
        Ok(())
    }

    /// Submits a placement. Ignores an error that may go away: the next status shows whether the placement arrived.
    async fn submit(&self, now: &mut Generation) -> Result<(), PlaceError> {
        let Some(token) = now.unsent.clone() else { return Ok(()) };
        let placement = Placement { submission: now.row.submission.clone(), job: self.job.id, token };
        match self.placing.cluster.submit(&placement).await {
            Ok(()) => {
                self.confirm(now).await?;
                let (submission, wanted) = (&placement.submission, self.placing.cluster.workers());
                tracing::info!(job.id = %self.job.id, submission, wanted, "the cluster was asked for workers");
                let line = format!("asks Ray for {wanted} workers, as {submission}");
                Ok(self.ledger.log(self.job.id, line).await?)
            }
            Err(error) => {
                tracing::warn!(
                    job.id = %self.job.id, %error, detail = error.detail(),
                    "the cluster did not accept the placement"
                );
                self.running.placing.record_reply(Err(&error));
                if error.is_temporary() { Ok(()) } else { Err(PlaceError::Cluster(error)) }
            }
        }
    }

    async fn confirm(&self, now: &mut Generation) -> Result<(), PlaceError> {
        now.unsent = None;
        now.row.submitted = true;
        let id = self.job.id;
        Ok(self.ledger.write(move |tx| placements::set_submitted(tx, id)).await?)
    }

    /// Returns the number of consecutive generations without progress, including the one that has just ended.
    async fn count_fruitless(
        &self,
        row: &PlacementRow,
        reply: ClusterReply<'_>,
        reason: &str,
    ) -> Result<u32, PlaceError> {
        // A generation that the cluster never had does not count.
        if !row.submitted {
            return Ok(row.fruitless);
        }
        let counts = self.ledger.job(self.job.id).await?.map(|job| job.counts).unwrap_or_default();
        let times = if processed(&counts) > row.processed { 0 } else { row.fruitless + 1 };
        if times > self.placing.max_retries {
            self.report_end(row, reply, reason).await?;
            return Err(PlaceError::NoProgress { times, reason: reason.to_owned() });
        }
        Ok(times)
    }

    /// Writes into the job's log how a generation ended.
    async fn report_end(&self, row: &PlacementRow, reply: ClusterReply<'_>, reason: &str) -> Result<(), PlaceError> {
        tracing::warn!(
            job.id = %self.job.id, submission = row.submission, reason,
            "the job's workers ended on the cluster"
        );
        self.log_output(reply).await?;
        Ok(self.ledger.log(self.job.id, format!("Ray ended {}: {reason}", row.submission)).await?)
    }

    /// Writes the last lines of a generation that failed into the job's log. Earlier lines were sent by the generation
    /// itself.
    async fn log_output(&self, reply: ClusterReply<'_>) -> Result<(), PlaceError> {
        let Ok(Placed::Failed { lines, .. }) = reply else { return Ok(()) };
        let lines: Vec<_> = lines.iter().map(|line| format!("[ray] {}", plain(line))).collect();
        let id = self.job.id;
        Ok(self.ledger.write(move |tx| logs::add(tx, id, &lines)).await?)
    }

    async fn end(&self, row: &PlacementRow) {
        if let Err(error) = self.placing.cluster.stop(&row.submission).await {
            tracing::warn!(
                job.id = %self.job.id, %error, detail = error.detail(),
                "the cluster could not be asked to stop the workers"
            );
        }
    }

    fn check_timeout(&self, begun: Option<Timestamp>) -> Result<(), PlaceError> {
        let (Some(timeout), Some(begun)) = (self.placing.timeout, begun) else { return Ok(()) };
        let over = Timestamp::now().seconds_since(begun) > timeout.as_secs_f64();
        if over && !self.running.stop.is_cancelled() { Err(PlaceError::TimedOut(timeout.as_secs())) } else { Ok(()) }
    }
}

/// Returns a sentence that says how a placement ended.
fn end_reason(reply: ClusterReply<'_>) -> String {
    match reply {
        Ok(Placed::Pending(message) | Placed::Running(message) | Placed::Failed { message, .. }) => message.clone(),
        Ok(Placed::Succeeded) => "it ended while images were left".to_owned(),
        Ok(Placed::Stopped) => "it was stopped".to_owned(),
        Ok(Placed::Gone) => "Ray does not know it any more; its head node may have been restarted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
#[path = "ray_tests.rs"]
mod tests;

//! Workers that a cluster places: the service's side of it, next to [`super::LeaseWatch`], which watches over their leases.
//! One generation of workers after the other, each with a token and an id of its own, noted before the cluster is asked.

mod decide;
mod error;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
mod view;
mod wind_up;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{JobRecord, Secret, Timestamp};
use crate::jobs::cluster::{Cluster, ClusterError, Placed, Placement};
use crate::jobs::ledger::{Ledger, PlacementRow};
use crate::jobs::progress::{RunningJob, dealt_with};
use crate::jobs::token;

use decide::{Action, JobStance, PlacementStatus, decide};
pub(in crate::jobs) use error::PlaceError;
pub(in crate::jobs) use view::PlacingView;
pub(in crate::jobs) use wind_up::WindUp;

/// How often the cluster is looked at.
const POLL: Duration = Duration::from_secs(2);
/// The longest pause between generations that come to nothing.
const LONGEST: Duration = Duration::from_secs(30);
/// Workers that were told to stop leave by themselves; the cluster is asked to end them after so long.
const BACKSTOP: Duration = Duration::from_secs(5);

/// A cluster, and how far a job goes with it.
#[derive(Clone, Debug)]
pub struct Placing {
    /// Who places.
    pub cluster: Arc<dyn Cluster>,
    /// Generations after the first that may come to their end without any progress.
    pub most_retries: u32,
    /// A job that takes longer fails.
    pub timeout: Option<Duration>,
}

/// Keeps workers placed for one job.
pub(in crate::jobs) struct Ray {
    pub(in crate::jobs) placing: Placing,
    pub(in crate::jobs) ledger: Ledger,
    pub(in crate::jobs) job: JobRecord,
    pub(in crate::jobs) live: Arc<RunningJob>,
    /// Cancelled when the process ends: the workers go on, and are found again at the next start.
    pub(in crate::jobs) drain: CancellationToken,
}

/// The present generation.
struct Generation {
    row: PlacementRow,
    /// Until the cluster is known to have it: it is sent again with the same token.
    unsent: Option<Secret>,
}

impl Ray {
    /// Keeps workers placed for as long as there is work: comes to an end where that makes no sense any more, and after a stop
    /// where the cluster has ended them.
    pub(in crate::jobs) async fn keep(&self) -> Result<(), PlaceError> {
        self.live.placing.begin(self.placing.cluster.workers());
        // Read first: whoever gives the job to another executor after this is noticed when a generation is placed.
        let generation = self.ledger.generation(self.job.id).await?;
        let mut now = match self.ledger.placement(self.job.id).await? {
            Some(row) => Generation { row, unsent: None },
            None if self.there_is_work().await? => match self.anew(0, generation).await? {
                Some(now) => now,
                None => return self.leave_to_another().await,
            },
            None => return Ok(()),
        };
        let begun = self.ledger.job(self.job.id).await?.and_then(|job| job.started_at);
        let mut stopping: Option<Instant> = None;
        loop {
            let stop = self.live.stop.is_cancelled();
            if self.drain.is_cancelled() || self.live.goes_elsewhere() {
                return Ok(());
            }
            if stop {
                stopping.get_or_insert_with(Instant::now);
            }
            let ours = match (stop, &now.unsent) {
                (true, _) => JobStance::Stopping,
                (false, _) if self.ledger.is_worked_off(self.job.id).await? => JobStance::Over,
                (false, Some(_)) => JobStance::Unsent,
                (false, None) => JobStance::Open,
            };
            let look = self.placing.cluster.look(&now.row.submission).await;
            self.live.placing.note(look.as_ref());
            let mut pause = POLL;
            match decide(ours, look.as_ref().map_or(PlacementStatus::Hidden, PlacementStatus::from)) {
                Action::Wait => {}
                Action::Confirm => self.confirm(&mut now).await?,
                Action::Submit => self.submit(&mut now).await?,
                Action::Again => {
                    let said = words(look.as_ref());
                    let fruitless = self.fruitless(&now.row, &said).await?;
                    self.report(&now.row, &said).await?;
                    now = match self.anew(fruitless, now.row.generation).await? {
                        Some(now) => now,
                        None => return self.leave_to_another().await,
                    };
                    pause = (POLL * 2_u32.saturating_pow(fruitless.min(8))).min(LONGEST);
                }
                Action::Fail => {
                    self.take_logs(&now.row).await?;
                    return Err(PlaceError::Unfit(words(look.as_ref())));
                }
                Action::Refuse => {
                    self.report(&now.row, &words(look.as_ref())).await?;
                    return Err(PlaceError::Refused(self.live.remote_workers.refusal()));
                }
                Action::Stop => return Err(PlaceError::Stopped),
                Action::End => {
                    if stopping.is_some_and(|since| since.elapsed() >= BACKSTOP) {
                        self.end(&now.row).await;
                    }
                }
                Action::WriteLease => {
                    // Nobody is left who could give anything back.
                    self.ledger.recall(self.job.id).await?;
                    return Ok(());
                }
            }
            self.within_time(begun)?;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.live.stop.cancelled(), if !stop => {}
            }
        }
    }

    /// Waits for something to do: a job that finds nothing new, and a dry run, ask no cluster. `false` after a stop.
    async fn there_is_work(&self) -> Result<bool, PlaceError> {
        loop {
            // Listening begins before looking: a page planned in between is not missed.
            let planned = self.live.more.notified();
            if self.ledger.has_work(self.job.id).await? {
                return Ok(true);
            }
            tokio::select! {
                () = planned => {}
                () = tokio::time::sleep(POLL) => {}
                () = self.live.stop.cancelled() => return Ok(false),
            }
        }
    }

    /// Notes a new generation after that one and sends it. `None` if the job was given to another executor meanwhile.
    async fn anew(&self, fruitless: u32, after: u32) -> Result<Option<Generation>, PlaceError> {
        let token = token::fresh().ok_or(PlaceError::NoToken)?;
        let placed = self.ledger.place(self.job.id, token::digest(token.reveal()), fruitless, after).await?;
        let Some(row) = placed else { return Ok(None) };
        self.live.placing.begin(self.placing.cluster.workers());
        let mut now = Generation { row, unsent: Some(token) };
        self.submit(&mut now).await?;
        Ok(Some(now))
    }

    /// Ends this run of a job that was given to another executor: the next run begins with that.
    async fn leave_to_another(&self) -> Result<(), PlaceError> {
        tracing::info!(job.id = %self.job.id, "the job was given to another executor; no workers are placed");
        if let Some(job) = self.ledger.job(self.job.id).await? {
            self.live.go_to(job.spec.executor);
        }
        Ok(())
    }

    /// Sends a placement. What may pass is waited for: the next look says whether it arrived.
    async fn submit(&self, now: &mut Generation) -> Result<(), PlaceError> {
        let Some(token) = now.unsent.clone() else { return Ok(()) };
        let placement = Placement { submission: now.row.submission.clone(), job: self.job.id, token };
        match self.placing.cluster.submit(&placement).await {
            Ok(()) => {
                self.confirm(now).await?;
                let (submission, wanted) = (&placement.submission, self.placing.cluster.workers());
                tracing::info!(job.id = %self.job.id, submission, wanted, "workers are asked of the cluster");
                let line = format!("asks Ray for {wanted} workers, as {submission}");
                Ok(self.ledger.log(self.job.id, line).await?)
            }
            Err(error) => {
                tracing::warn!(job.id = %self.job.id, %error, detail = error.detail(), "the cluster takes no placement");
                self.live.placing.note(Err(&error));
                if error.may_pass() { Ok(()) } else { Err(PlaceError::Cluster(error)) }
            }
        }
    }

    async fn confirm(&self, now: &mut Generation) -> Result<(), PlaceError> {
        now.unsent = None;
        now.row.submitted = true;
        Ok(self.ledger.placed(self.job.id).await?)
    }

    /// Generations in a row without progress, the one that ended now included.
    async fn fruitless(&self, row: &PlacementRow, said: &str) -> Result<u32, PlaceError> {
        // One that the cluster never had is none.
        if !row.submitted {
            return Ok(row.fruitless);
        }
        let counts = self.ledger.job(self.job.id).await?.map(|job| job.counts).unwrap_or_default();
        let times = if dealt_with(&counts) > row.dealt_with { 0 } else { row.fruitless + 1 };
        if times > self.placing.most_retries {
            self.report(row, said).await?;
            return Err(PlaceError::Fruitless { times, said: said.to_owned() });
        }
        Ok(times)
    }

    /// Says in the job's log how a generation ended.
    async fn report(&self, row: &PlacementRow, said: &str) -> Result<(), PlaceError> {
        tracing::warn!(job.id = %self.job.id, submission = row.submission, said, "the cluster ended the job's workers");
        self.take_logs(row).await?;
        Ok(self.ledger.log(self.job.id, format!("Ray ended {}: {said}", row.submission)).await?)
    }

    async fn take_logs(&self, row: &PlacementRow) -> Result<(), PlaceError> {
        Ok(wind_up::take_logs(&self.placing, &self.ledger, self.job.id, &row.submission).await?)
    }

    async fn end(&self, row: &PlacementRow) {
        if let Err(error) = self.placing.cluster.stop(&row.submission).await {
            tracing::warn!(job.id = %self.job.id, %error, detail = error.detail(), "the cluster was not asked to stop");
        }
    }

    fn within_time(&self, begun: Option<Timestamp>) -> Result<(), PlaceError> {
        let (Some(most), Some(begun)) = (self.placing.timeout, begun) else { return Ok(()) };
        let over = Timestamp::now().seconds_since(begun) > most.as_secs_f64();
        if over && !self.live.stop.is_cancelled() { Err(PlaceError::TimedOut(most.as_secs())) } else { Ok(()) }
    }
}

/// How a placement ended, in words.
fn words(look: Result<&Placed, &ClusterError>) -> String {
    match look {
        Ok(Placed::Pending(said) | Placed::Running(said) | Placed::Failed(_, said)) => said.clone(),
        Ok(Placed::Succeeded) => "it ended while images were left".to_owned(),
        Ok(Placed::Stopped) => "it was stopped".to_owned(),
        Ok(Placed::Gone) => "Ray does not know it any more; its head may have been started again".to_owned(),
        Err(error) => error.to_string(),
    }
}

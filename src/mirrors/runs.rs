//! The runs of mirrors: jobs that start at the times of a schedule. A mirror has one run at a time. Times that pass while
//! a run has not ended, or while the service is not running, are one run.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;

use crate::domain::{JobId, JobRecord, Mirror, MirrorState, Timestamp};
use crate::jobs::JobsError;
use crate::ledger::{LedgerError, mirrors};
use crate::mirrors::schedule::Schedule;
use crate::mirrors::submission::of_mirror;
use crate::mirrors::{MirrorService, MirrorsError};

/// The longest pause between two checks of the schedules. The clock may be changed meanwhile.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// The pause after a failure, and while a run that is due waits for the end of another.
const RETRY_DELAY: Duration = Duration::from_secs(2);

impl MirrorService {
    /// Starts the runs that are due, until the service is asked to stop.
    pub(super) async fn keep_schedules(self: Arc<Self>) {
        let keep = async {
            loop {
                let pause = self.start_due_runs(Timestamp::now()).await.unwrap_or_else(|error| {
                    tracing::error!(%error, "the mirrors could not be read from the ledger");
                    RETRY_DELAY
                });
                // Returns also if the time limit has passed.
                drop(tokio::time::timeout(pause, self.wake_runs.notified()).await);
            }
        };
        self.jobs.0.drain.run_until_cancelled(keep).await;
    }

    /// Starts the runs that are due at `now`. Returns the pause until the next check.
    async fn start_due_runs(&self, now: Timestamp) -> Result<Duration, LedgerError> {
        let all = self.ledger.read(|db| {
            let with_state = |mirror: Mirror| Ok((mirrors::is_running(db, &mirror.name)?, mirror));
            mirrors::list(db)?.into_iter().map(with_state).collect::<rusqlite::Result<Vec<_>>>()
        });
        let mut pause = MAX_PAUSE;
        for (is_running, mirror) in all.await? {
            pause = pause.min(match decide(&mirror, is_running, now) {
                Decision::Nothing => MAX_PAUSE,
                Decision::WaitUntil(next) => until(now, next),
                Decision::WaitForRun => RETRY_DELAY,
                Decision::Start => self.start_due_run(&mirror, now).await?,
            });
        }
        Ok(pause)
    }

    /// Starts a run that is due. Stops the mirror if it cannot have runs until something is changed.
    async fn start_due_run(&self, mirror: &Mirror, now: Timestamp) -> Result<Duration, LedgerError> {
        let name = mirror.name.clone();
        match self.start_run(mirror, now).await {
            Ok(job) => {
                tracing::info!(mirror = %name, job.id = %job.id, "the run of a mirror was submitted");
                Ok(RETRY_DELAY)
            }
            Err(MirrorsError::Ledger(error) | MirrorsError::Jobs(JobsError::Ledger(error))) => Err(error),
            Err(MirrorsError::Jobs(error)) if is_permanent(&error) => {
                tracing::error!(mirror = %name, %error, "the mirror is stopped: its run was refused");
                let reason = format!("the run was refused: {error}");
                self.ledger.write(move |tx| mirrors::stop(tx, &name, &reason)).await?;
                Ok(MAX_PAUSE)
            }
            Err(error) => {
                tracing::warn!(mirror = %name, %error, "the run of a mirror is tried again later");
                Ok(RETRY_DELAY)
            }
        }
    }

    /// Submits a run. The ledger records it together with the time of the next one.
    ///
    /// # Errors
    /// [`MirrorsError::Running`] if a run has not ended; the errors of submissions.
    pub(super) async fn start_run(&self, mirror: &Mirror, now: Timestamp) -> Result<JobRecord, MirrorsError> {
        let spec = self.jobs.check(of_mirror(mirror))?;
        let (name, next_run) = (mirror.name.clone(), next_run(mirror, now));
        let begin = move |tx: &Transaction<'_>, _: JobId| {
            let is_free = !mirrors::is_running(tx, &name)?;
            if is_free {
                mirrors::begin_run(tx, &name, next_run)?;
            }
            Ok(is_free)
        };
        if let Some(job) = self.jobs.accept_if(spec, begin).await? {
            return Ok(job);
        }
        let name = mirror.name.clone();
        let running = self.ledger.read(move |db| mirrors::last_run(db, &name)).await?;
        let running = running.ok_or_else(|| MirrorsError::Unknown(mirror.name.to_string()))?;
        Err(MirrorsError::Running(mirror.name.clone(), running.id))
    }
}

/// What to do with a mirror now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// It has no runs by itself.
    Nothing,
    /// Its next run is due at this time.
    WaitUntil(Timestamp),
    /// A run is due, and the one before has not ended.
    WaitForRun,
    /// Start a run.
    Start,
}

fn decide(mirror: &Mirror, is_running: bool, now: Timestamp) -> Decision {
    if mirror.state != MirrorState::Active {
        return Decision::Nothing;
    }
    // If the clock was wrong when the time was recorded, the schedule has an earlier one.
    let next = [mirror.next_run, next_run(mirror, now)].into_iter().flatten().min();
    let is_due = mirror.list_soon || next.is_some_and(|next| next <= now);
    match next {
        _ if is_due && is_running => Decision::WaitForRun,
        _ if is_due => Decision::Start,
        Some(next) => Decision::WaitUntil(next),
        None => Decision::Nothing,
    }
}

/// Returns when the first scheduled run of a mirror after `now` is due.
fn next_run(mirror: &Mirror, now: Timestamp) -> Option<Timestamp> {
    let expression = mirror.spec.schedule.as_ref()?;
    Schedule::parse(expression, &mirror.spec.timezone).ok()?.next_run(&mirror.name, now)
}

/// Returns the pause until `next`, at most [`MAX_PAUSE`].
fn until(now: Timestamp, next: Timestamp) -> Duration {
    Duration::try_from_secs_f64(next.seconds_since(now)).unwrap_or_default().min(MAX_PAUSE)
}

/// Whether a run is refused until the mirror, the settings or the collection are changed.
fn is_permanent(error: &JobsError) -> bool {
    match error {
        JobsError::Collection(_)
        | JobsError::BucketNotAllowed(_)
        | JobsError::MetadataKey(_)
        | JobsError::Invalid(..)
        | JobsError::NoCluster
        | JobsError::Space(_)
        | JobsError::SpaceDiffers { .. } => true,
        JobsError::QueueFull
        | JobsError::Draining
        | JobsError::Cluster(_)
        | JobsError::Index(_)
        | JobsError::Ledger(_)
        | JobsError::CollectionBusy(_)
        | JobsError::DuplicatesBusy
        | JobsError::Conflict(..)
        | JobsError::Model(_)
        // These are not replies to submissions.
        | JobsError::WorkerToken
        | JobsError::NoToken
        | JobsError::JobEnded(_)
        | JobsError::NotJoined(_)
        | JobsError::WorkerRefused(_)
        | JobsError::WorkerName(_)
        | JobsError::TooManyWorkers(_)
        | JobsError::NotRunning
        | JobsError::Unknown(_)
        | JobsError::AlreadyFinal(_)
        | JobsError::NotFinal(_)
        | JobsError::NothingFailed { .. }
        | JobsError::NoSpace(_)
        | JobsError::Busy(_) => false,
    }
}

#[cfg(test)]
#[path = "runs_tests.rs"]
mod tests;

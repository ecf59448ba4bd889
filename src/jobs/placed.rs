//! Jobs whose workers are elsewhere: their leases are watched over, on a cluster they are placed, and the status tells of them.

use std::sync::Arc;
use std::time::Duration;

use super::JobService;
use super::cluster::{ClusterError, ClusterVersion};
use super::error::JobsError;
use super::pools::{LeaseWatch, PlaceError, Ray, WindUp};
use super::progress::RunningJob;
use super::remote_workers::{WORKERS, WorkerView};
use super::service::Jobs;
use super::trouble::JobTrouble;
use crate::domain::{Executor, JobId, JobRecord};
use crate::resilience::Waiting;
use crate::sqlite::SqliteError;

/// How long whoever asks after the cluster waits for it.
const ASKED: Duration = Duration::from_secs(2);

impl Jobs {
    /// The cluster that places workers, if there is one: what it is, or why it cannot be used.
    pub async fn cluster(&self) -> Option<Result<ClusterVersion, ClusterError>> {
        let cluster = &self.0.placing.as_ref()?.cluster;
        let late = |_| Err(ClusterError::TimedOut(format!("nothing came within {} s", ASKED.as_secs())));
        Some(tokio::time::timeout(ASKED, cluster.check()).await.unwrap_or_else(late))
    }
}

impl JobService {
    /// A cluster that is not there is told of at the door; one that goes away later is waited for.
    pub(super) async fn check_executor(&self, executor: Executor) -> Result<(), JobsError> {
        match executor {
            Executor::Local | Executor::Workers => Ok(()),
            Executor::Ray => {
                let placing = self.placing.as_ref().ok_or(JobsError::NoCluster)?;
                let version = placing.cluster.check().await?;
                if let Some(warning) = version.warning {
                    tracing::warn!(cluster = version.name, warning, "the cluster should be brought up to date");
                }
                Ok(())
            }
        }
    }

    /// Watches over the workers of a job until nothing is left, or they are to be waited for no more.
    pub(super) async fn watch_over(&self, job: &JobRecord, live: &Arc<RunningJob>) -> Result<(), JobTrouble> {
        let elsewhere = LeaseWatch {
            ledger: self.ledger.clone(),
            job: job.clone(),
            live: live.clone(),
            clock: self.clock,
            lease: self.settings.lease(),
            drain: self.drain.clone(),
        };
        let watched = async { elsewhere.watch().await.map_err(JobTrouble::Lease) };
        match job.spec.executor {
            Executor::Local | Executor::Workers => watched.await,
            // Whichever ends first: the work, or the workers for good.
            Executor::Ray => tokio::select! {
                watched = watched => watched,
                kept = self.keep_placed(job, live) => kept,
            },
        }
    }

    async fn keep_placed(&self, job: &JobRecord, live: &Arc<RunningJob>) -> Result<(), JobTrouble> {
        let placing = self.placing.clone().ok_or(PlaceError::NoCluster)?;
        let (ledger, drain) = (self.ledger.clone(), self.drain.clone());
        let ray = Ray { placing, ledger, job: job.clone(), live: live.clone(), drain };
        Ok(ray.keep().await?)
    }

    /// Sees to it that a cluster ends workers that are needed no more.
    pub(super) fn wind_up(&self, job: JobId, submission: String, grace: Duration) {
        let Some(placing) = self.placing.clone() else { return };
        let (ledger, drain) = (self.ledger.clone(), self.drain.clone());
        self.tasks.spawn(WindUp { placing, ledger, job, submission, grace, drain }.run());
    }

    /// The workers of a job at work.
    pub(super) async fn workers(&self, job: &JobRecord, live: &RunningJob) -> Result<Vec<WorkerView>, SqliteError> {
        match job.spec.executor {
            Executor::Local => Ok(Vec::new()),
            Executor::Workers | Executor::Ray => Ok(live.remote_workers.view(&self.ledger.held(job.id).await?)),
        }
    }

    /// What a job waits for that its workers wait for, or the workers themselves.
    pub(super) fn waits_for_workers(&self, job: &JobRecord, live: &RunningJob) -> Option<Waiting> {
        let waiting = || live.remote_workers.waiting_on(2 * self.settings.lease());
        match job.spec.executor {
            Executor::Local => None,
            Executor::Workers => waiting(),
            Executor::Ray => waiting().map(|waiting| match waiting.dependency.as_str() {
                WORKERS => live.placing.waiting(waiting, live.remote_workers.refusal()),
                _ => waiting,
            }),
        }
    }
}

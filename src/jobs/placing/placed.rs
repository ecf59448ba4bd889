//! Jobs with remote workers: watches their leases, places them on a cluster, and reports them in the job's status.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Executor, JobId, JobRecord};
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::placing::cluster::{ClusterError, ClusterVersion};
use crate::jobs::placing::end_placement::EndPlacement;
use crate::jobs::placing::error::PlaceError;
use crate::jobs::placing::ray::Ray;
use crate::jobs::remote::lease_watch::LeaseWatch;
use crate::jobs::remote::remote_workers::{WORKERS, WorkerView};
use crate::jobs::run::progress::RunningJob;
use crate::jobs::service::Jobs;
use crate::ledger::{LedgerError, leases};
use crate::resilience::Waiting;

/// How long a status request waits for the cluster.
const CLUSTER_CHECK_TIMEOUT: Duration = Duration::from_secs(2);

impl Jobs {
    /// Returns the version of the cluster that places workers, or why it cannot be used; `None` if there is no cluster.
    pub async fn cluster(&self) -> Option<Result<ClusterVersion, ClusterError>> {
        let cluster = &self.0.placing.as_ref()?.cluster;
        let timed_out =
            |_| Err(ClusterError::TimedOut(format!("no reply within {} s", CLUSTER_CHECK_TIMEOUT.as_secs())));
        Some(tokio::time::timeout(CLUSTER_CHECK_TIMEOUT, cluster.check()).await.unwrap_or_else(timed_out))
    }
}

impl JobService {
    /// Checks that the settings name the cluster of an executor. Makes no network call.
    pub(crate) fn check_cluster_is_set(&self, executor: Executor) -> Result<(), JobsError> {
        match executor {
            Executor::Ray if self.placing.is_none() => Err(JobsError::NoCluster),
            Executor::Local | Executor::Workers | Executor::Ray => Ok(()),
        }
    }

    /// Checks that an executor can be used, so that a submission is refused if its cluster is not available. A running
    /// job waits for its cluster instead.
    pub(crate) async fn check_executor(&self, executor: Executor) -> Result<(), JobsError> {
        match executor {
            Executor::Local | Executor::Workers => Ok(()),
            Executor::Ray => {
                let placing = self.placing.as_ref().ok_or(JobsError::NoCluster)?;
                let version = placing.cluster.check().await?;
                if let Some(warning) = version.warning {
                    tracing::warn!(cluster = version.name, warning, "the cluster should be updated");
                }
                Ok(())
            }
        }
    }

    /// Watches the remote workers of a job until no work is left or its workers have ended for good.
    pub(crate) async fn watch_over(&self, job: &JobRecord, running: &Arc<RunningJob>) -> Result<(), JobFailure> {
        let lease_watch = LeaseWatch {
            ledger: self.ledger.clone(),
            job: job.clone(),
            running: running.clone(),
            clock: self.clock,
            lease: self.settings.glimpse_lease_seconds.duration(),
            drain: self.drain.clone(),
        };
        let watched = async { lease_watch.watch().await.map_err(JobFailure::Lease) };
        match job.spec.executor {
            Executor::Local | Executor::Workers => watched.await,
            // Ends with the first of the two: no work is left, or the workers have ended for good.
            Executor::Ray => tokio::select! {
                watched = watched => watched,
                kept = self.keep_placed(job, running) => kept,
            },
        }
    }

    async fn keep_placed(&self, job: &JobRecord, running: &Arc<RunningJob>) -> Result<(), JobFailure> {
        let placing = self.placing.clone().ok_or(PlaceError::NoCluster)?;
        let (ledger, drain) = (self.ledger.clone(), self.drain.clone());
        let ray = Ray { placing, ledger, job: job.clone(), running: running.clone(), drain };
        Ok(ray.keep().await?)
    }

    /// Starts a task that ends workers on the cluster that are not needed any more.
    pub(crate) fn end_placement(&self, job: JobId, submission: String, grace: Duration) {
        let Some(placing) = self.placing.clone() else { return };
        let drain = self.drain.clone();
        self.tasks.spawn(EndPlacement { placing, job, submission, grace, drain }.run());
    }

    /// Returns the remote workers of a running job.
    pub(crate) async fn workers(&self, job: &JobRecord, running: &RunningJob) -> Result<Vec<WorkerView>, LedgerError> {
        match job.spec.executor {
            Executor::Local => Ok(Vec::new()),
            Executor::Workers | Executor::Ray => {
                let id = job.id;
                Ok(running.remote_workers.view(&self.ledger.read(move |db| leases::held(db, id)).await?))
            }
        }
    }

    /// Returns what a job with remote workers waits for: a dependency of its workers, or the workers themselves.
    pub(crate) fn waits_for_workers(&self, job: &JobRecord, running: &RunningJob) -> Option<Waiting> {
        let waiting = || running.remote_workers.waiting_on(2 * self.settings.glimpse_lease_seconds.duration());
        match job.spec.executor {
            Executor::Local => None,
            Executor::Workers => waiting(),
            Executor::Ray => waiting().map(|waiting| match waiting.dependency.as_str() {
                WORKERS => running.placing.waiting(waiting, running.remote_workers.refusal()),
                _ => waiting,
            }),
        }
    }
}

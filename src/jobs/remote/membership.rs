//! Requests with which a worker joins a job, leaves it, or adds to its log.

use std::time::Duration;

use crate::jobs::error::JobsError;
use crate::jobs::remote::protocol::wire::{
    JoinReply, JoinRequest, Joined, ModelAnswer, PROTOCOL, VERSION, plain, plain_reason,
};
use crate::jobs::remote::protocol::worker_name::WorkerName;
use crate::jobs::remote::remote_workers::MAX_WORKERS;
use crate::jobs::remote::worker_job::{WorkerJob, millis, record_request};
use crate::jobs::service::tally;
use crate::ledger::leases;
use crate::ledger::logs;

/// Maximum characters of a node's name.
const MAX_NODE_CHARS: usize = 64;
/// The delay after which a worker sends its request again if the job is not running.
pub(super) const NOT_RUNNING_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The start of a log line about a refused worker.
const REFUSAL_PREFIX: &str = "a worker was refused: ";
/// Maximum number of such lines in the log of a job.
const MAX_REFUSALS: u32 = 20;

/// The exit code of a worker whose settings do not fit the job, so that restarting it does not help. `EX_CONFIG` of
/// sysexits.h.
const EX_CONFIG: u8 = 78;

impl WorkerJob {
    /// Lets a worker join the job. If the worker is refused, the job's log and its `waiting_on` have the reason.
    ///
    /// # Errors
    /// [`JobsError`] if the worker has another version, space, bucket or stores, if its name is not valid, if the job has the
    /// maximum number of workers, or if it has ended.
    pub async fn join(&self, worker: &str, request: &JoinRequest) -> Result<JoinReply, JobsError> {
        self.check_not_ended()?;
        let joined = match WorkerName::parse(worker) {
            Ok(worker) => self.admit_worker(worker.as_str(), request).await,
            Err(invalid) => Err(invalid.into()),
        };
        if let Err(
            refusal @ (JobsError::WorkerName(_)
            | JobsError::WorkerRefused(_)
            | JobsError::Space(_)
            | JobsError::TooManyWorkers(_)),
        ) = &joined
        {
            self.record_refusal(&refusal.to_string()).await?;
        }
        joined
    }

    async fn record_refusal(&self, reason: &str) -> Result<(), JobsError> {
        let reason = plain_reason(reason);
        tracing::warn!(job.id = %self.job.id, reason, "a worker was refused");
        if let Some(running) = &self.running {
            running.remote_workers.refuse(&reason);
        }
        let (id, line) = (self.job.id, format!("{REFUSAL_PREFIX}{reason}"));
        let ledger = &self.jobs.0.ledger;
        Ok(ledger.write(move |tx| logs::add_once(tx, id, REFUSAL_PREFIX, line, MAX_REFUSALS)).await?)
    }

    async fn admit_worker(&self, worker: &str, request: &JoinRequest) -> Result<JoinReply, JobsError> {
        let versions = |version: &str, protocol: u32| format!("version {version} (protocol {protocol})");
        let (service, other) = (versions(VERSION, PROTOCOL), versions(&request.version, request.protocol));
        if service != other {
            return Err(JobsError::WorkerRefused(format!("the worker has {other}, the service has {service}")));
        }
        let stores = self.jobs.0.pipeline.stores().name_set();
        if request.stores != stores {
            let reason =
                format!("the worker writes to {}, the job's stores are {stores} (VECTOR_DB_PROVIDER)", request.stores);
            return Err(JobsError::WorkerRefused(reason));
        }
        let running = self.running.as_ref().filter(|running| !running.stop.is_cancelled());
        let Some((running, space)) = running.and_then(|running| Some((running, running.space.get()?))) else {
            return Ok(JoinReply::Wait { wait_ms: millis(NOT_RUNNING_RETRY_DELAY) });
        };
        if let Err(mismatch) = space.admits(&request.space) {
            let model = self.jobs.0.models.record(&self.job.spec.collection);
            return match &request.model {
                None => Ok(JoinReply::Model { model }),
                Some(ModelAnswer::Used) => Err(mismatch.into()),
                Some(ModelAnswer::Unusable(reason)) => {
                    let reason = plain_reason(reason);
                    let refusal = format!("the worker cannot use the model {model} of the job: {reason}");
                    Err(JobsError::WorkerRefused(refusal))
                }
            };
        }
        match &request.object {
            Some(object) => self.compare_object(object).await?,
            None => {
                if let Some(read) = self.object_to_compare().await {
                    return Ok(JoinReply::Read { read });
                }
            }
        }
        let node = request.node.as_deref().map(|node| plain(node).chars().take(MAX_NODE_CHARS).collect());
        if !running.remote_workers.join(worker, node) {
            return Err(JobsError::TooManyWorkers(MAX_WORKERS));
        }
        Ok(JoinReply::Joined(Box::new(Joined {
            collection: self.job.spec.collection.clone(),
            space: space.as_ref().clone(),
            lease_seconds: self.jobs.0.settings.glimpse_lease_seconds.duration().as_secs(),
            exif: self.jobs.0.pipeline.exif(),
        })))
    }

    /// Records that a worker has ended, and gives back its leases or ends them.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn exit(&self, worker: &WorkerName, rc: i64) -> Result<(), JobsError> {
        let (name, worker, ledger, id) = (worker.clone(), worker.as_str(), &self.jobs.0.ledger, self.job.id);
        // A refused worker ended by itself, so none of its images is a suspect.
        let refused = rc == i64::from(EX_CONFIG);
        let held = if rc == 0 || refused {
            ledger.write(move |tx| leases::give_back(tx, id, name.as_str())).await?
        } else {
            let ended = ledger.write(move |tx| leases::deaths::end_leases_of_dead(tx, id, name.as_str())).await?;
            tally::ended(ended, tally::EXIT_REPORTED).leases
        };
        if let Some(running) = &self.running {
            running.remote_workers.leave(worker);
            running.work_changed.notify_waiters();
        }
        if refused {
            let is_known = self.running.as_ref().is_some_and(|running| running.remote_workers.refusal().is_some());
            let reason = format!(
                "it ended with exit code {EX_CONFIG}: its settings do not fit the job; the worker's log has the details"
            );
            return if is_known { Ok(()) } else { self.record_refusal(&reason).await };
        }
        if rc != 0 && held > 0 {
            let line = format!("worker {worker} died (exit code {rc}); its images go to other workers");
            ledger.log(id, line).await?;
        }
        Ok(())
    }

    /// Ends the job because a worker met a problem that only the operator can fix.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::JobEnded`], [`JobsError::Ledger`]
    pub async fn operator_error(&self, worker: &WorkerName, problem: &str) -> Result<(), JobsError> {
        self.check_not_ended()?;
        let Some(running) = self.at_work() else { return Ok(()) };
        record_request(running, worker.as_str())?;
        let problem = plain(problem);
        self.jobs.0.ledger.log(self.job.id, format!("[{worker}] cannot continue: {problem}")).await?;
        // Only the first problem counts.
        running.operator.set((worker.to_string(), problem)).ok();
        Ok(())
    }

    /// Adds lines to the job's log, each with the worker's name.
    ///
    /// # Errors
    /// [`JobsError::JobEnded`], [`JobsError::Ledger`]
    pub async fn log(&self, worker: &WorkerName, lines: Vec<String>) -> Result<(), JobsError> {
        self.check_not_ended()?;
        let lines: Vec<_> = lines.iter().map(|line| format!("[{worker}] {}", plain(line))).collect();
        let id = self.job.id;
        Ok(self.jobs.0.ledger.write(move |tx| logs::add(tx, id, &lines)).await?)
    }
}

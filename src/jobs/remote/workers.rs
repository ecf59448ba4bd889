//! The requests of remote workers. Each request must have the job's token. No other key gives access to these requests,
//! and this token gives access to nothing else.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::domain::wire::{RecordsReply, RecordsRequest, WireRecord};
use crate::domain::{ImageRecord, JobId, JobRecord, Secret};
use crate::index::IndexError;
use crate::jobs::error::JobsError;
use crate::jobs::pool::broker::LeaseStatus;
use crate::jobs::remote::remote_workers::MAX_WORKERS;
use crate::jobs::remote::token;
use crate::jobs::remote::wire::{
    HeartbeatRequest, JoinReply, JoinRequest, Joined, LeaseReply, LeaseRequest, PROTOCOL, ResultRequest, SummaryReply,
    VERSION, plain, within_bounds,
};
use crate::jobs::remote::worker_name::WorkerName;
use crate::jobs::run::progress::RunningJob;
use crate::jobs::service::Jobs;
use crate::jobs::service::tally;
use crate::ledger::leases::work::{Reported, report};
use crate::ledger::leases::{self, LeaseExtension, Leased, LostLeases};
use crate::ledger::{Held, Report, logs, placements};
use crate::resilience::{Waiting, spawn_owned};
use crate::telemetry::metrics::families;

/// Maximum characters of a node's name.
const MAX_NODE_CHARS: usize = 64;

/// The delay after which a worker asks for work again, after its last request was held without result.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// The delay after which a worker sends its request again if the job is not running.
const NOT_RUNNING_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Maximum time that a request for work is held while there is none. A third of a lease is a second limit.
const MAX_HOLD: Duration = Duration::from_secs(10);
/// How often a held request checks for work, even without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The start of a log line about a refused worker.
const REFUSAL_PREFIX: &str = "a worker was refused: ";
/// Maximum number of such lines in the log of a job.
const MAX_REFUSALS: u32 = 20;
/// Maximum characters of the reason in such a line.
const MAX_REASON_CHARS: usize = 500;

/// The exit code of a worker whose settings do not fit the job, so that restarting it does not help. `EX_CONFIG` of
/// sysexits.h.
const EX_CONFIG: u8 = 78;

/// A job, for a request with its token.
#[derive(Debug)]
pub struct WorkerJob {
    jobs: Jobs,
    job: JobRecord,
    /// `None` while the job is not running.
    live: Option<Arc<RunningJob>>,
}

impl Jobs {
    /// Makes a new worker token for a job. The previous token is not valid any more. The token cannot be read again
    /// later, since only its digest is kept.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]; [`JobsError::NoToken`] if the system gives no random bytes.
    pub async fn new_worker_token(&self, job: JobId) -> Result<Secret, JobsError> {
        let token = token::fresh().ok_or(JobsError::NoToken)?;
        let digest = token::digest(token.reveal());
        self.0.ledger.write(move |tx| placements::set_token(tx, job, &digest)).await?;
        Ok(token)
    }

    /// Checks the token of a worker's request and returns the job.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::WorkerToken`], [`JobsError::Ledger`]
    pub async fn admit(&self, id: &str, token: Option<&str>) -> Result<WorkerJob, JobsError> {
        let job = self.0.known(id).await?;
        let id = job.id;
        let expected = self.0.ledger.read(move |db| placements::token(db, id)).await?.unwrap_or_default();
        let given = token.map(token::digest).unwrap_or_default();
        // Both digests have the same length, or one is empty, so the comparison reveals nothing about the token.
        let same = !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
        if !same {
            return Err(JobsError::WorkerToken);
        }
        let live = self.0.live().get(&job.id).cloned();
        Ok(WorkerJob { jobs: self.clone(), job, live })
    }
}

impl WorkerJob {
    /// Returns the status of the job. The only request that is also answered after the job's end.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn summary(&self) -> Result<SummaryReply, JobsError> {
        let (status, left) = (self.job.state.as_str().to_owned(), self.job.counts.left());
        // Steps after the last image, such as the removal of vanished records, need no workers.
        let over = self.job.state.is_final() && self.live.is_none();
        let terminal = over || self.is_complete().await?;
        Ok(SummaryReply { terminal, status, left })
    }

    /// Lets a worker join the job. If the worker is refused, the job's log and its `waiting_on` have the reason.
    ///
    /// # Errors
    /// [`JobsError`] if the worker has another version, space or stores, if its name is not valid, if the job has the
    /// maximum number of workers, or if it has ended.
    pub async fn join(&self, worker: &str, request: &JoinRequest) -> Result<JoinReply, JobsError> {
        self.check_not_ended()?;
        let joined = match WorkerName::parse(worker) {
            Ok(worker) => self.admit_worker(worker.as_str(), request),
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
        let reason: String = plain(reason).chars().take(MAX_REASON_CHARS).collect();
        tracing::warn!(job.id = %self.job.id, reason, "a worker was refused");
        if let Some(live) = &self.live {
            live.remote_workers.refuse(&reason);
        }
        let (id, line) = (self.job.id, format!("{REFUSAL_PREFIX}{reason}"));
        let ledger = &self.jobs.0.ledger;
        Ok(ledger.write(move |tx| logs::add_once(tx, id, REFUSAL_PREFIX, line, MAX_REFUSALS)).await?)
    }

    fn admit_worker(&self, worker: &str, request: &JoinRequest) -> Result<JoinReply, JobsError> {
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
        let live = self.live.as_ref().filter(|live| !live.stop.is_cancelled());
        let Some((live, space)) = live.and_then(|live| Some((live, live.space.get()?))) else {
            return Ok(JoinReply::Wait { wait_ms: millis(NOT_RUNNING_RETRY_DELAY) });
        };
        space.admits(&request.space)?;
        let node = request.node.as_deref().map(|node| plain(node).chars().take(MAX_NODE_CHARS).collect());
        if !live.remote_workers.join(worker, node) {
            return Err(JobsError::TooManyWorkers(MAX_WORKERS));
        }
        Ok(JoinReply::Joined(Box::new(Joined {
            collection: self.job.spec.collection.clone(),
            space: space.as_ref().clone(),
            lease_seconds: self.jobs.0.settings.glimpse_lease_seconds.duration().as_secs(),
        })))
    }

    /// Returns work for a worker. Waits for a while if there is none.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn lease(&self, LeaseRequest { worker, held }: LeaseRequest) -> Result<LeaseReply, JobsError> {
        self.check_not_ended()?;
        let until = Instant::now() + MAX_HOLD.min(self.lease_time() / 3);
        loop {
            // The job may end while a request is held.
            let Some(live) = self.at_work().filter(|live| self.is_current_run(live)) else {
                return Ok(LeaseReply::Wait { wait_ms: millis(NOT_RUNNING_RETRY_DELAY) });
            };
            if live.stop.is_cancelled() {
                return Ok(LeaseReply::Stop { stop: true });
            }
            // Subscribed before checking, so that work that arrives in between is not missed.
            let more = live.more.notified();
            record_request(live, worker.as_str())?;
            match self.lease_now(live, &worker, held.as_deref()).await? {
                Leased::Batch(batch) => return Ok(LeaseReply::Batch(batch)),
                // Otherwise items that this worker holds may still be given back.
                Leased::NothingLeft if self.is_complete().await? => {
                    return Ok(LeaseReply::Stop { stop: true });
                }
                Leased::NothingLeft | Leased::NothingYet => {}
            }
            tokio::select! {
                () = async { more.await; tokio::time::sleep(live.remote_workers.turn(worker.as_str())).await } => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = live.stop.cancelled() => {}
                () = tokio::time::sleep_until(until) => return Ok(LeaseReply::Wait { wait_ms: millis(RETRY_DELAY) }),
            }
        }
    }

    async fn is_complete(&self) -> Result<bool, JobsError> {
        let id = self.job.id;
        Ok(self.jobs.0.ledger.read(move |db| leases::is_complete(db, id)).await?)
    }

    /// Leases a batch in its own task: if the worker disconnects meanwhile, the lease must still be recorded.
    async fn lease_now(
        &self,
        live: &Arc<RunningJob>,
        worker: &WorkerName,
        held: Option<&[Held]>,
    ) -> Result<Leased, JobsError> {
        let (jobs, live, worker, job) = (self.jobs.clone(), live.clone(), worker.clone(), self.job.id);
        let (prolong, unanswered) = self.prolong(Some(&live), worker.as_str(), held);
        let leased = spawn_owned(async move {
            let name = worker.clone();
            // Without a list of the leases that the worker holds, the service cannot know whether a reply was lost.
            let ledger = &jobs.0.ledger;
            let leased =
                ledger.write(move |tx| leases::lease_and_extend(tx, job, name.as_str(), unanswered, &prolong)).await?;
            if let Leased::Batch(batch) = &leased {
                let lease = Held { batch: batch.id, attempt: batch.attempt };
                live.remote_workers.grant(worker.as_str(), lease);
                if unanswered != Some(lease) {
                    families::LEASES_GRANTED.one().increment(1);
                }
            }
            Ok(leased)
        });
        leased.await
    }

    /// Returns the leases that a request renews, and the one among them that the worker does not list and may not know.
    fn prolong(
        &self,
        live: Option<&Arc<RunningJob>>,
        worker: &str,
        held: Option<&[Held]>,
    ) -> (LeaseExtension, Option<Held>) {
        let unanswered = live.zip(held).and_then(|(live, held)| live.remote_workers.unanswered(worker, held));
        let held = held.map(|held| held.iter().copied().chain(unanswered).collect());
        (LeaseExtension { held, until: self.jobs.0.clock.after(self.lease_time()) }, unanswered)
    }

    /// Records outcomes that a worker reports. A worker that has not joined must hold the batch.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::Over`], [`JobsError::NotRunning`], [`JobsError::Ledger`]
    pub async fn report(&self, batch: i64, request: ResultRequest) -> Result<LeaseStatus, JobsError> {
        let ResultRequest { worker: name, attempt, outcomes, held, timings } = request;
        let worker = name.as_str();
        self.check_not_ended()?;
        let live = self.live.as_ref().ok_or(JobsError::NotRunning)?;
        let space = live.space.get().ok_or(JobsError::NotRunning)?.name();
        let (id, collection, ledger) = (self.job.id, self.job.spec.collection.clone(), &self.jobs.0.ledger);
        let joined = live.remote_workers.record_request(worker, 0);
        if !joined {
            let (name, held) = (name.clone(), Held { batch, attempt });
            if !ledger.read(move |db| leases::holds(db, id, name.as_str(), held)).await? {
                return Err(JobsError::NotJoined(worker.to_owned()));
            }
        }
        let reports = vec![within_bounds(Report { batch, attempt, outcomes })];
        let (prolong, unanswered) = self.prolong(Some(live), worker, held.as_deref());
        let reporter = name.clone();
        let reported = ledger
            .write(move |tx| report(tx, id, &collection, &space, reporter.as_str(), reports, Some(&prolong)))
            .await?;
        tally::reported(&reported);
        let Reported { done, failed, mut lost, renewed, .. } = reported;
        live.remote_workers.record_request(worker, done + failed.len() as u64);
        if let Some(timings) = timings {
            live.remote_workers.timed(worker, timings);
        }
        live.more.notify_waiters();
        let LostLeases { lost: also_lost, gone } = only_listed(renewed, unanswered, held.as_deref());
        lost.extend(also_lost);
        Ok(LeaseStatus { lost, gone, stop: self.must_stop() })
    }

    /// Records a heartbeat: renews the worker's leases and records what the worker waits for.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn renew(&self, request: HeartbeatRequest) -> Result<LeaseStatus, JobsError> {
        let HeartbeatRequest { worker: name, held, waiting_on, timings } = request;
        let (id, worker) = (self.job.id, name.as_str());
        self.check_not_ended()?;
        let (extension, unanswered) = self.prolong(self.live.as_ref(), worker, Some(&held));
        let holder = name.clone();
        let renewed = self.jobs.0.ledger.write(move |tx| leases::extend(tx, id, holder.as_str(), &extension)).await?;
        let LostLeases { lost, gone } = only_listed(renewed, unanswered, Some(&held));
        if let Some(live) = self.at_work() {
            record_request(live, worker)?;
            live.remote_workers.waits(worker, waiting_on.map(Waiting::from));
            if let Some(timings) = timings {
                live.remote_workers.timed(worker, timings);
            }
        }
        Ok(LeaseStatus { lost, gone, stop: self.must_stop() })
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
        if let Some(live) = &self.live {
            live.remote_workers.leave(worker);
            live.more.notify_waiters();
        }
        if refused {
            let is_known = self.live.as_ref().is_some_and(|live| live.remote_workers.refusal().is_some());
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
    /// [`JobsError::NotJoined`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn operator_error(&self, worker: &WorkerName, problem: &str) -> Result<(), JobsError> {
        self.check_not_ended()?;
        let Some(live) = self.at_work() else { return Ok(()) };
        record_request(live, worker.as_str())?;
        let problem = plain(problem);
        self.jobs.0.ledger.log(self.job.id, format!("[{worker}] cannot continue: {problem}")).await?;
        // Only the first problem counts.
        live.operator.set((worker.to_string(), problem)).ok();
        Ok(())
    }

    /// Adds lines to the job's log, each with the worker's name.
    ///
    /// # Errors
    /// [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn log(&self, worker: &WorkerName, lines: Vec<String>) -> Result<(), JobsError> {
        self.check_not_ended()?;
        let lines: Vec<_> = lines.iter().map(|line| format!("[{worker}] {}", plain(line))).collect();
        let id = self.job.id;
        Ok(self.jobs.0.ledger.write(move |tx| logs::add(tx, id, &lines)).await?)
    }

    /// Gives a worker access to the job's collection in the embedded index, which the worker cannot open itself.
    ///
    /// # Errors
    /// [`JobsError::Over`], [`JobsError::WorkerRefused`], [`JobsError::Index`]
    pub async fn records(&self, request: RecordsRequest) -> Result<RecordsReply, JobsError> {
        self.check_not_ended()?;
        let refused = |reason: String| JobsError::WorkerRefused(reason);
        let stores = self.jobs.0.pipeline.stores();
        let index = stores.named("embedded").ok_or_else(|| refused("the job has no embedded index".to_owned()))?;
        let collection = &self.job.spec.collection;
        Ok(match request {
            RecordsRequest::Upsert { records } => {
                let records: Result<Vec<_>, _> = records.into_iter().map(ImageRecord::try_from).collect();
                let records = records.map_err(|error| refused(error.to_string()))?;
                if let Some(foreign) = records.iter().find(|record| !self.is_own(record)) {
                    return Err(refused(format!("{} is not an image of this job", foreign.uri)));
                }
                match index.upsert(collection, &records).await {
                    Ok(()) => RecordsReply::default(),
                    Err(IndexError::Rejected { id, reason }) => {
                        RecordsReply { refused: Some((id, reason)), ..RecordsReply::default() }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            RecordsRequest::Get { ids } => {
                let found = self.only_own(index.get(collection, &ids).await?).await?;
                RecordsReply { records: found.iter().map(WireRecord::from).collect(), ..RecordsReply::default() }
            }
            RecordsRequest::Describe => {
                RecordsReply { collection: index.describe(collection).await?, ..RecordsReply::default() }
            }
        })
    }

    /// Returns the records under the job's bucket and prefix, and those that an image under lease may be a copy of.
    async fn only_own(&self, found: Vec<ImageRecord>) -> Result<Vec<ImageRecord>, JobsError> {
        let (mut own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|record| self.is_own(record));
        if !others.is_empty() {
            let uris = others.iter().map(|record| record.uri.clone()).collect();
            let id = self.job.id;
            let possible_copies =
                self.jobs.0.ledger.read(move |db| leases::possible_copies_among(db, id, uris)).await?;
            own.extend(others.into_iter().filter(|record| possible_copies.contains(&record.uri)));
        }
        Ok(own)
    }

    /// Returns whether a record is under the job's bucket and prefix.
    fn is_own(&self, record: &ImageRecord) -> bool {
        record.uri.bucket() == self.job.spec.bucket && record.uri.key().starts_with(self.job.spec.prefix.as_str())
    }

    /// Fails if the job has ended. A stopped job still accepts reports until its workers have left.
    fn check_not_ended(&self) -> Result<(), JobsError> {
        if self.job.state.is_final() && self.live.is_none() { Err(JobsError::Over(self.job.state)) } else { Ok(()) }
    }

    /// Returns whether `live` is the current run of the job.
    fn is_current_run(&self, live: &Arc<RunningJob>) -> bool {
        self.jobs.0.live().get(&self.job.id).is_some_and(|current| Arc::ptr_eq(current, live))
    }

    /// Returns the running job; `None` while the service stops, so that workers wait until it is back.
    fn at_work(&self) -> Option<&Arc<RunningJob>> {
        self.live.as_ref().filter(|_| !self.jobs.0.drain.is_cancelled())
    }

    fn must_stop(&self) -> bool {
        self.at_work().is_some_and(|live| live.stop.is_cancelled())
    }

    fn lease_time(&self) -> Duration {
        self.jobs.0.settings.glimpse_lease_seconds.duration()
    }
}

fn record_request(live: &RunningJob, worker: &str) -> Result<(), JobsError> {
    if live.remote_workers.record_request(worker, 0) { Ok(()) } else { Err(JobsError::NotJoined(worker.to_owned())) }
}

/// Removes the unanswered lease from the reply, unless the worker listed it as held.
fn only_listed(renewed: LostLeases, unanswered: Option<Held>, held: Option<&[Held]>) -> LostLeases {
    let Some(Held { batch: unanswered, .. }) = unanswered else { return renewed };
    let is_listed = held.is_some_and(|held| held.iter().any(|held| held.batch == unanswered));
    let keep = |batches: Vec<i64>| batches.into_iter().filter(|batch| is_listed || *batch != unanswered).collect();
    LostLeases { lost: keep(renewed.lost), gone: keep(renewed.gone) }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

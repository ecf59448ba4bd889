//! What workers elsewhere may ask of a job. Each shows the job's token; nothing else opens this door, and it opens nothing
//! else.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::error::JobsError;
use super::lease::LeaseStatus;
use super::ledger::{Held, Leased, Prolong, Renewed, Report, Reported};
use super::progress::RunningJob;
use super::remote_workers::MAX_WORKERS;
use super::service::Jobs;
use super::token;
use super::wire::{
    HeartbeatRequest, JoinReply, JoinRequest, Joined, LeaseReply, LeaseRequest, PROTOCOL, ResultRequest, SummaryReply,
    VERSION, plain, within_bounds,
};
use super::worker_name::WorkerName;
use crate::domain::wire::{RecordsReply, RecordsRequest, WireRecord};
use crate::domain::{ImageRecord, JobId, JobRecord, Secret};
use crate::index::IndexError;
use crate::resilience::{Waiting, on_its_own};
use crate::telemetry::metrics::families;

/// Characters of a node's name.
const MAX_NODE: usize = 64;

/// A worker that got nothing asks again after so long; its request was held before that.
const WAIT: Duration = Duration::from_millis(20);
/// The same where the job is not under way.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// A request for work is held for this long at most while there is none, and for no longer than a third of a lease.
const MAX_HOLD: Duration = Duration::from_secs(10);
/// While it is held it looks for work at least this often, even if nothing was told.
const LOOK: Duration = Duration::from_secs(5);

/// How a line of the job's log begins that says why a worker was refused, how many such lines a log has, and how many
/// characters of a reason are kept.
const REFUSED: &str = "a worker was refused: ";
const MAX_REFUSALS: u32 = 20;
const MAX_REASON: usize = 500;

/// The exit code of a worker whose settings do not fit: it is not to be started again as it is. `EX_CONFIG` of sysexits.h.
const EX_CONFIG: u8 = 78;

/// A job, to one who has shown its token.
#[derive(Debug)]
pub struct WorkerJob {
    jobs: Jobs,
    job: JobRecord,
    /// While it is under way.
    live: Option<Arc<RunningJob>>,
}

impl Jobs {
    /// Makes a new token for a job; the one before is worth nothing any more. Nobody can have it told again.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]; [`JobsError::NoToken`] where the system has no random numbers.
    pub async fn new_worker_token(&self, job: JobId) -> Result<Secret, JobsError> {
        let token = token::fresh().ok_or(JobsError::NoToken)?;
        self.0.ledger.set_worker_token(job, token::digest(token.reveal())).await?;
        Ok(token)
    }

    /// Lets a worker in that has the job's token.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::WorkerToken`], [`JobsError::Ledger`]
    pub async fn admit(&self, id: &str, token: Option<&str>) -> Result<WorkerJob, JobsError> {
        let job = self.0.known(id).await?;
        let known = self.0.ledger.worker_token(job.id).await?.unwrap_or_default();
        let given = token.map(token::digest).unwrap_or_default();
        // Both are of one length, or one is empty: comparing tells nothing of the token.
        let same = !known.is_empty() && bool::from(known.as_bytes().ct_eq(given.as_bytes()));
        if !same {
            return Err(JobsError::WorkerToken);
        }
        let live = self.0.live().get(&job.id).cloned();
        Ok(WorkerJob { jobs: self.clone(), job, live })
    }
}

impl WorkerJob {
    /// How the job stands. The one thing that is answered after its end.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn summary(&self) -> Result<SummaryReply, JobsError> {
        let (status, left) = (self.job.state.as_str().to_owned(), self.job.counts.left());
        // What comes after the last image, such as removing what has vanished, is no work of theirs.
        let over = self.job.state.is_final() && self.live.is_none();
        let terminal = over || self.jobs.0.ledger.is_worked_off(self.job.id).await?;
        Ok(SummaryReply { terminal, status, left })
    }

    /// A worker introduces itself. If it is refused, the job's log and what the job waits for say why.
    ///
    /// # Errors
    /// [`JobsError`]: it is of another version or space, its name is none, there are too many, or the job is over.
    pub async fn join(&self, worker: &str, request: &JoinRequest) -> Result<JoinReply, JobsError> {
        self.not_over()?;
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
            self.note_refusal(&refusal.to_string()).await?;
        }
        joined
    }

    async fn note_refusal(&self, reason: &str) -> Result<(), JobsError> {
        let reason: String = plain(reason).chars().take(MAX_REASON).collect();
        tracing::warn!(job.id = %self.job.id, reason, "a worker was refused");
        if let Some(live) = &self.live {
            live.remote_workers.refuse(&reason);
        }
        self.jobs.0.ledger.log_once(self.job.id, REFUSED, format!("{REFUSED}{reason}"), MAX_REFUSALS).await?;
        Ok(())
    }

    fn admit_worker(&self, worker: &str, request: &JoinRequest) -> Result<JoinReply, JobsError> {
        let versions = |version: &str, protocol: u32| format!("version {version} (protocol {protocol})");
        let (here, there) = (versions(VERSION, PROTOCOL), versions(&request.version, request.protocol));
        if here != there {
            return Err(JobsError::WorkerRefused(format!("the worker is of {there}, the service of {here}")));
        }
        let stores = self.jobs.0.pipeline.stores().all();
        if request.stores != stores {
            let said =
                format!("the worker writes to {}, the job's stores are {stores} (VECTOR_DB_PROVIDER)", request.stores);
            return Err(JobsError::WorkerRefused(said));
        }
        let live = self.live.as_ref().filter(|live| !live.stop.is_cancelled());
        let Some((live, space)) = live.and_then(|live| Some((live, live.space.get()?))) else {
            return Ok(JoinReply::Wait { wait_ms: millis(LONG_WAIT) });
        };
        space.admits(&request.space)?;
        let node = request.node.as_deref().map(|node| plain(node).chars().take(MAX_NODE).collect());
        if !live.remote_workers.join(worker, node) {
            return Err(JobsError::TooManyWorkers(MAX_WORKERS));
        }
        Ok(JoinReply::Joined(Box::new(Joined {
            collection: self.job.spec.collection.clone(),
            space: space.as_ref().clone(),
            lease_seconds: self.jobs.0.settings.glimpse_lease_seconds,
        })))
    }

    /// A worker asks for work.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn lease(&self, LeaseRequest { worker, held }: LeaseRequest) -> Result<LeaseReply, JobsError> {
        self.not_over()?;
        let until = Instant::now() + MAX_HOLD.min(self.lease_time() / 3);
        loop {
            // A job may come to its end while a request of it is held.
            let Some(live) = self.at_work().filter(|live| self.is_present(live)) else {
                return Ok(LeaseReply::Wait { wait_ms: millis(LONG_WAIT) });
            };
            if live.stop.is_cancelled() {
                return Ok(LeaseReply::Stop { stop: true });
            }
            // Listening begins before looking: what comes in between is not missed.
            let more = live.more.notified();
            heard(live, worker.as_str())?;
            let ledger = &self.jobs.0.ledger;
            match self.lease_now(live, &worker, held.as_deref()).await? {
                Leased::Batch(batch) => return Ok(LeaseReply::Batch(batch)),
                // What the worker itself holds may still come back.
                Leased::NothingLeft if ledger.is_worked_off(self.job.id).await? => {
                    return Ok(LeaseReply::Stop { stop: true });
                }
                Leased::NothingLeft | Leased::NothingYet => {}
            }
            tokio::select! {
                () = async { more.await; tokio::time::sleep(live.remote_workers.turn(worker.as_str())).await } => {}
                () = tokio::time::sleep(LOOK) => {}
                () = live.stop.cancelled() => {}
                () = tokio::time::sleep_until(until) => return Ok(LeaseReply::Wait { wait_ms: millis(WAIT) }),
            }
        }
    }

    /// In a task of its own: a worker that hangs up meanwhile must not leave a lease of which nobody knows.
    async fn lease_now(
        &self,
        live: &Arc<RunningJob>,
        worker: &WorkerName,
        held: Option<&[Held]>,
    ) -> Result<Leased, JobsError> {
        let (jobs, live, worker, job) = (self.jobs.clone(), live.clone(), worker.clone(), self.job.id);
        let (prolong, unanswered) = self.prolong(Some(&live), worker.as_str(), held);
        let leased = on_its_own(async move {
            let worker = worker.as_str();
            // Without a list of what it holds nobody knows whether a reply was lost.
            let leased = jobs.0.ledger.lease_and_prolong(job, worker, unanswered, prolong).await?;
            if let Leased::Batch(batch) = &leased {
                let lease = Held { batch: batch.id, attempt: batch.attempt };
                live.remote_workers.grant(worker, lease);
                if unanswered != Some(lease) {
                    families::LEASES_GRANTED.one().increment(1);
                }
            }
            Ok(leased)
        });
        leased.await
    }

    /// The leases of a worker that a request prolongs, and among them one that it does not name and may not know of.
    fn prolong(&self, live: Option<&Arc<RunningJob>>, worker: &str, held: Option<&[Held]>) -> (Prolong, Option<Held>) {
        let unanswered = live.zip(held).and_then(|(live, held)| live.remote_workers.unanswered(worker, held));
        let held = held.map(|held| held.iter().copied().chain(unanswered).collect());
        (Prolong { held, until: self.jobs.0.clock.after(self.lease_time()) }, unanswered)
    }

    /// A worker says what became of items. One that has not introduced itself must hold the batch.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::Over`], [`JobsError::NotUnderWay`], [`JobsError::Ledger`]
    pub async fn report(&self, batch: i64, request: ResultRequest) -> Result<LeaseStatus, JobsError> {
        let ResultRequest { worker, attempt, outcomes, held, timings } = request;
        let worker = worker.as_str();
        self.not_over()?;
        let live = self.live.as_ref().ok_or(JobsError::NotUnderWay)?;
        let space = live.space.get().ok_or(JobsError::NotUnderWay)?.name();
        let (id, collection, ledger) = (self.job.id, self.job.spec.collection.clone(), &self.jobs.0.ledger);
        let joined = live.remote_workers.hear(worker, 0);
        if !joined && !ledger.holds(id, worker, Held { batch, attempt }).await? {
            return Err(JobsError::NotJoined(worker.to_owned()));
        }
        let reports = vec![within_bounds(Report { batch, attempt, outcomes })];
        let (prolong, unanswered) = self.prolong(Some(live), worker, held.as_deref());
        let reported = ledger.report_and_prolong(id, collection, space, worker, reports, prolong).await?;
        let Reported { accepted, mut lost, renewed, .. } = reported;
        live.remote_workers.hear(worker, accepted);
        if let Some(timings) = timings {
            live.remote_workers.timed(worker, timings);
        }
        live.more.notify_waiters();
        let Renewed { lost: others, gone } = named(renewed, unanswered, held.as_deref());
        lost.extend(others);
        Ok(LeaseStatus { lost, gone, stop: self.must_stop() })
    }

    /// A worker lives, holds these, and may wait for something.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn renew(&self, request: HeartbeatRequest) -> Result<LeaseStatus, JobsError> {
        let HeartbeatRequest { worker, held, waiting_on, timings } = request;
        let worker = worker.as_str();
        self.not_over()?;
        let (Prolong { held: all, until }, unanswered) = self.prolong(self.live.as_ref(), worker, Some(&held));
        let renewed = self.jobs.0.ledger.renew(self.job.id, worker, all.unwrap_or_default(), until).await?;
        let Renewed { lost, gone } = named(renewed, unanswered, Some(&held));
        if let Some(live) = self.at_work() {
            heard(live, worker)?;
            live.remote_workers.waits(worker, waiting_on.map(Waiting::from));
            if let Some(timings) = timings {
                live.remote_workers.timed(worker, timings);
            }
        }
        Ok(LeaseStatus { lost, gone, stop: self.must_stop() })
    }

    /// A worker has ended; says whether it held anything.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn exit(&self, worker: &WorkerName, rc: i64) -> Result<(), JobsError> {
        let (worker, ledger, id) = (worker.as_str(), &self.jobs.0.ledger, self.job.id);
        // One that was refused left of its own accord: no image of it is to blame.
        let refused = rc == i64::from(EX_CONFIG);
        let held = if rc == 0 || refused {
            ledger.give_back(id, worker).await?
        } else {
            ledger.end_leases_of_dead(id, worker).await?
        };
        if let Some(live) = &self.live {
            live.remote_workers.leave(worker);
            live.more.notify_waiters();
        }
        if refused {
            let is_known = self.live.as_ref().is_some_and(|live| live.remote_workers.refusal().is_some());
            let reason =
                format!("it ended with exit code {EX_CONFIG}: its settings do not fit; its own log says which");
            return if is_known { Ok(()) } else { self.note_refusal(&reason).await };
        }
        if rc != 0 && held > 0 {
            let line = format!("worker {worker} died (exit code {rc}); others get what it had");
            ledger.log(id, line).await?;
        }
        Ok(())
    }

    /// A worker met what only the operator can change: the job ends with that.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn operator_error(&self, worker: &WorkerName, problem: &str) -> Result<(), JobsError> {
        self.not_over()?;
        let Some(live) = self.at_work() else { return Ok(()) };
        heard(live, worker.as_str())?;
        let problem = plain(problem);
        self.jobs.0.ledger.log(self.job.id, format!("[{worker}] cannot go on: {problem}")).await?;
        // The first one counts.
        live.operator.set((worker.to_string(), problem)).ok();
        Ok(())
    }

    /// Lines for the job's log, each with the name of who says it.
    ///
    /// # Errors
    /// [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn log(&self, worker: &WorkerName, lines: Vec<String>) -> Result<(), JobsError> {
        self.not_over()?;
        let lines = lines.iter().map(|line| format!("[{worker}] {}", plain(line))).collect();
        Ok(self.jobs.0.ledger.log_all(self.job.id, lines).await?)
    }

    /// The embedded index, for a worker that cannot open it: the job's collection, and nothing else of it.
    ///
    /// # Errors
    /// [`JobsError::Over`], [`JobsError::WorkerRefused`], [`JobsError::Index`]
    pub async fn records(&self, request: RecordsRequest) -> Result<RecordsReply, JobsError> {
        self.not_over()?;
        let refused = |said: String| JobsError::WorkerRefused(said);
        let stores = self.jobs.0.pipeline.stores();
        let index = stores.named("embedded").ok_or_else(|| refused("the job has no embedded index".to_owned()))?;
        let collection = &self.job.spec.collection;
        Ok(match request {
            RecordsRequest::Upsert { records } => {
                let records: Result<Vec<_>, _> = records.into_iter().map(ImageRecord::try_from).collect();
                let records = records.map_err(|error| refused(error.to_string()))?;
                if let Some(strange) = records.iter().find(|record| !self.is_own(record)) {
                    return Err(refused(format!("{} is none of this job's images", strange.uri)));
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

    /// Of these records those of the job's bucket and prefix, and those that an image under lease may be a copy of.
    async fn only_own(&self, found: Vec<ImageRecord>) -> Result<Vec<ImageRecord>, JobsError> {
        let (mut own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|record| self.is_own(record));
        if !others.is_empty() {
            let uris = others.iter().map(|record| record.uri.clone()).collect();
            let possible_copies = self.jobs.0.ledger.twins_among(self.job.id, uris).await?;
            own.extend(others.into_iter().filter(|record| possible_copies.contains(&record.uri)));
        }
        Ok(own)
    }

    /// Whether a record is of the job's bucket and prefix.
    fn is_own(&self, record: &ImageRecord) -> bool {
        record.uri.bucket() == self.job.spec.bucket && record.uri.key().starts_with(self.job.spec.prefix.as_str())
    }

    /// A job that was stopped takes reports until its workers have left.
    fn not_over(&self) -> Result<(), JobsError> {
        if self.job.state.is_final() && self.live.is_none() { Err(JobsError::Over(self.job.state)) } else { Ok(()) }
    }

    /// Whether the job is still at work, and that is the present run of it.
    fn is_present(&self, live: &Arc<RunningJob>) -> bool {
        self.jobs.0.live().get(&self.job.id).is_some_and(|present| Arc::ptr_eq(present, live))
    }

    /// While the service itself ends, workers wait for it to come back.
    fn at_work(&self) -> Option<&Arc<RunningJob>> {
        self.live.as_ref().filter(|_| !self.jobs.0.drain.is_cancelled())
    }

    fn must_stop(&self) -> bool {
        self.at_work().is_some_and(|live| live.stop.is_cancelled())
    }

    fn lease_time(&self) -> Duration {
        self.jobs.0.settings.lease()
    }
}

fn heard(live: &RunningJob, worker: &str) -> Result<(), JobsError> {
    if live.remote_workers.hear(worker, 0) { Ok(()) } else { Err(JobsError::NotJoined(worker.to_owned())) }
}

/// Of what became of leases, that which concerns those that the worker named.
fn named(renewed: Renewed, unanswered: Option<Held>, held: Option<&[Held]>) -> Renewed {
    let Some(Held { batch: unanswered, .. }) = unanswered else { return renewed };
    let is_named = held.is_some_and(|held| held.iter().any(|held| held.batch == unanswered));
    let keep = |batches: Vec<i64>| batches.into_iter().filter(|batch| is_named || *batch != unanswered).collect();
    Renewed { lost: keep(renewed.lost), gone: keep(renewed.gone) }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

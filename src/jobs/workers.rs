//! What workers elsewhere may ask of a job. Each shows the job's token; nothing else opens this door, and it opens nothing
//! else.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::crew::MOST_WORKERS;
use super::error::JobsError;
use super::lease::Standing;
use super::ledger::{Held, Leased, Renewed, Report};
use super::progress::Live;
use super::service::Jobs;
use super::token;
use super::wire::{JoinReply, JoinRequest, Joined, LeaseReply, PROTOCOL, SummaryReply, VERSION, WireWaiting};
use crate::domain::wire::{RecordsReply, RecordsRequest, WireRecord};
use crate::domain::{ImageRecord, JobId, JobRecord, Secret};
use crate::index::IndexError;
use crate::pipeline::{Fate, Outcome, Timings};
use crate::resilience::Waiting;
use crate::telemetry::metrics::families;

/// Lines that a worker may send at once, and characters that are kept of each, and of the reason of a failure.
const MOST_LINES: usize = 200;
const MOST_LINE: usize = 2_000;

/// Characters of a node's name.
const MOST_NODE: usize = 64;

/// A worker that got nothing asks again after so long.
const WAIT: Duration = Duration::from_millis(200);
/// The same where the job is not under way.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// A job, to one who has shown its token.
#[derive(Debug)]
pub struct WorkerJob {
    jobs: Jobs,
    job: JobRecord,
    /// While it is under way.
    live: Option<Arc<Live>>,
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

    /// A worker introduces itself.
    ///
    /// # Errors
    /// [`JobsError`]: it is of another version or space, its name is none, there are too many, or the job is over.
    pub fn join(&self, worker: &str, request: &JoinRequest) -> Result<JoinReply, JobsError> {
        self.not_over()?;
        if worker.is_empty() || worker.len() > 64 || !worker.bytes().all(is_plain) {
            return Err(JobsError::WorkerName);
        }
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
        let node = request.node.as_deref().map(|node| plain(node).chars().take(MOST_NODE).collect());
        if !live.crew.join(worker, node) {
            return Err(JobsError::TooManyWorkers(MOST_WORKERS));
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
    /// [`JobsError::Stranger`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn lease(&self, worker: &str) -> Result<LeaseReply, JobsError> {
        self.not_over()?;
        let Some(live) = self.at_work() else { return Ok(LeaseReply::Wait { wait_ms: millis(LONG_WAIT) }) };
        if live.stop.is_cancelled() {
            return Ok(LeaseReply::Stop { stop: true });
        }
        heard(live, worker)?;
        let (ledger, until) = (&self.jobs.0.ledger, self.jobs.0.clock.after(self.lease_time()));
        Ok(match ledger.lease(self.job.id, worker, Some(until)).await? {
            Leased::Batch(batch) => {
                families::LEASES_GRANTED.one().increment(1);
                LeaseReply::Batch(batch)
            }
            // What the worker itself holds may still come back.
            Leased::NothingLeft if ledger.is_worked_off(self.job.id).await? => LeaseReply::Stop { stop: true },
            Leased::NothingLeft | Leased::NothingYet => LeaseReply::Wait { wait_ms: millis(WAIT) },
        })
    }

    /// A worker says what became of items.
    ///
    /// # Errors
    /// [`JobsError::Over`], [`JobsError::NotUnderWay`], [`JobsError::Ledger`]
    pub async fn report(
        &self,
        worker: &str,
        batch: i64,
        attempt: u32,
        outcomes: Vec<Outcome>,
        timings: Option<Timings>,
    ) -> Result<Standing, JobsError> {
        self.not_over()?;
        let mut outcomes = outcomes;
        for outcome in &mut outcomes {
            if let Fate::Failed(failure) = &mut outcome.fate {
                failure.message = plain(&failure.message);
            }
        }
        let live = self.live.as_ref().ok_or(JobsError::NotUnderWay)?;
        let space = live.space.get().ok_or(JobsError::NotUnderWay)?.name();
        let (id, collection) = (self.job.id, self.job.spec.collection.clone());
        let reports = vec![Report { batch, attempt, outcomes }];
        let reported = self.jobs.0.ledger.report(id, collection, space, worker, reports).await?;
        live.crew.hear(worker, reported.accepted);
        if let Some(timings) = timings {
            live.crew.timed(worker, timings);
        }
        live.more.notify_waiters();
        Ok(Standing { lost: reported.lost, stop: self.must_stop(), ..Standing::default() })
    }

    /// A worker lives, holds these, and may wait for something.
    ///
    /// # Errors
    /// [`JobsError::Stranger`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn renew(
        &self,
        worker: &str,
        held: Vec<Held>,
        waiting: Option<WireWaiting>,
        timings: Option<Timings>,
    ) -> Result<Standing, JobsError> {
        self.not_over()?;
        let until = self.jobs.0.clock.after(self.lease_time());
        let Renewed { lost, gone } = self.jobs.0.ledger.renew(self.job.id, worker, held, until).await?;
        if let Some(live) = self.at_work() {
            heard(live, worker)?;
            live.crew.waits(worker, waiting.map(Waiting::from));
            if let Some(timings) = timings {
                live.crew.timed(worker, timings);
            }
        }
        Ok(Standing { lost, gone, stop: self.must_stop() })
    }

    /// A worker has ended; says whether it held anything.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn exit(&self, worker: &str, rc: i64) -> Result<(), JobsError> {
        let (ledger, id) = (&self.jobs.0.ledger, self.job.id);
        let held = if rc == 0 { ledger.give_back(id, worker).await? } else { ledger.bury(id, worker).await? };
        if let Some(live) = &self.live {
            live.crew.leave(worker);
            live.more.notify_waiters();
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
    /// [`JobsError::Stranger`], [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn operator_error(&self, worker: &str, problem: &str) -> Result<(), JobsError> {
        self.not_over()?;
        let Some(live) = self.at_work() else { return Ok(()) };
        heard(live, worker)?;
        let problem = plain(problem);
        self.jobs.0.ledger.log(self.job.id, format!("[{worker}] cannot go on: {problem}")).await?;
        // The first one counts.
        live.operator.set((worker.to_owned(), problem)).ok();
        Ok(())
    }

    /// Lines for the job's log, each with the name of who says it.
    ///
    /// # Errors
    /// [`JobsError::Over`], [`JobsError::Ledger`]
    pub async fn log(&self, worker: &str, lines: Vec<String>) -> Result<(), JobsError> {
        self.not_over()?;
        for line in lines.into_iter().take(MOST_LINES) {
            self.jobs.0.ledger.log(self.job.id, format!("[{worker}] {}", plain(&line))).await?;
        }
        Ok(())
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
                let (bucket, prefix) = (&self.job.spec.bucket, &self.job.spec.prefix);
                let strange = |record: &&ImageRecord| {
                    record.uri.bucket() != bucket || !record.uri.key().starts_with(prefix.as_str())
                };
                if let Some(strange) = records.iter().find(strange) {
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
                let found = index.get(collection, &ids).await?;
                RecordsReply { records: found.iter().map(WireRecord::from).collect(), ..RecordsReply::default() }
            }
            RecordsRequest::Describe => {
                RecordsReply { collection: index.describe(collection).await?, ..RecordsReply::default() }
            }
        })
    }

    /// A job that was stopped takes reports until its workers have left.
    fn not_over(&self) -> Result<(), JobsError> {
        if self.job.state.is_final() && self.live.is_none() { Err(JobsError::Over(self.job.state)) } else { Ok(()) }
    }

    /// While the service itself ends, workers wait for it to come back.
    fn at_work(&self) -> Option<&Arc<Live>> {
        self.live.as_ref().filter(|_| !self.jobs.0.drain.is_cancelled())
    }

    fn must_stop(&self) -> bool {
        self.at_work().is_some_and(|live| live.stop.is_cancelled())
    }

    fn lease_time(&self) -> Duration {
        self.jobs.0.settings.lease()
    }
}

fn heard(live: &Live, worker: &str) -> Result<(), JobsError> {
    if live.crew.hear(worker, 0) { Ok(()) } else { Err(JobsError::Stranger(worker.to_owned())) }
}

/// As much of a worker's words as is kept, in one line.
fn plain(words: &str) -> String {
    words.chars().take(MOST_LINE).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

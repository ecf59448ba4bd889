//! Runs one job from its first listing to its end. Planning and work run concurrently.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;

use crate::domain::{Executor, JobRecord, Rebuild, Space, StoreSet};
use crate::index::{EnsureOutcome, ImageIndex};
use crate::jobs::JobService;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::placing::end_placement::EndPlacement;
use crate::jobs::pool::broker::LeaseBroker;
use crate::jobs::pool::local::LocalBroker;
use crate::jobs::pool::{Ended, LOCAL, Pool};
use crate::jobs::run::dry_run;
use crate::jobs::run::limit;
use crate::jobs::run::listing::plan::{ListLanes, Planner};
use crate::jobs::run::metadata;
use crate::jobs::run::progress::RunningJob;
use crate::jobs::run::reconcile;
use crate::jobs::run::sync;
use crate::jobs::run::traces::{begin_span, end_span};
use crate::ledger::planning::{Planning, listing};
use crate::ledger::{LedgerError, leases, objects, placements};
use crate::pipeline::{Run, RunTrace, WriteLease};
use crate::resilience::until_stopped;
use crate::telemetry::traces::Span;

impl JobService {
    /// Runs a job whose turn it is and records its end. `again` means that an earlier attempt of this run has begun it.
    ///
    /// # Errors
    /// Fails only if the ledger fails. Any other error ends the job and is recorded.
    pub(crate) async fn run_to_end(
        &self,
        job: &JobRecord,
        running: &Arc<RunningJob>,
        again: bool,
    ) -> Result<(), JobFailure> {
        let id = job.id;
        // Read after the job is registered as running: a move to another executor just before did not find it running.
        let Some(JobRecord { spec, .. }) = self.ledger.job(id).await? else { return Ok(()) };
        let job = match self.with_physical_name(JobRecord { spec, ..job.clone() }) {
            Ok(job) => job,
            Err(error) => return self.end(job, running, Err(JobFailure::Store(error))).await,
        };
        let executor = job.spec.executor.as_str();
        tracing::info!(job.id = %id, job.collection = %job.spec.collection, job.executor = executor, "job begins");
        let span = begin_span(&job);
        let work = until_stopped(running.stop.clone(), Box::pin(self.plan_and_work(&job, running, again, &span)));
        let worked = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(JobFailure::Panicked));
        if let Err(failure) = &worked
            && failure.ledger_error().is_some_and(LedgerError::may_pass)
        {
            return worked;
        }
        self.end(&job, running, worked).await?;
        let ended = self.ledger.job(id).await?;
        if let Some(ended) = &ended {
            end_span(&span, ended);
        }
        let over = ended.is_some_and(|job| job.state.is_final());
        if over && let Some(placed) = self.ledger.read(move |db| placements::find(db, id)).await? {
            self.end_placement(id, placed.submission, EndPlacement::END_GRACE);
        }
        Ok(())
    }

    fn new_run(&self, job: &JobRecord, running: &RunningJob, space: &Arc<Space>, span: &Arc<Span>) -> Run {
        Run {
            collection: job.spec.collection.clone(),
            space: Arc::clone(space),
            stages: running.stages.clone(),
            write_lease: WriteLease::default(),
            exif: self.pipeline.exif(),
            trace: RunTrace::Job { id: job.id.to_string().into(), span: span.clone() },
        }
    }

    fn new_planner(
        &self,
        job: &JobRecord,
        running: &RunningJob,
        space: &Space,
        dry_run: Option<StoreSet>,
    ) -> Result<Planner, JobFailure> {
        let spec = &job.spec;
        let source_generation = self.source_generation(job).map_err(JobFailure::Store)?;
        let stores = self.pipeline.stores();
        Ok(Planner {
            ledger: self.ledger.clone(),
            source: self.pipeline.source().clone(),
            stores: stores.clone(),
            planning: Planning {
                collection: spec.collection.clone(),
                space: space.name(),
                stores: stores.name_set(),
                lease_size: self.settings.image_batch_size,
                max_items: spec.max_items.map(|max| max.saturating_sub(spec.taken)),
                source_generation: source_generation.clone(),
                metadata: spec.metadata_key.is_some(),
                owned_prefix: sync::owned_prefix(spec),
                exclude: self.excludes(job),
                dry_run,
            },
            thumbnail_prefix: self.thumbnail_prefix.clone(),
            max_bytes: self.pipeline.limits().max_bytes,
            exif: self.pipeline.exif(),
            source_generation,
            lanes: ListLanes::new(self.settings.s3_list_lanes),
            planned: running.work_changed.clone(),
            disk: self.disk.clone(),
            stop: running.stop.clone(),
        })
    }

    async fn plan_and_work(
        &self,
        job: &JobRecord,
        running: &Arc<RunningJob>,
        again: bool,
        span: &Arc<Span>,
    ) -> Result<(), JobFailure> {
        // Waits for a provider that is down. A provider that fails its verification ends the job.
        let (model, space) = tokio::select! {
            found = self.model(&job.spec.collection) => found?,
            () = running.stop.cancelled() => return Ok(()),
        };
        running.set_model(&model, &space);
        let pipeline = self.pipeline.clone().with_provider(model.jobs.clone());
        if running.stop.run_until_cancelled(self.disk.wait_for_space()).await.is_none() {
            return Ok(());
        }
        // These stores wait too while they are down.
        let stores = self.pipeline.stores();
        // Leases that an earlier attempt in this process could not give back because the ledger failed.
        let id = job.id;
        self.ledger.write(move |tx| leases::give_back(tx, id, LOCAL)).await?;
        if job.spec.executor == Executor::Local {
            // Leases of remote workers that had the job before. In a local run nothing checks whether they expire.
            self.ledger.write(move |tx| leases::recall(tx, id)).await?;
        }
        let spec = &job.spec;
        let ready = async {
            self.finish_drop_before(job).await?;
            if spec.dry_run {
                return dry_run::find_stores(stores, &spec.collection, &space).await.map(Some);
            }
            let ensured = stores.iter().map(|store| self.ensure_collection(job, store.as_ref(), &space));
            futures::future::try_join_all(ensured).await?;
            self.models.set(&spec.collection, &model.record).await?;
            Ok(None)
        };
        let dry_run = tokio::select! {
            ready = ready => ready?,
            () = running.stop.cancelled() => return Ok(()),
        };
        let prefixed = self.with_prefix(job, running).await?;
        let Some(job) = &prefixed else { return Ok(()) };
        let spec = &job.spec;
        if !again {
            self.ledger.log(job.id, first_line(job)).await?;
        }
        metadata::load(&self.ledger, self.pipeline.source().as_ref(), job, &running.stop).await?;
        let planner = self.new_planner(job, running, &space, dry_run)?;
        let (ledger, work_changed) = (self.ledger.clone(), running.work_changed.clone());
        let (job_record, running_job) = (job.clone(), running.clone());
        let (space_name, disk) = (space.name(), self.disk.clone());
        let broker = Arc::new(LocalBroker {
            ledger,
            job: job_record,
            space: space_name,
            running: running_job,
            work_changed,
            disk,
        });
        let pool = Pool::new(pipeline, broker.clone());
        let run = self.new_run(job, running, &space, span);
        let plan = self.plan(job, running, &planner, span);
        let work = async {
            let _indexing = span.stage("index");
            match spec.executor {
                Executor::Local => {}
                Executor::Workers | Executor::Ray => {
                    return self.within_grace(running, self.watch_over(job, running)).await.unwrap_or(Ok(()));
                }
            }
            let worked = self.within_grace(running, pool.work(run, &running.stop)).await;
            // Items that are not done are given back. They do not count as lost, since no worker died.
            broker.give_back().await.map_err(JobFailure::Lease)?;
            worked.unwrap_or(Ok(Ended::Finished)).map(drop).map_err(JobFailure::from)
        };
        tokio::select! {
            done = async { tokio::try_join!(plan, work) } => drop(done?),
            (worker, problem) = running.operator.wait() => {
                return Err(JobFailure::Worker { worker: worker.clone(), problem: problem.clone() });
            }
        }
        if running.stop.is_cancelled() {
            return Ok(());
        }
        let counts = self.ledger.job(job.id).await?.map(|job| job.counts).unwrap_or_default();
        limit::check_failures(&self.ledger, job, &counts, true).await.map_err(JobFailure::Lease)?;
        // A dry run has recorded nothing to remove. If some keys could not be read, an object that seems to have
        // vanished may have such a key.
        if self.ledger.read(move |db| listing::unreadable(db, id)).await? == 0 {
            self.within_grace(running, sync::remove(&self.ledger, stores, job, &self.lane, &running.stop))
                .await
                .unwrap_or(Ok(()))?;
        }
        if !spec.dry_run {
            self.wait_for_indexing(job, running).await;
        }
        self.end_rebuild(job).await?;
        Ok(())
    }

    /// Lists the keys and plans the batches.
    async fn plan(
        &self,
        job: &JobRecord,
        running: &RunningJob,
        planner: &Planner,
        span: &Span,
    ) -> Result<(), JobFailure> {
        // Not the current span: it would be that of all calls for all images.
        let _listing = span.stage("list");
        self.within_grace(running, planner.plan(job, &running.stop)).await.unwrap_or(Ok(()))?;
        let id = job.id;
        let (_, complete) = self.ledger.read(move |db| listing::progress(db, id)).await?;
        if complete {
            self.log_listing(job).await?;
        }
        Ok(())
    }

    /// Runs `work`. Returns `None` if the job was stopped and `work` did not end within the grace period.
    async fn within_grace<T>(&self, running: &RunningJob, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        tokio::select! {
            done = &mut work => Some(done),
            () = running.stop.cancelled() => tokio::time::timeout(crate::jobs::GRACE, work).await.ok(),
        }
    }

    async fn ensure_collection(
        &self,
        job: &JobRecord,
        store: &dyn ImageIndex,
        space: &Space,
    ) -> Result<(), JobFailure> {
        let collection = &job.spec.collection;
        let ensured = store.ensure_image_collection(collection, space).await.map_err(JobFailure::Store)?;
        match ensured {
            EnsureOutcome::Created => {
                self.ledger.in_steps(objects::forget::forget_store(collection.clone(), store.name())).await?;
                self.ledger.log(job.id, format!("created collection {collection} in {}", store.name())).await?;
            }
            EnsureOutcome::Existed => reconcile::reconcile(&self.ledger, store, collection).await?,
        }
        Ok(())
    }
}

/// Returns the first log line of a job's run.
fn first_line(job: &JobRecord) -> String {
    let spec = &job.spec;
    let (from, to) = (format!("s3://{}/{}", spec.bucket, spec.prefix), spec.visible_collection());
    if let Some(Rebuild { collection, number }) = &spec.rebuild {
        return format!(
            "the job builds generation {number} of collection {collection} from the images of the current one"
        );
    }
    match (job.started_at, spec.retry_of) {
        (None, _) if let Some(previous) = spec.continues => {
            format!("the job continues job {previous}: it indexes {from} into collection {to}")
        }
        (Some(_), _) => format!("the job continues to index {from} into collection {to}"),
        (None, Some(previous)) => {
            format!("the job retries the failed images of job {previous}: {from} into collection {to}")
        }
        (None, None) if spec.dry_run => format!("the job compares {from} with collection {to}, as a dry run"),
        (None, None) if spec.refresh.is_some() => {
            format!(
                "the job completes the records of {from} in collection {to} that are of an earlier version, or have other facts than IMAGE_EXIF names"
            )
        }
        (None, None) => format!("the job indexes {from} into collection {to}"),
    }
}

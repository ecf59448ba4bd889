//! The steps of the pipeline. Each takes a unit of work and returns the input of the next step, or reports a failure.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::budget::BudgetPermit;
use super::possible_copy;
use super::ready::{Content, Ready};
use super::shared_vectors::SharedVectors;
use super::traces::ImageTraces;
use super::{ItemOutcome, Pipeline, Run, RunError, Task, TaskOutcome};
use crate::domain::{ExifFacts, FailureAttribution, FailureClass, ImageRecord, ItemFailure, PAYLOAD_VERSION};
use crate::imaging;
use crate::lock::lock;
use crate::resilience::measured;
use crate::source::{Fetched, SourceError};
use crate::telemetry::traces;

/// Shared data of all steps; cheap to clone into a task.
#[derive(Clone)]
pub(super) struct Steps(Arc<SharedSteps>);

struct SharedSteps {
    pipeline: Pipeline,
    run: Run,
    outcomes: mpsc::Sender<TaskOutcome>,
    stop: CancellationToken,
    /// The first error that ended the run.
    first_error: Mutex<Option<RunError>>,
    traces: ImageTraces,
    vectors: Arc<SharedVectors>,
}

/// A task whose bytes were fetched, with its share of the memory budget, or were not needed.
pub(super) enum Loaded {
    Object(Box<LoadedObject>),
    /// A record that is complete without its object.
    Record(Box<Ready>),
}

pub(super) struct LoadedObject {
    task: Task,
    fetched: Fetched,
    permit: BudgetPermit,
    /// A record whose bytes are possibly the same.
    possible_copy: Option<ImageRecord>,
}

impl Steps {
    pub(super) fn new(
        pipeline: Pipeline,
        run: Run,
        outcomes: mpsc::Sender<TaskOutcome>,
        stop: CancellationToken,
    ) -> Self {
        let (first_error, traces, vectors) = (Mutex::new(None), ImageTraces::default(), Arc::default());
        Self(Arc::new(SharedSteps { pipeline, run, outcomes, stop, first_error, traces, vectors }))
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    pub(super) fn current_run(&self) -> &Run {
        &self.0.run
    }

    pub(super) fn traces(&self) -> &ImageTraces {
        &self.0.traces
    }

    /// Returns the vectors that the images of the run share.
    pub(super) fn shared_vectors(&self) -> &Arc<SharedVectors> {
        &self.0.vectors
    }

    /// Returns the first error of the run, if there was one.
    pub(super) fn result(&self) -> Result<(), RunError> {
        lock(&self.0.first_error).take().map_or(Ok(()), Err)
    }

    pub(super) async fn fetch(self, task: Task) -> Option<Loaded> {
        let run = &self.0.run;
        let span = self.0.traces.begin(&run.trace, run.collection.as_str(), &task);
        span.within(self.fetch_object(task)).await
    }

    async fn fetch_object(&self, task: Task) -> Option<Loaded> {
        let SharedSteps { pipeline, run, .. } = &*self.0;
        if task.image.size_bytes > pipeline.limits.max_bytes {
            let limit = pipeline.limits.max_bytes;
            let error = SourceError::TooLarge { uri: task.image.uri.clone(), bytes: task.image.size_bytes, limit };
            return self.fetch_failed(&task, error).await;
        }
        if task.refresh {
            match self.refreshed_by_head(&task).await {
                Ok(None) => {}
                Ok(Some(ready)) => return Some(Loaded::Record(Box::new(ready))),
                Err(down) => return self.stop_with(down),
            }
        }
        // Other tasks can hold the budget while they wait for a dependency.
        let permit = self.0.stop.run_until_cancelled(pipeline.budget.take_encoded(task.image.size_bytes)).await?;
        let fetching = traces::stage("fetch").wrap(measured(pipeline.source.fetch(&task.image)));
        // A read changes nothing, so it need not be drained for as long as it takes.
        let (fetched, worked) = self.0.stop.run_until_cancelled(fetching).await?;
        run.stages.fetch.took(worked);
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) => return self.fetch_failed(&task, error).await,
        };
        match self.possible_copy(&task, fetched.bytes.len() as u64).await {
            Ok(possible_copy) => Some(Loaded::Object(Box::new(LoadedObject { task, fetched, permit, possible_copy }))),
            Err(down) => self.stop_with(down),
        }
    }

    async fn fetch_failed(&self, task: &Task, error: SourceError) -> Option<Loaded> {
        match error.attribution() {
            FailureAttribution::Image(class) => self.failed_after(error.tries(), task, class, error.to_string()).await,
            FailureAttribution::Dependency | FailureAttribution::Operator => self.stop_with(error),
        }
    }

    pub(super) async fn prepare(self, loaded: Loaded) -> Option<Ready> {
        match loaded {
            Loaded::Object(object) => {
                let span = self.0.traces.get(object.task.ticket);
                span.within(self.prepare_object(*object)).await
            }
            Loaded::Record(ready) => Some(*ready),
        }
    }

    async fn prepare_object(&self, object: LoadedObject) -> Option<Ready> {
        let SharedSteps { pipeline, run, .. } = &*self.0;
        let LoadedObject { mut task, fetched, mut permit, possible_copy } = object;
        let limits = pipeline.limits;
        let (etag, size_bytes) = fetched.version(&task.image);
        let bytes = match self.decoded(&fetched, &mut permit).await {
            Ok(bytes) => bytes,
            Err(error) => return self.failed(&task, error.class(), error.to_string()).await,
        };
        let mut meta = fetched.metadata;
        meta.append(&mut task.metadata);
        let mut outdated = None;
        if let Some(possible_copy) = possible_copy
            && let Some((sha256, exif)) = self.same_bytes(&bytes, &possible_copy).await
        {
            pipeline.reused.increment(1);
            if task.refresh && possible_copy.payload.version < PAYLOAD_VERSION {
                outdated = Some(possible_copy);
            } else {
                let thumbnail_key = possible_copy::thumbnail_of(&possible_copy, task.image.uri.bucket());
                let image = Content::Known(Box::new(possible_copy));
                return Some(Ready {
                    task,
                    image,
                    etag,
                    size_bytes,
                    sha256,
                    thumbnail: None,
                    thumbnail_key,
                    meta,
                    exif,
                });
            }
        }
        // Only the header is read here, so that the decoder's memory is taken from the budget before it is allocated.
        let preprocessing = pipeline.provider.preprocessing();
        let thumbnail = pipeline.thumbnails.is_missing(outdated.as_ref());
        let extras = imaging::Extras { thumbnail, hashes: true, ..imaging::Extras::default() };
        let cost = match imaging::prepared_size(&bytes, &limits, &preprocessing, extras) {
            Ok(cost) => cost,
            Err(error) => return self.failed(&task, error.class(), error.to_string()).await,
        };
        let pixels = pipeline.budget.take_decoded(cost).await;
        let core = pipeline.cores.clone().acquire_owned().await.ok();
        let level = run.exif;
        let decoding = tokio::task::spawn_blocking(move || {
            let sha256 = hex::encode(Sha256::digest(&bytes));
            let prepared = imaging::prepare_with(&bytes, &limits, &preprocessing, extras);
            (prepared, sha256, imaging::exif_facts(&bytes, level))
        });
        let (decoded, worked) = traces::stage("prepare").wrap(measured(decoding)).await;
        run.stages.prepare.took(worked);
        drop((core, pixels, permit));
        match decoded {
            Ok((Ok(mut prepared), sha256, exif)) => {
                let thumbnail = prepared.thumbnail.take();
                let thumbnail_key = outdated.as_ref().and_then(|record| record.payload.thumbnail_key.clone());
                let image = match outdated {
                    Some(record) => Content::Known(Box::new(possible_copy::completed(record, prepared))),
                    None => Content::New(Box::new(prepared)),
                };
                Some(Ready { task, image, etag, size_bytes, sha256, thumbnail, thumbnail_key, meta, exif })
            }
            Ok((Err(error), ..)) => self.failed(&task, error.class(), error.to_string()).await,
            Err(panic) => {
                tracing::error!(image.uri = %task.image.uri, %panic, "decoder panicked");
                self.failed(&task, FailureClass::Panicked, "the decoder panicked on this file".to_owned()).await
            }
        }
    }

    /// Returns the hash of the bytes and their facts, if the record has the same hash.
    async fn same_bytes(&self, bytes: &Bytes, record: &ImageRecord) -> Option<(String, ExifFacts)> {
        let core = self.0.pipeline.cores.clone().acquire_owned().await.ok();
        let (bytes, level, expected) = (bytes.clone(), self.0.run.exif, record.payload.content_sha256.clone());
        let compare = move || {
            let sha256 = hex::encode(Sha256::digest(&bytes));
            (sha256 == expected).then(|| (sha256, imaging::exif_facts(&bytes, level)))
        };
        // Hashing does not panic; if it did, the image would be decoded and embedded.
        let same = tokio::task::spawn_blocking(compare).await.ok()?;
        drop(core);
        same
    }

    async fn failed<T>(&self, task: &Task, class: FailureClass, message: String) -> Option<T> {
        self.failed_after(1, task, class, message).await
    }

    /// Reports a failure after a number of attempts in this lease.
    pub(super) async fn failed_after<T>(
        &self,
        attempts: u32,
        task: &Task,
        class: FailureClass,
        message: String,
    ) -> Option<T> {
        let failure = ItemFailure { uri: task.image.uri.clone(), class, message, attempts };
        self.report_outcome(task.ticket, ItemOutcome::Failed(failure)).await;
        None
    }

    pub(super) async fn report_outcome(&self, ticket: i64, result: ItemOutcome) {
        self.0.traces.end(ticket, &result);
        // The receiver is dropped only when the run is given up.
        drop(self.0.outcomes.send(TaskOutcome { ticket, result }).await);
    }

    /// Keeps the first error and stops taking tasks.
    pub(super) fn stop_with<T>(&self, error: impl Into<RunError>) -> Option<T> {
        lock(&self.0.first_error).get_or_insert(error.into());
        self.0.stop.cancel();
        None
    }
}

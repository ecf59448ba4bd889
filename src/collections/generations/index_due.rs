//! Indexes images again that are outdated in a generation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::stream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::catch_up::Changed;
use crate::domain::{CollectionName, ImageId, Indexed, ItemOutcome, StoreSet, Task, TaskOutcome};
use crate::index::IndexError;
use crate::jobs::{JobService, JobsError};
use crate::ledger::generations::due::{self, DueKey};
use crate::ledger::{LedgerError, objects};
use crate::pipeline::{Run, RunTrace, Stages, WriteLease};

/// How often an image is tried that cannot be indexed. Then it is missing in the generation.
const MAX_ATTEMPTS: u32 = 5;

impl JobService {
    pub(super) async fn index_due(
        &self,
        physical: &CollectionName,
        changed: Vec<Changed>,
        stop: CancellationToken,
    ) -> Result<(), JobsError> {
        let model = self.models.get(physical).await.map_err(JobsError::Model)?;
        let space = model.jobs.space().await;
        let space = space.map_err(|error| JobsError::Model(self.models.error(physical, &model.record, error)))?;
        // A provider that has another model now fails here, and not its images.
        for store in self.pipeline.stores().iter() {
            store.ensure_image_collection(physical, &space).await?;
        }
        let pipeline = self.pipeline.clone().with_provider(model.jobs.clone());
        let mut metadata = self.metadata_of(&changed).await?;
        let task = |(ticket, (key, image, _)): (usize, &Changed)| Task {
            ticket: i64::try_from(ticket).unwrap_or(i64::MAX),
            image: image.clone(),
            stored_in: StoreSet::default(),
            possible_copy: None,
            refresh: false,
            metadata: metadata.remove(&key.uri.id()).unwrap_or_default(),
        };
        let tasks: Vec<Task> = changed.iter().enumerate().map(task).collect();
        let run = Run {
            collection: physical.clone(),
            space: space.clone(),
            stages: Arc::new(Stages::new(pipeline.lanes(), pipeline.provider().busy())),
            write_lease: WriteLease::default(),
            exif: pipeline.exif(),
            trace: RunTrace::Own,
        };
        let (outcomes, mut reports) = mpsc::channel(tasks.len());
        let report = async {
            while let Some(TaskOutcome { ticket, result }) = reports.recv().await {
                let Some((key, _, digest)) = usize::try_from(ticket).ok().and_then(|at| changed.get(at)) else {
                    continue;
                };
                match result {
                    ItemOutcome::PartlyStored(_) => {}
                    ItemOutcome::Indexed(indexed) => {
                        self.record_due(physical, key, &space.name(), indexed, digest).await?;
                    }
                    ItemOutcome::Failed(failure) => {
                        let class = failure.class.as_str();
                        tracing::warn!(
                            collection = %physical, image.uri = %key.uri, class, failure.message,
                            "an image cannot be indexed in another generation"
                        );
                        if key.attempts + 1 >= MAX_ATTEMPTS {
                            self.end_keys(physical, vec![key.clone()], Vec::new()).await?;
                        } else {
                            self.postpone_keys(physical, vec![key.clone()], true).await?;
                        }
                    }
                }
            }
            Ok::<_, LedgerError>(())
        };
        let (worked, reported) = tokio::join!(pipeline.run(run, stream::iter([tasks]), outcomes, stop), report);
        reported?;
        // Keys without an outcome are still due.
        worked.map_err(|error| JobsError::Conflict("generation_state", error.to_string()))
    }

    /// Returns the metadata that the images have in the generation with which they are compared.
    async fn metadata_of(&self, changed: &[Changed]) -> Result<HashMap<ImageId, BTreeMap<String, String>>, JobsError> {
        let mut by_source: HashMap<&CollectionName, Vec<ImageId>> = HashMap::new();
        for (key, ..) in changed {
            by_source.entry(&key.source).or_default().push(key.uri.id());
        }
        let mut metadata = HashMap::new();
        for (source, ids) in by_source {
            let ids = &ids;
            let read = self.stores.first_reply(|store| async move { store.payloads(source, ids).await }).await;
            match read {
                Ok((_, found)) => metadata.extend(found.into_iter().map(|image| (image.id, image.payload.meta))),
                Err(IndexError::UnknownCollection(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(metadata)
    }

    async fn record_due(
        &self,
        physical: &CollectionName,
        key: &DueKey,
        space: &str,
        indexed: Indexed,
        digest: &str,
    ) -> Result<(), LedgerError> {
        let (physical, key) = (physical.clone(), key.clone());
        let (space, digest) = (space.to_owned(), digest.to_owned());
        let record = move |tx: &rusqlite::Transaction<'_>| {
            objects::put(tx, &physical, &key.uri, &space, &indexed, Some(&digest))?;
            due::done(tx, &physical, &key)
        };
        self.ledger.write(record).await
    }
}

//! Writes imported images: records that are complete go to the stores at once; for the others, the pipeline of the jobs reads
//! the object, and takes the vector from the import in place of the model.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::sync::mpsc;

use super::{Checked, failure};
use crate::domain::{
    CollectionName, DependencyError, FailureAttribution, FailureClass, FailureKind, ImageId, ImageRecord, Indexed,
    ItemFailure, ItemOutcome, Payload, Space, StoreSet, Task, TaskOutcome,
};
use crate::embed::EmbeddingModel;
use crate::index::IndexError;
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::ledger::{ObjectRow, objects};
use crate::pipeline::{Run, RunError, RunTrace, Stages, WriteLease};
use crate::source::SourceError;

/// Objects that are looked up at the same time.
const LOOKUPS: usize = 8;
/// How long the objects of a batch may take, including the time in which the bucket or a store is down.
const READ_TIMEOUT: Duration = Duration::from_mins(5);

impl JobService {
    /// Writes records that have a payload. Returns how many every store has.
    pub(super) async fn import_records(
        &self,
        collection: &CollectionName,
        space: &Space,
        images: Vec<Checked>,
        failures: &mut Vec<ItemFailure>,
    ) -> Result<u64, JobsError> {
        let records: Vec<ImageRecord> = images.into_iter().filter_map(|image| complete(image, space)).collect();
        if records.is_empty() {
            return Ok(0);
        }
        let mut stored: HashMap<ImageId, StoreSet> = HashMap::new();
        let (mut refused, mut down) = (HashMap::new(), None);
        let none = StoreSet::default();
        let mut answers = self.stores.upsert(collection, &records, &none);
        while let Some(written) = answers.next().await {
            match written.outcome {
                Ok(refusals) => {
                    let refusals: HashMap<ImageId, String> = refusals.into_iter().collect();
                    for record in &records {
                        match refusals.get(&record.id) {
                            None => stored.entry(record.id).or_default().insert(written.store),
                            Some(reason) => drop(refused.insert(record.id, format!("{}: {reason}", written.store))),
                        }
                    }
                }
                Err(error) => down = Some(error),
            }
        }
        drop(answers);
        // Also what only some stores have, as after a job.
        let rows: Vec<ObjectRow> =
            records.iter().filter_map(|record| row(record, stored.remove(&record.id)?)).collect();
        let name = collection.clone();
        self.ledger.write(move |tx| objects::put_all(tx, &name, rows)).await?;
        if let Some(error) = down {
            return Err(error.into());
        }
        let count = (records.len() - refused.len()) as u64;
        for record in records {
            if let Some(reason) = refused.remove(&record.id) {
                failures.push(failure(record.uri, FailureClass::IndexRejected, reason));
            }
        }
        Ok(count)
    }

    /// Reads objects and writes their records with the given vectors. Returns how many every store has.
    pub(super) async fn import_objects(
        &self,
        collection: &CollectionName,
        (model, space): (&Arc<EmbeddingModel>, &Arc<Space>),
        images: Vec<Checked>,
        failures: &mut Vec<ItemFailure>,
    ) -> Result<u64, JobsError> {
        let stop = self.drain.child_token();
        let (mut tasks, mut vectors) = (Vec::new(), HashMap::new());
        let find = |image: Checked| async move { (self.pipeline.source().find(&image.uri).await, image) };
        let mut found = stream::iter(images).map(find).buffered(LOOKUPS);
        while let Some((found, image)) = found.next().await {
            let class = match &found {
                Ok(Some(object)) => {
                    vectors.insert(object.uri.id(), image.embedding);
                    tasks.push(Task {
                        ticket: i64::try_from(tasks.len()).unwrap_or(i64::MAX),
                        image: object.clone(),
                        stored_in: StoreSet::default(),
                        possible_copy: None,
                        refresh: false,
                        metadata: image.meta,
                    });
                    continue;
                }
                Ok(None) => FailureClass::FetchMissing,
                Err(error) => match error.attribution() {
                    FailureAttribution::Image(class) => class,
                    FailureAttribution::Dependency | FailureAttribution::Operator => return Err(bucket_error(error)),
                },
            };
            let message = found
                .err()
                .map_or_else(|| "the object does not exist in the bucket".to_owned(), |error| error.to_string());
            failures.push(failure(image.uri, class, message));
        }
        drop(found);
        if tasks.is_empty() {
            return Ok(0);
        }
        let pipeline = self.pipeline.clone().with_provider(model.jobs.clone()).with_vectors(Arc::new(vectors));
        let run = Run {
            collection: collection.clone(),
            space: space.clone(),
            stages: Arc::new(Stages::new(pipeline.lanes(), pipeline.provider().busy())),
            write_lease: WriteLease::default(),
            exif: pipeline.exif(),
            trace: RunTrace::Own,
        };
        let (outcomes, mut reports) = mpsc::channel(tasks.len());
        let uris: Vec<_> = tasks.iter().map(|task| task.image.uri.clone()).collect();
        let (mut indexed, mut left) = (Vec::new(), uris.len());
        let report = async {
            while let Some(TaskOutcome { ticket, result }) = reports.recv().await {
                let uri = usize::try_from(ticket).ok().and_then(|at| uris.get(at));
                match (result, uri) {
                    (ItemOutcome::PartlyStored(_), _) | (_, None) => continue,
                    (ItemOutcome::Indexed(one), Some(uri)) => indexed.push((uri.clone(), one)),
                    (ItemOutcome::Failed(failure), Some(_)) => failures.push(failure),
                }
                left -= 1;
            }
        };
        let work = pipeline.run(run, stream::iter([tasks]), outcomes, stop.clone());
        let limit = async {
            tokio::time::sleep(READ_TIMEOUT).await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        let worked = tokio::select! {
            (worked, ()) = async { tokio::join!(work, report) } => worked,
            () = limit => Ok(()),
        };
        let imported = indexed.len() as u64;
        let (name, space) = (collection.clone(), space.name());
        let record = move |tx: &rusqlite::Transaction<'_>| {
            indexed
                .iter()
                .try_for_each(|(uri, one): &(_, Indexed)| objects::put(tx, &name, uri, &space, one, None).map(drop))
        };
        self.ledger.write(record).await?;
        worked.map_err(|error| match error {
            RunError::Dependency(down) => IndexError::Dependency(down).into(),
            error => JobsError::Conflict("import_failed", error.to_string()),
        })?;
        if left > 0 {
            let dependency =
                self.waiting.snapshot().map_or_else(|| "the bucket".to_owned(), |waiting| waiting.dependency);
            let detail = format!("{left} images of an import were not written in time");
            return Err(IndexError::from(DependencyError { dependency, failure: FailureKind::TimedOut, detail }).into());
        }
        Ok(imported)
    }
}

/// Returns the record of an image with a payload. What depends on the URI and the space is set again.
fn complete(image: Checked, space: &Space) -> Option<ImageRecord> {
    let Checked { uri, embedding, payload, .. } = image;
    let payload = *payload?;
    let payload = Payload {
        s3_key: uri.key().to_owned(),
        s3_bucket: uri.bucket().to_owned(),
        s3_folders: uri.folders(),
        s3_uri: uri.clone(),
        space: space.name(),
        ..payload
    };
    let meta_kv = payload.meta.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Some(ImageRecord { id: uri.id(), uri, embedding, payload: Payload { meta_kv, ..payload } })
}

fn row(record: &ImageRecord, stores: StoreSet) -> Option<ObjectRow> {
    let Payload { etag, size_bytes, space, .. } = &record.payload;
    Some(ObjectRow {
        uri: record.uri.clone(),
        etag: etag.clone()?,
        size_bytes: *size_bytes,
        space: space.clone(),
        stores,
    })
}

fn bucket_error(error: &SourceError) -> JobsError {
    match error {
        SourceError::Dependency(down) => IndexError::Dependency(down.clone()).into(),
        error => JobsError::Conflict("bucket_unusable", error.to_string()),
    }
}

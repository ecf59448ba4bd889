//! Plans a rebuild: its images are the objects that the ledger has of the current generation, and not a listing of the bucket.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use crate::domain::{CollectionName, ImageId, ImageRef, ImageUri, JobRecord};
use crate::index::IndexError;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::plan::Planner;
use crate::jobs::service::tally;
use crate::ledger::metadata;
use crate::ledger::objects::{self, ObjectRow};
use crate::ledger::planning::{self, Page, listing};

/// Objects of one page, whose payloads are read from a store at once.
const PAGE: u32 = 500;

impl Planner {
    /// Plans the objects of `source`, page by page, until `stop`.
    pub(crate) async fn plan_rebuild(
        &self,
        job: &JobRecord,
        source: CollectionName,
        stop: &CancellationToken,
    ) -> Result<(), JobFailure> {
        let id = job.id;
        // For a rebuild, `listed_through` is the last URI instead of the last key.
        let (through, _) = self.ledger.read(move |db| listing::progress(db, id)).await?;
        let mut after = through.and_then(|uri| ImageUri::parse(&uri).ok());
        while !stop.is_cancelled() {
            self.wait_for_space().await;
            let (name, from) = (source.clone(), after.clone());
            let rows = self.ledger.read(move |db| objects::page(db, &name, from.as_ref(), PAGE)).await?;
            let Some(last) = rows.last().map(|row| row.uri.clone()) else { break };
            self.keep_metadata(job, &source, &rows).await?;
            let listed_through = Some(last.to_string());
            after = Some(last);
            let images: Vec<ImageRef> = rows.into_iter().map(to_image).collect();
            let page = Page { listed_through, listed: images.len() as u64, images, ..Page::default() };
            let planned = self.ledger.in_steps(planning::plan(id, page, self.planning.clone())).await?;
            tally::planned(&planned);
            self.planned.notify_waiters();
        }
        if !stop.is_cancelled() {
            self.ledger.in_steps(planning::complete(id, self.planning.clone(), false)).await?;
        }
        self.planned.notify_waiters();
        Ok(())
    }

    /// Gives the job the metadata that the images have in the current generation: some of it is not in the bucket, because it
    /// comes from the metadata file of an earlier job.
    async fn keep_metadata(
        &self,
        job: &JobRecord,
        source: &CollectionName,
        rows: &[ObjectRow],
    ) -> Result<(), JobFailure> {
        let uris: HashMap<ImageId, ImageUri> = rows.iter().map(|row| (row.uri.id(), row.uri.clone())).collect();
        let ids: Vec<ImageId> = uris.keys().copied().collect();
        let mut left = ids;
        let mut known = Vec::new();
        for store in self.stores.iter() {
            let found = match store.payloads(source, &left).await {
                Ok(found) => found,
                Err(IndexError::UnknownCollection(_)) => continue,
                Err(error) => return Err(JobFailure::Store(error)),
            };
            left.retain(|id| !found.iter().any(|image| image.id == *id));
            known.extend(found.into_iter().filter_map(|image| {
                let uri = uris.get(&image.id)?.clone();
                Some((uri, image.payload.meta)).filter(|(_, meta)| !meta.is_empty())
            }));
            if left.is_empty() {
                break;
            }
        }
        let (id, source) = (job.id, source.clone());
        Ok(self.ledger.write(move |tx| metadata::put_known(tx, id, &source, &known)).await?)
    }
}

fn to_image(row: ObjectRow) -> ImageRef {
    ImageRef { uri: row.uri, etag: Some(row.etag), size_bytes: row.size_bytes, modified: None }
}

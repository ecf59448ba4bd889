//! The access of remote workers to the records of the embedded index, which only the service can open.

use crate::domain::ImageRecord;
use crate::domain::wire::{RecordsReply, RecordsRequest, WireRecord};
use crate::index::IndexError;
use crate::jobs::error::JobsError;
use crate::jobs::remote::worker_job::WorkerJob;
use crate::ledger::leases;

impl WorkerJob {
    /// Gives a worker access to the job's collection in the embedded index, which the worker cannot open itself.
    ///
    /// # Errors
    /// [`JobsError::JobEnded`], [`JobsError::WorkerRefused`], [`JobsError::Index`]
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
}

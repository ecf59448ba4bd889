//! Finds the records that a job with `refresh` completes.

use std::collections::HashSet;

use crate::domain::{ImageId, ImageRef, ImageUri, PAYLOAD_VERSION};
use crate::index::IndexError;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::plan::Planner;

impl Planner {
    /// Returns the images whose record in a store is of an earlier version, or has other facts of EXIF than it should.
    pub(super) async fn outdated(&self, images: &[ImageRef]) -> Result<HashSet<ImageUri>, JobFailure> {
        let ids: Vec<ImageId> = images.iter().map(|image| image.uri.id()).collect();
        let mut outdated = HashSet::new();
        for store in self.stores.iter() {
            let records = match store.payloads(&self.planning.collection, &ids).await {
                // A dry run does not create the collection.
                Err(IndexError::UnknownCollection(_)) => continue,
                records => records.map_err(JobFailure::Store)?,
            };
            let payloads = records.into_iter().map(|record| record.payload);
            let older = payloads.filter(|payload| payload.version < PAYLOAD_VERSION || payload.exif.level != self.exif);
            outdated.extend(older.map(|payload| payload.s3_uri));
        }
        Ok(outdated)
    }
}

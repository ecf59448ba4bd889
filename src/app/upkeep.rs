//! What runs in the background as long as the service does.

use crate::calibration::Calibration;
use crate::collection_models::CollectionModels;
use crate::disk::DiskWatch;
use crate::shutdown::Shutdown;
use crate::source::EmbeddedS3;

/// Watches the disk, and refuses objects of the embedded bucket while it has not enough space. Stops the service if the embedded
/// bucket ends. The bucket keeps running during the drain, because jobs that end still read from it.
pub(super) fn watch_disk(disk: DiskWatch, bucket: Option<&EmbeddedS3>, shutdown: &Shutdown) {
    if let Some(server) = bucket {
        shutdown.spawn("space of the bucket", disk.clone().report(shutdown.drain(), server.storage_switch()));
        let (ended, drain) = (server.ended(), shutdown.drain());
        shutdown.spawn("embedded S3 server", async move {
            drain.run_until_cancelled(ended).await;
        });
    }
    shutdown.spawn("watch of the disk", disk.keep(shutdown.drain()));
}

/// Compares the collections of the stores with the model of the settings, in the background.
pub(super) fn compare_models(models: &CollectionModels, shutdown: &Shutdown) {
    let (models, end) = (models.clone(), shutdown.drain());
    shutdown.tasks().spawn(async move { models.compare_with_settings(end).await });
}

/// Calibrates the model in the background.
pub(super) fn keep_calibration(calibration: &Calibration, shutdown: &Shutdown) {
    let (calibration, end) = (calibration.clone(), shutdown.drain());
    shutdown.spawn("calibration of the model", async move { calibration.keep(end).await });
}

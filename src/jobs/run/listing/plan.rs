//! Lists keys, filters them and makes batches. The listing is never held in memory: each page goes into the ledger with
//! the position of the next page, so that an interrupted job continues there.
//!
//! A listing begins in one lane. If it is long, and if the bucket can list the keys after a given one, the rest is
//! listed in several lanes.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::disk::DiskWatch;
use crate::domain::{CollectionName, ExifLevel, JobRecord};
use crate::index::Stores;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::lanes;
use crate::jobs::run::listing::one_lane::Ended;
use crate::ledger::Ledger;
use crate::ledger::planning::{Planning, listing, ranges};
use crate::source::ImageSource;

/// The parts of the service that planning needs.
#[derive(Clone)]
pub(crate) struct Planner {
    pub(crate) ledger: Ledger,
    pub(crate) source: Arc<dyn ImageSource>,
    pub(crate) stores: Stores,
    pub(crate) planning: Planning,
    pub(crate) thumbnail_prefix: String,
    /// Maximum bytes of an image.
    pub(crate) max_bytes: u64,
    /// Which facts of EXIF, IPTC and XMP records have.
    pub(crate) exif: ExifLevel,
    /// For a rebuild: the name in the stores of the current generation, whose images are taken.
    pub(crate) source_generation: Option<CollectionName>,
    pub(crate) lanes: ListLanes,
    /// Notified after each page, since there may be work to lease.
    pub(crate) planned: Arc<Notify>,
    /// No page is planned while there is not enough space.
    pub(crate) disk: DiskWatch,
    /// Cancelled when the job is stopped.
    pub(crate) stop: CancellationToken,
}

/// In how many lanes the keys of a job are listed, and from which number of keys on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListLanes {
    /// `S3_LIST_LANES`: maximum number of pages that are requested at the same time.
    pub(crate) number: NonZeroUsize,
    /// Number of keys that are listed in one lane first. With fewer keys, the requests that divide the rest would take
    /// longer than they save.
    pub(crate) keys_in_one_lane: u64,
    /// Estimated number of keys that a range must have left to be divided.
    pub(crate) min_keys_left: u32,
}

impl ListLanes {
    /// Returns the lanes of the setting.
    pub(crate) fn new(number: usize) -> Self {
        let number = NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self { number, keys_in_one_lane: 2_000, min_keys_left: 3_000 }
    }
}

/// Keys of one ledger transaction: the page size of S3.
pub(crate) const PAGE: usize = 1000;

impl Planner {
    /// Lists the job's scope until its end or until `stop`.
    pub(crate) async fn plan(&self, job: &JobRecord, stop: &CancellationToken) -> Result<(), JobFailure> {
        let id = job.id;
        let (_, complete) = self.ledger.read(move |db| listing::progress(db, id)).await?;
        if complete {
            return Ok(());
        }
        if let Some(of) = job.spec.retry_of {
            return self.plan_retry(job, of, stop).await;
        }
        if let Some(source) = self.source_generation.clone() {
            return self.plan_rebuild(job, source, stop).await;
        }
        // Not by the connection that only reads: writes of an earlier run can still be in the queue.
        let has_ranges = !self.ledger.write(move |tx| ranges::list(tx, id)).await?.is_empty();
        if !has_ranges && self.plan_in_one_lane(job, stop).await? == Ended::Here {
            return Ok(());
        }
        lanes::list_ranges(self, job, stop).await
    }

    /// Waits until the disk has enough space for the next page, or until the job is stopped.
    pub(crate) async fn wait_for_space(&self) {
        self.stop.run_until_cancelled(self.disk.wait_for_space()).await;
    }
}

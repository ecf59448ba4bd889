//! Tests of a listing in several lanes, over a bucket in memory: it has the same result as one lane, or it fails.

mod changes;
mod equality;
mod order;
mod requests;
mod restarts;

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::fake_bucket::FakeBucket;
use crate::disk::{DiskSettings, DiskWatch, MinFree};
use crate::domain::{Executor, ImageUri, JobId, JobRecord, StoreSet};
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::plan::{ListLanes, Planner};
use crate::ledger::planning::{Planning, listing};
use crate::ledger::{Ledger, ObjectRow, fixture, logs};
use crate::resilience::WaitList;

/// A job over a bucket.
struct Setup {
    _folder: tempfile::TempDir,
    ledger: Ledger,
    job: JobRecord,
    planner: Planner,
    stop: CancellationToken,
}

impl Setup {
    async fn new(bucket: &FakeBucket, prefix: &str, lanes: usize, sync: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let mut job = fixture::job(Executor::Local);
        (job.spec.prefix, job.spec.sync, job.spec.any_extension) = (prefix.to_owned(), sync, true);
        fixture::begin(&ledger, &job).await;
        let owned_prefix = sync.then(|| format!("s3://b/{prefix}"));
        let number = NonZeroUsize::new(lanes).unwrap();
        let planner = Planner {
            source_generation: None,
            exif: crate::domain::ExifLevel::Basic,
            ledger: ledger.clone(),
            source: Arc::new(bucket.clone()),
            stores: store::stores(folder.path()),
            planning: Planning { owned_prefix, ..fixture::planning(10) },
            thumbnail_prefix: String::new(),
            max_bytes: 1_000,
            lanes: ListLanes { number, keys_in_one_lane: 5, min_keys_left: 4 },
            planned: Arc::new(Notify::new()),
            disk: DiskWatch::new(
                folder.path(),
                DiskSettings { glimpse_disk_min_free: MinFree::Off },
                WaitList::default(),
            ),
            stop: CancellationToken::new(),
        };
        Self { _folder: folder, ledger, job, planner, stop: CancellationToken::new() }
    }

    async fn plan(&self) -> Result<(), JobFailure> {
        self.planner.plan(&self.job, &self.stop).await
    }

    /// The planned keys in their order, also those that are planned twice.
    async fn planned(&self) -> Vec<String> {
        let id = self.job.id;
        let uris = move |db: &rusqlite::Connection| {
            let mut rows = db.prepare("SELECT uri FROM items WHERE job = ?1 ORDER BY uri")?;
            rows.query_map([id], |row| row.get::<_, ImageUri>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        self.ledger.read(uris).await.unwrap().iter().map(|uri| uri.key().to_owned()).collect()
    }

    async fn is_complete(&self) -> bool {
        let id: JobId = self.job.id;
        self.ledger.read(move |db| listing::progress(db, id)).await.unwrap().1
    }

    async fn log(&self) -> String {
        let id = self.job.id;
        let page = self.ledger.read(move |db| logs::page(db, id, None)).await.unwrap();
        page.lines.into_iter().map(|(_, line)| line + "\n").collect()
    }

    /// Records that the collection has these keys.
    async fn record(&self, keys: impl IntoIterator<Item = String>) {
        let row = |key: String| ObjectRow {
            uri: ImageUri::new("b", &key),
            etag: "e".to_owned(),
            size_bytes: 1,
            space: "s".to_owned(),
            stores: StoreSet::parse("embedded"),
        };
        fixture::record(&self.ledger, keys.into_iter().map(row).collect()).await;
    }
}

fn numbered(keys: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    keys.map(|key| format!("images/{key:06}.jpg"))
}

/// A store, which these tests do not use.
#[cfg(test)]
mod store {
    use std::path::Path;
    use std::sync::Arc;

    use crate::index::Stores;
    use crate::index::embedded::EmbeddedIndex;

    pub(super) fn stores(folder: &Path) -> Stores {
        Stores::new(vec![Arc::new(EmbeddedIndex::open(&folder.join("index")).unwrap())])
    }
}

//! Watches the free space of the disk with the data folder. Below the minimum, jobs, mirrors and uploads wait until there is
//! space; searches and removals go on.

mod settings;
mod space;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::resilience::WaitList;
use crate::telemetry::metrics::{families, gauge};

pub use settings::{DiskSettings, MinFree};
pub use space::{Bytes, DiskLevel, DiskSpace};

/// The name of the dependency in the status of a job that waits for space.
pub const DISK: &str = "disk";
/// The pause between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// The watch of one folder. Clones share it.
#[derive(Clone, Debug)]
pub struct DiskWatch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    min_free: MinFree,
    waiting: WaitList,
    state: watch::Sender<DiskState>,
}

/// What the last look found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DiskState {
    level: DiskLevel,
    /// `None` if it is not known.
    space: Option<DiskSpace>,
}

impl DiskWatch {
    /// Creates the watch and looks once. While there is not enough space, `waiting` has an entry.
    pub fn new(folder: &Path, settings: DiskSettings, waiting: WaitList) -> Self {
        let (state, _) = watch::channel(DiskState::default());
        let shared = Shared { folder: folder.to_owned(), min_free: settings.glimpse_disk_min_free, waiting, state };
        let watch = Self(Arc::new(shared));
        watch.record(DiskSpace::measure(folder), &mut None);
        watch
    }

    /// Looks every few seconds until `end` is cancelled.
    pub async fn keep(self, end: CancellationToken) {
        let mut entry = self.0.waiting.entry(DISK);
        let mut problem = None;
        while !end.is_cancelled() {
            let folder = self.0.folder.clone();
            // A network file system can take its time.
            let measured = tokio::task::spawn_blocking(move || DiskSpace::measure(&folder)).await;
            self.record(measured.unwrap_or_else(|error| Err(io::Error::other(error))), &mut problem);
            match self.problem() {
                Some(message) => {
                    entry.wait(INTERVAL, message);
                    entry.set_disk_full(true);
                }
                None => entry.clear(),
            }
            end.run_until_cancelled(tokio::time::sleep(INTERVAL)).await;
        }
    }

    /// Waits until there is enough space.
    pub async fn wait_for_space(&self) {
        let mut state = self.0.state.subscribe();
        // The sender lives as long as this value.
        drop(state.wait_for(|state| state.level < DiskLevel::Full).await);
    }

    /// Returns a sentence that says what is missing, while there is not enough space.
    pub fn problem(&self) -> Option<String> {
        let state = *self.0.state.borrow();
        (state.level == DiskLevel::Full)
            .then(|| self.describe(state, "jobs, mirrors and uploads wait until there is more"))
    }

    /// Returns a sentence while there is little space or not enough.
    pub fn note(&self) -> Option<String> {
        let state = *self.0.state.borrow();
        match state.level {
            DiskLevel::Enough => None,
            DiskLevel::Low => Some(self.describe(state, "jobs, mirrors and uploads will wait below the minimum")),
            DiskLevel::Full => self.problem(),
        }
    }

    /// Calls `change` now and after each change, with the sentence of [`DiskWatch::problem`], until `end` is cancelled.
    pub async fn report(self, end: CancellationToken, change: impl Fn(Option<String>)) {
        let mut state = self.0.state.subscribe();
        loop {
            state.mark_unchanged();
            change(self.problem());
            if !matches!(end.run_until_cancelled(state.changed()).await, Some(Ok(()))) {
                return;
            }
        }
    }

    fn record(&self, measured: io::Result<Option<DiskSpace>>, failure: &mut Option<String>) {
        let space = match measured {
            Ok(space) => {
                *failure = None;
                space
            }
            Err(error) => {
                // Logged once, and nothing waits because of it.
                if failure.replace(error.to_string()).is_none() {
                    let folder = self.0.folder.display();
                    tracing::warn!(%error, %folder, "the free space of the data folder cannot be measured");
                }
                None
            }
        };
        let before = self.0.state.borrow().level;
        let min = space.map_or(0, |space| self.0.min_free.bytes(space.total));
        let level = space.map_or(DiskLevel::Enough, |space| space.level(min, before));
        let state = DiskState { level, space };
        if let Some(space) = space {
            observe(space, min);
        }
        self.0.state.send_replace(state);
        match (before, level) {
            (before, now) if before == now => {}
            (_, DiskLevel::Full) => tracing::error!("{}", self.problem().unwrap_or_default()),
            (_, DiskLevel::Low) => tracing::warn!("{}", self.note().unwrap_or_default()),
            (_, DiskLevel::Enough) => {
                tracing::info!(folder = %self.0.folder.display(), "the disk of the data folder has enough space again");
            }
        }
    }

    fn describe(&self, state: DiskState, consequence: &str) -> String {
        let space = state.space.unwrap_or(DiskSpace { free: 0, total: 0 });
        let (folder, min_free) = (self.0.folder.display(), self.0.min_free);
        let min = Bytes(min_free.bytes(space.total));
        format!(
            "the disk of the data folder {folder} (GLIMPSE_DATA_DIR) has {} of {} free; the minimum is {min} \
             (GLIMPSE_DISK_MIN_FREE={min_free}); {consequence}",
            Bytes(space.free),
            Bytes(space.total),
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric")]
fn observe(space: DiskSpace, min: u64) {
    gauge!(families::DISK_FREE).set(space.free as f64);
    gauge!(families::DISK_TOTAL).set(space.total as f64);
    gauge!(families::DISK_MIN_FREE).set(min as f64);
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn watch() -> DiskWatch {
        let settings = DiskSettings { glimpse_disk_min_free: MinFree::Megabytes(1) };
        DiskWatch::new(Path::new("."), settings, WaitList::default())
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the function takes it")]
    fn space(kilobytes: u64) -> io::Result<Option<DiskSpace>> {
        Ok(Some(DiskSpace { free: kilobytes << 10, total: 1 << 30 }))
    }

    #[tokio::test]
    async fn waiters_continue_when_there_is_space() {
        let watch = watch();
        watch.record(space(1_023), &mut None);
        let problem = watch.problem().unwrap();
        for part in ["the data folder .", "1023 KB of 1024 MB free", "GLIMPSE_DISK_MIN_FREE=1 MB"] {
            assert!(problem.contains(part), "{problem}");
        }
        let mut waiter = Box::pin(watch.wait_for_space());
        assert!(waiter.as_mut().now_or_never().is_none());
        watch.record(space(1_100), &mut None);
        assert!(waiter.as_mut().now_or_never().is_none(), "less than a tenth more");
        watch.record(space(1_500), &mut None);
        waiter.await;
        assert!(watch.problem().is_none() && watch.note().unwrap().contains("will wait below the minimum"));
        watch.record(space(5_000), &mut None);
        assert_eq!(watch.note(), None);
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_measured_stops_nothing() {
        let watch = watch();
        watch.record(space(1), &mut None);
        let mut failure = None;
        watch.record(Err(io::Error::other("gone")), &mut failure);
        watch.wait_for_space().await;
        assert_eq!((watch.note(), failure.as_deref()), (None, Some("gone")));
    }
}

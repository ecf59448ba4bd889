//! Mirrors: collections that agree with a part of a bucket. A scheduler submits jobs at the times of a schedule (`runs`).
//! Events of the bucket name keys that may have changed (`events`), and a lane beside the jobs compares these keys with
//! the bucket (`lane`). Events can be lost, repeated or in the wrong order; the listing of the next run is what counts.

mod activity;
mod control;
mod error;
mod events;
mod lane;
mod runs;
mod schedule;
mod submission;
mod tally;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, mpsc};

use crate::domain::{Excludes, MirrorName};
use crate::jobs::Jobs;
use crate::ledger::{Ledger, LedgerError, events as pending};

pub use activity::Recent;
pub use control::{MirrorView, Stored};
pub use error::MirrorsError;
pub use events::{
    Acknowledged, EventQueue, MAX_QUEUE_MESSAGES, QueueError, QueueMessage, Sns, SnsError, SnsMessage, SnsTopic,
};
pub(crate) use lane::{ClaimError, LaneUpload, UploadEnd};
pub use schedule::InvalidSchedule;

/// Maximum number of mirrors.
pub const MAX_MIRRORS: usize = 100;

/// The service of mirrors. Clones share it.
#[derive(Clone, Debug)]
pub struct Mirrors(Arc<MirrorService>);

/// The patterns of a mirror, and what they were compiled to.
type CompiledExcludes = (Option<Vec<String>>, Arc<Excludes>);

#[derive(Debug)]
struct MirrorService {
    jobs: Jobs,
    ledger: Ledger,
    sns: Arc<dyn Sns>,
    activity: activity::Activity,
    /// The patterns of excluded keys of each mirror that has had events, with the text that they were made of.
    excludes: Mutex<HashMap<MirrorName, CompiledExcludes>>,
    /// Deliveries that wait to be written to the ledger.
    deliveries: mpsc::Sender<events::Delivery>,
    /// Notified when a mirror or a run may be due.
    wake_runs: Notify,
    /// Notified when there are new keys.
    wake_lane: Notify,
}

impl Mirrors {
    /// Starts the service in three tasks, which run until the job service is asked to stop. Keys that the previous
    /// process worked on are due again.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be used.
    pub async fn start(
        jobs: &Jobs,
        sns: Arc<dyn Sns>,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), LedgerError> {
        let ledger = jobs.0.ledger.clone();
        match ledger.write(pending::give_back_all).await {
            // The service must be able to start on a full disk: the keys are given back at the next start.
            Err(error) if error.may_pass() => tracing::error!(%error, "the keys of events could not be given back"),
            given_back => given_back?,
        }
        let (deliveries, queue) = mpsc::channel(events::MAX_WAITING_DELIVERIES);
        let mirrors = Self(Arc::new(MirrorService {
            jobs: jobs.clone(),
            ledger,
            sns,
            activity: activity::Activity::default(),
            excludes: Mutex::default(),
            deliveries,
            wake_runs: Notify::new(),
            wake_lane: Notify::new(),
        }));
        let service = mirrors.0.clone();
        let work = async move {
            tokio::join!(service.clone().keep_schedules(), service.clone().write_deliveries(queue), service.work());
        };
        Ok((mirrors, work))
    }
}

/// Returns the current time in Unix milliseconds.
fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

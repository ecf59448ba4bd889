//! How a running job gets on: its pace, its timings, what it waits for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, SetOnce};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pools::PlacingView;
use super::remote_workers::RemoteWorkers;
use crate::domain::{Executor, JobCounts, Space};
use crate::embed::Busy;
use crate::pipeline::Stages;
pub use crate::pipeline::{StageReport, StagesReport};

/// Pace and timings, as they are shown and, at the end, kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// While it runs, over the last half minute; at the end, over the whole run.
    pub images_per_second: f64,
    /// Over this whole run of it. Summaries of earlier versions have none.
    #[serde(default)]
    pub overall: Option<f64>,
    /// Time per stage.
    pub stages: StagesReport,
}

/// A job at work in this process.
#[derive(Debug)]
pub(super) struct RunningJob {
    pub(super) stages: Arc<Stages>,
    /// Cancelled by whoever stops this one job.
    pub(super) stop: CancellationToken,
    /// Told when there may be more to lease, and when something was reported.
    pub(super) more: Arc<Notify>,
    /// Its collection's, once that is known.
    pub(super) space: OnceLock<Arc<Space>>,
    /// Its workers elsewhere.
    pub(super) remote_workers: RemoteWorkers,
    /// What a cluster says of them.
    pub(super) placing: PlacingView,
    /// A worker elsewhere that met what only the operator can change, and what that is: this ends the job.
    pub(super) operator: SetOnce<(String, String)>,
    /// Who goes on with it, where that was changed: this run of it then ends, and the next begins.
    goes_to: OnceLock<Executor>,
    /// What a search may still miss when the job ends.
    pub(super) unsettled: OnceLock<String>,
    begun: Instant,
    /// What was dealt with when this run of it began.
    before: u64,
    samples: Mutex<Samples>,
}

impl RunningJob {
    pub(super) fn new(stages: Stages, stop: CancellationToken, before: &JobCounts) -> Self {
        Self {
            stages: Arc::new(stages),
            stop,
            more: Arc::default(),
            space: OnceLock::new(),
            remote_workers: RemoteWorkers::new(),
            placing: PlacingView::default(),
            operator: SetOnce::new(),
            goes_to: OnceLock::new(),
            unsettled: OnceLock::new(),
            begun: Instant::now(),
            before: dealt_with(before),
            samples: Mutex::new(Samples::new(dealt_with(before))),
        }
    }

    /// Ends this run of the job: another executor goes on with it.
    pub(super) fn go_to(&self, executor: Executor) {
        self.goes_to.get_or_init(|| executor);
        self.stop.cancel();
    }

    /// Who goes on with it, if not this run.
    pub(super) fn goes_to(&self) -> Option<Executor> {
        self.goes_to.get().copied()
    }

    /// Whether this run of it ends because another executor goes on.
    pub(super) fn goes_elsewhere(&self) -> bool {
        self.goes_to().is_some()
    }

    /// Notes where the counts stand.
    pub(super) fn count(&self, counts: &JobCounts) {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).count(dealt_with(counts));
    }

    /// Images per second over the last half minute.
    pub(super) fn rate(&self) -> f64 {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).rate()
    }

    /// Where the time goes: here, or where its workers are. `provider` is what the provider of this process has worked.
    pub(super) fn stages(&self, executor: Executor, provider: Option<Busy>) -> StagesReport {
        match executor {
            Executor::Local => self.stages.timings(provider).report(None),
            Executor::Workers | Executor::Ray => self.remote_workers.stages(),
        }
    }

    /// Images per second since this run of it began.
    pub(super) fn overall(&self, counts: &JobCounts) -> f64 {
        per_second(dealt_with(counts).saturating_sub(self.before), self.begun.elapsed())
    }
}

/// When how many were dealt with, over the last [`WINDOW`].
#[derive(Debug)]
pub(super) struct Samples(VecDeque<(Instant, u64)>);

const WINDOW: Duration = Duration::from_secs(30);

impl Samples {
    /// Begins with what was dealt with before.
    pub(super) fn new(before: u64) -> Self {
        Self(VecDeque::from([(Instant::now(), before)]))
    }

    /// Notes where the count stands.
    pub(super) fn count(&mut self, dealt_with: u64) {
        let now = Instant::now();
        self.0.push_back((now, dealt_with));
        // One sample older than the window stays: the pace is measured from there.
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.0.pop_front();
        }
    }

    /// Per second over the window.
    pub(super) fn rate(&self) -> f64 {
        match (self.0.front(), self.0.back()) {
            (Some((since, before)), Some((_, now))) => per_second(now - before, since.elapsed()),
            _ => 0.0,
        }
    }
}

/// Done and failed.
pub(super) fn dealt_with(counts: &JobCounts) -> u64 {
    counts.done + counts.failed
}

fn per_second(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 images")]
    let rate = count as f64 / time.as_secs_f64().max(1e-3);
    (rate * 10.0).round() / 10.0
}

//! The progress of a running job: its rate, its timings and its remote workers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, SetOnce};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{Executor, JobCounts, Space};
use crate::embed::{Busy, EmbeddingModel};
use crate::jobs::placing::view::PlacingView;
use crate::jobs::remote::remote_workers::RemoteWorkers;
use crate::jobs::run::throughput::Throughput;
use crate::lock::lock;
pub(crate) use crate::pipeline::{StageReport, StagesReport};
use crate::pipeline::{Stages, TimingTotals};

/// Rates and timings of a job, as the API shows them and as the ledger keeps them after the job's end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Images per second: over the last 30 seconds while the job runs, over the whole run after its end.
    pub images_per_second: f64,
    /// Images per second over the whole run. Summaries of earlier versions do not have it.
    #[serde(default)]
    pub overall: Option<f64>,
    /// The time per stage.
    pub stages: StagesReport,
    /// Images over time. Summaries of earlier versions do not have it.
    #[serde(default)]
    pub throughput: Option<Throughput>,
}

/// A job that runs in this process.
#[derive(Debug)]
pub(crate) struct RunningJob {
    pub(crate) stages: Arc<Stages>,
    /// What was measured in this process.
    totals: Mutex<TimingTotals>,
    /// Cancelled to stop this job.
    pub(crate) stop: CancellationToken,
    /// Notified when there may be more work to lease and when outcomes were reported.
    pub(crate) work_changed: Arc<Notify>,
    /// The space of its collection, as soon as it is known.
    pub(crate) space: OnceLock<Arc<Space>>,
    /// The model of its collection, as soon as it is loaded.
    pub(crate) model: OnceLock<Arc<EmbeddingModel>>,
    /// Its remote workers.
    pub(crate) remote_workers: RemoteWorkers,
    /// What the cluster reports about these workers.
    pub(crate) placing: PlacingView,
    /// The name of a remote worker that met a problem which only the operator can fix, and the problem. This ends the
    /// job.
    pub(crate) operator: SetOnce<(String, String)>,
    /// The executor that the job was moved to. This run then ends, and the next run begins.
    next_executor: OnceLock<Executor>,
    /// Whether a client has paused the job. This run then ends.
    is_paused: AtomicBool,
    /// A warning about vectors that a search may still miss when the job ends.
    pub(crate) unsettled: OnceLock<String>,
    begun: Instant,
    /// Images that were done or had failed when this run began.
    processed_before: u64,
    samples: Mutex<Samples>,
    /// The number of images that were processed at the last count, and the images over time.
    throughput: Mutex<(u64, Throughput)>,
}

impl RunningJob {
    pub(crate) fn new(stages: Stages, stop: CancellationToken, counts: &JobCounts) -> Self {
        Self {
            stages: Arc::new(stages),
            totals: Mutex::default(),
            stop,
            work_changed: Arc::default(),
            space: OnceLock::new(),
            model: OnceLock::new(),
            remote_workers: RemoteWorkers::new(),
            placing: PlacingView::default(),
            operator: SetOnce::new(),
            next_executor: OnceLock::new(),
            is_paused: AtomicBool::new(false),
            unsettled: OnceLock::new(),
            begun: Instant::now(),
            processed_before: processed(counts),
            samples: Mutex::new(Samples::new(processed(counts))),
            throughput: Mutex::new((processed(counts), Throughput::default())),
        }
    }

    /// Records the model of the job's collection and its space.
    pub(crate) fn set_model(&self, model: &Arc<EmbeddingModel>, space: &Arc<Space>) {
        if self.model.set(model.clone()).is_ok() {
            self.stages.begin_provider(self.busy());
        }
        self.space.get_or_init(|| space.clone());
    }

    /// Ends this run of the job, so that another executor continues it.
    pub(crate) fn move_to_executor(&self, executor: Executor) {
        self.next_executor.get_or_init(|| executor);
        self.stop.cancel();
    }

    /// Ends this run of the job until a client resumes it.
    pub(crate) fn pause(&self) {
        self.is_paused.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }

    /// Returns whether this run ends because a client has paused the job.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Returns the executor that continues the job, if it was moved.
    pub(crate) fn next_executor(&self) -> Option<Executor> {
        self.next_executor.get().copied()
    }

    /// Returns whether this run ends because the job was moved to another executor.
    pub(crate) fn is_moved(&self) -> bool {
        self.next_executor().is_some()
    }

    /// Records the current counts.
    pub(crate) fn count(&self, counts: &JobCounts) {
        let processed = processed(counts);
        lock(&self.samples).count(processed);
        let (counted, throughput) = &mut *lock(&self.throughput);
        throughput.add(processed.saturating_sub(*counted), self.begun.elapsed());
        *counted = processed.max(*counted);
    }

    /// Returns images over the time of this run.
    pub(crate) fn throughput(&self) -> Throughput {
        lock(&self.throughput).1.until(self.begun.elapsed())
    }

    /// Returns images per second over the last 30 seconds.
    pub(crate) fn rate(&self) -> f64 {
        lock(&self.samples).rate()
    }

    /// Returns how long the threads of the job's model have worked, if it runs in this process.
    fn busy(&self) -> Option<Busy> {
        self.model.get()?.jobs.busy()
    }

    /// Returns the time per stage, in this process or on the remote workers.
    pub(crate) fn stages(&self, executor: Executor) -> StagesReport {
        match executor {
            Executor::Local => {
                let mut totals = lock(&self.totals);
                totals.add("", &self.stages.drain(self.busy()));
                totals.report(false)
            }
            Executor::Workers | Executor::Ray => self.remote_workers.stages(),
        }
    }

    /// Returns images per second since this run began.
    pub(crate) fn overall(&self, counts: &JobCounts) -> f64 {
        per_second(processed(counts).saturating_sub(self.processed_before), self.begun.elapsed())
    }
}

/// Counts of processed images with their times, over the last [`WINDOW`].
#[derive(Debug)]
pub(crate) struct Samples(VecDeque<(Instant, u64)>);

const WINDOW: Duration = Duration::from_secs(30);

impl Samples {
    /// Starts with the number of images that were processed before.
    pub(crate) fn new(processed: u64) -> Self {
        Self(VecDeque::from([(Instant::now(), processed)]))
    }

    /// Records the current count.
    pub(crate) fn count(&mut self, processed: u64) {
        let now = Instant::now();
        self.0.push_back((now, processed));
        // Keeps one sample that is older than the window, as the start of the measurement.
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.0.pop_front();
        }
    }

    /// Returns images per second over the window.
    pub(crate) fn rate(&self) -> f64 {
        match (self.0.front(), self.0.back()) {
            (Some((since, first)), Some((_, last))) => per_second(last - first, since.elapsed()),
            _ => 0.0,
        }
    }
}

/// Returns the number of images that are done or have failed.
pub(crate) fn processed(counts: &JobCounts) -> u64 {
    counts.done + counts.failed
}

fn per_second(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 images")]
    let rate = count as f64 / time.as_secs_f64().max(1e-3);
    (rate * 10.0).round() / 10.0
}

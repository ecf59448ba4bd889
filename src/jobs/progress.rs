//! How a running job gets on: its pace, its timings, what it waits for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::JobCounts;
use crate::pipeline::Stages;
pub use crate::pipeline::stages::{StageReport, StagesReport};

/// Pace and timings, as they are shown and, at the end, kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// While it runs, over the last half minute; at the end, over the whole run.
    pub images_per_second: f64,
    /// Time per stage.
    pub stages: StagesReport,
}

/// A job at work in this process.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) stages: Arc<Stages>,
    /// Cancelled by whoever stops this one job.
    pub(super) stop: CancellationToken,
    begun: Instant,
    /// When how many were dealt with, over the last [`WINDOW`].
    samples: Mutex<VecDeque<(Instant, u64)>>,
}

const WINDOW: Duration = Duration::from_secs(30);

impl Live {
    pub(super) fn new(stages: Stages, stop: CancellationToken, before: &JobCounts) -> Self {
        let begun = Instant::now();
        let samples = Mutex::new(VecDeque::from([(begun, dealt_with(before))]));
        Self { stages: Arc::new(stages), stop, begun, samples }
    }

    /// Notes where the counts stand.
    pub(super) fn count(&self, counts: &JobCounts) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        samples.push_back((now, dealt_with(counts)));
        // One sample older than the window stays: the pace is measured from there.
        while samples.len() > 2 && samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            samples.pop_front();
        }
    }

    /// Images per second over the last half minute.
    pub(super) fn rate(&self) -> f64 {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        match (samples.front(), samples.back()) {
            (Some((since, before)), Some((_, now))) => per_second(now - before, since.elapsed()),
            _ => 0.0,
        }
    }

    /// Images per second since work began, of a job that did so many.
    pub(super) fn overall(&self, dealt_with: u64) -> f64 {
        per_second(dealt_with, self.begun.elapsed())
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

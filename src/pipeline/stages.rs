//! Timings of the stages: how busy each stage is, how long one unit of work takes, and which stage is the bottleneck.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::Lanes;
use super::timings::{MAX_MICROS, StageTimes, Timings};
use crate::embed::Busy;
use crate::resilience::WorkClock;
use crate::telemetry::metrics::{Histogram as Seconds, families};

/// The timings of one job.
#[derive(Debug)]
pub struct Stages {
    clock: WorkClock,
    /// How much the provider's own threads had worked before this job.
    provider_before: Option<Busy>,
    /// Reading from the bucket.
    pub fetch: Stage,
    /// Decoding and resizing.
    pub prepare: Stage,
    /// Calls of the provider.
    pub embed: Stage,
    /// Calls of the stores.
    pub upsert: Stage,
}

/// The timings of one stage.
#[derive(Debug)]
pub struct Stage {
    lanes: usize,
    busy_micros: AtomicU64,
    took_micros: Mutex<Histogram<u64>>,
    /// The durations of all jobs together.
    took: Seconds,
}

impl Stage {
    fn new(name: &'static str, lanes: usize) -> Self {
        // Two significant digits are enough for a status, and the histogram has only a few kilobytes.
        let histogram = Histogram::new_with_max(MAX_MICROS, 2).unwrap_or_else(|_| Histogram::new(1).expect("1 digit"));
        let took = families::STAGE_DURATION.labels([name]);
        Self { lanes, busy_micros: AtomicU64::new(0), took_micros: Mutex::new(histogram), took }
    }

    /// Records that one lane worked this long on one unit of work.
    pub fn took(&self, time: Duration) {
        self.took.record(time);
        let micros = u64::try_from(time.as_micros()).unwrap_or(MAX_MICROS).clamp(1, MAX_MICROS);
        self.busy_micros.fetch_add(micros, Ordering::Relaxed);
        self.took_micros.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }

    fn times(&self, threads: bool, elapsed: Duration) -> StageTimes {
        let times = self.took_micros.lock().unwrap_or_else(PoisonError::into_inner);
        let took = times.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
        let worked = Duration::from_micros(self.busy_micros.load(Ordering::Relaxed));
        StageTimes::new(self.lanes, threads, elapsed, worked, took)
    }
}

impl Stages {
    /// Starts the measurement. `provider` is how much the provider's threads have worked until now, if the provider
    /// reports it.
    pub fn new(lanes: Lanes, provider: Option<Busy>) -> Self {
        Self {
            clock: WorkClock::start(),
            provider_before: provider,
            fetch: Stage::new("fetch", lanes.fetch.get()),
            prepare: Stage::new("prepare", lanes.prepare.get()),
            embed: Stage::new("embed", lanes.embed.get()),
            upsert: Stage::new("upsert", lanes.upsert.get()),
        }
    }

    /// Returns the clock, which stands still while all work waits for a dependency.
    pub fn clock(&self) -> &WorkClock {
        &self.clock
    }

    /// Returns the timings so far. `provider` is how much the provider's threads have worked until now; they show more
    /// exactly how busy the provider is than the calls that wait for them.
    pub fn timings(&self, provider: Option<Busy>) -> Timings {
        let elapsed = self.clock.elapsed();
        let mut embed = self.embed.times(false, elapsed);
        if let (Some(before), Some(now)) = (self.provider_before, provider) {
            let worked = now.worked.saturating_sub(before.worked);
            embed = StageTimes::new(now.threads.get(), true, elapsed, worked, embed.took);
        }
        Timings {
            fetch: self.fetch.times(false, elapsed),
            prepare: self.prepare.times(true, elapsed),
            embed,
            upsert: self.upsert.times(false, elapsed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use tokio::time::Instant;

    use super::*;
    use crate::domain::{DependencyError, FailureKind};
    use crate::embed::EmbedError;
    use crate::resilience::{Guard, WaitBoard, measured};

    #[tokio::test(start_paused = true)]
    async fn the_busiest_stage_is_reported_with_its_figures() {
        let two = NonZeroUsize::new(2).unwrap();
        let lanes = Lanes { fetch: two, prepare: two, batch: two, embed: two, upsert: two };
        let stages = Stages::new(lanes, Some(Busy { threads: two, worked: Duration::from_secs(5) }));
        assert_eq!(stages.timings(None).report(None).bottleneck, None);
        tokio::time::advance(Duration::from_secs(10)).await;
        stages.fetch.took(Duration::from_secs(2));
        stages.prepare.took(Duration::from_secs(8));
        let report = stages.timings(Some(Busy { threads: two, worked: Duration::from_secs(24) })).report(None);
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 2 of 2 threads busy 95 % of the time"));
        assert!((report.fetch.busy - 0.1).abs() < 1e-9 && (report.prepare.busy - 0.4).abs() < 1e-9);
        assert!((report.prepare.p50_ms - 8000.0).abs() < 100.0, "{}", report.prepare.p50_ms);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_does_not_change_the_figures_of_the_work() {
        let (one, second) = (NonZeroUsize::MIN, Duration::from_secs(1));
        let stages = Stages::new(Lanes { fetch: one, prepare: one, batch: one, embed: one, upsert: one }, None);
        let guard = Guard::background("clip", WaitBoard::default());
        let outage = Instant::now() + 10 * second..Instant::now() + 610 * second;
        for _ in 0..20 {
            let call = guard.call(|| async {
                if outage.contains(&Instant::now()) {
                    let (dependency, detail) = ("clip".to_owned(), String::new());
                    return Err(EmbedError::from(DependencyError { dependency, trouble: FailureKind::Failed, detail }));
                }
                tokio::time::sleep(second).await;
                Ok(())
            });
            let (called, worked) = measured(stages.clock(), call).await;
            called.unwrap();
            stages.embed.took(worked);
        }
        assert!(Instant::now() > outage.end, "the outage was between the calls");
        let report = stages.timings(None).report(None);
        assert!((report.embed.p95_ms - 1000.0).abs() < 10.0, "{}", report.embed.p95_ms);
        assert!(report.embed.busy > 0.99, "{}", report.embed.busy);
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 1 of 1 lanes busy 100 % of the time"));
    }
}

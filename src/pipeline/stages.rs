//! Measures the stages of a pipeline: how busy each stage is, and how long one unit of work takes.

use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::Lanes;
use super::timings::{MAX_MICROS, StageTimes, Timings, histogram, micros};
use crate::embed::Busy;
use crate::lock::lock;
use crate::telemetry::metrics::{Histogram as Seconds, families, histogram};

/// The measurements of one run of a pipeline.
#[derive(Debug)]
pub struct Stages {
    last_report: Mutex<LastReport>,
    /// Reading from the bucket.
    pub fetch: Stage,
    /// Decoding and resizing.
    pub prepare: Stage,
    /// Calls of the provider.
    pub embed: Stage,
    /// Calls of the stores.
    pub upsert: Stage,
}

#[derive(Debug)]
struct LastReport {
    at: Instant,
    /// How much the provider's own threads had worked.
    provider: Option<Busy>,
}

/// The measurements of one stage.
#[derive(Debug)]
pub struct Stage {
    lanes: usize,
    /// The durations since the last report.
    since_report: Mutex<Durations>,
    /// The durations of all jobs together.
    all: Seconds,
}

#[derive(Debug)]
struct Durations {
    worked: Duration,
    micros: Histogram<u64>,
}

impl Stage {
    fn new(name: &'static str, lanes: usize) -> Self {
        let since_report = Mutex::new(Durations { worked: Duration::ZERO, micros: histogram() });
        Self { lanes, since_report, all: histogram!(families::STAGE_DURATION, "stage" => name) }
    }

    /// Records that one lane worked this long on one unit of work.
    pub fn took(&self, time: Duration) {
        self.all.record(time);
        let mut durations = lock(&self.since_report);
        durations.worked += time;
        durations.micros.saturating_record(micros(time).clamp(1, MAX_MICROS));
    }

    fn drain(&self, threads: bool, elapsed: Duration) -> StageTimes {
        let mut durations = lock(&self.since_report);
        let recorded = durations.micros.iter_recorded();
        let took = recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
        durations.micros.reset();
        let worked = std::mem::take(&mut durations.worked);
        let lanes = self.lanes as u64;
        let available_us = micros(elapsed).saturating_mul(lanes);
        StageTimes { lanes, threads, worked_us: micros(worked), available_us, took }
    }
}

impl Stages {
    /// Starts the measurement. `provider` is how much the provider's threads have worked until now, if the provider
    /// reports it.
    pub fn new(lanes: Lanes, provider: Option<Busy>) -> Self {
        Self {
            last_report: Mutex::new(LastReport { at: Instant::now(), provider }),
            fetch: Stage::new("fetch", lanes.fetch.get()),
            prepare: Stage::new("prepare", lanes.prepare.get()),
            embed: Stage::new("embed", lanes.embed.get()),
            upsert: Stage::new("upsert", lanes.upsert.get()),
        }
    }

    /// Begins to measure the threads of a provider. `provider` is how much they have worked until now.
    pub fn begin_provider(&self, provider: Option<Busy>) {
        lock(&self.last_report).provider = provider;
    }

    /// Returns what was measured since the last call. `provider` is how much the provider's threads have worked until
    /// now; they show more exactly how busy the provider is than the calls that wait for them.
    pub fn drain(&self, provider: Option<Busy>) -> Timings {
        let mut last = lock(&self.last_report);
        let before = std::mem::replace(&mut *last, LastReport { at: Instant::now(), provider });
        let elapsed = last.at - before.at;
        let mut embed = self.embed.drain(false, elapsed);
        if let (Some(before), Some(now)) = (before.provider, provider) {
            let lanes = now.threads.get() as u64;
            let worked_us = micros(now.worked.saturating_sub(before.worked));
            let available_us = micros(elapsed).saturating_mul(lanes);
            embed = StageTimes { lanes, threads: true, worked_us, available_us, took: embed.took };
        }
        Timings {
            fetch: self.fetch.drain(false, elapsed),
            prepare: self.prepare.drain(true, elapsed),
            embed,
            upsert: self.upsert.drain(false, elapsed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::pipeline::TimingTotals;

    #[tokio::test(start_paused = true)]
    async fn the_busiest_stage_is_reported_with_its_figures() {
        let two = NonZeroUsize::new(2).unwrap();
        let lanes = Lanes { fetch: two, prepare: two, batch: two, embed: two, upsert: two };
        let stages = Stages::new(lanes, Some(Busy { threads: two, worked: Duration::from_secs(5) }));
        let mut totals = TimingTotals::default();
        totals.add("", &stages.drain(None));
        assert_eq!(totals.report(false).bottleneck, None);

        let stages = Stages::new(lanes, Some(Busy { threads: two, worked: Duration::from_secs(5) }));
        tokio::time::advance(Duration::from_secs(10)).await;
        stages.fetch.took(Duration::from_secs(2));
        stages.prepare.took(Duration::from_secs(8));
        totals.add("", &stages.drain(Some(Busy { threads: two, worked: Duration::from_secs(24) })));
        totals.add("", &stages.drain(Some(Busy { threads: two, worked: Duration::from_secs(24) })));
        let report = totals.report(false);
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 2 of 2 threads busy 95 % of the time"));
        assert!((report.fetch.busy - 0.1).abs() < 1e-9 && (report.prepare.busy - 0.4).abs() < 1e-9);
        assert!((report.prepare.p50_ms - 8000.0).abs() < 100.0, "{}", report.prepare.p50_ms);
    }
}

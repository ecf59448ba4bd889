//! Timings of pipelines: what one pipeline measured since its last report, and the totals that a status shows.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// One hour: longer times are counted as this.
pub(super) const MAX_MICROS: u64 = 3_600_000_000;

/// Maximum number of lanes that is accepted for one stage.
const MAX_LANES: u64 = 4_096;

/// Maximum number of pipelines whose lanes are counted.
const MAX_PIPELINES: usize = 1_000;

/// The measurements of a pipeline since its last report, for each stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Reading from the bucket.
    pub fetch: StageTimes,
    /// Decoding and resizing.
    pub prepare: StageTimes,
    /// Calls of the provider.
    pub embed: StageTimes,
    /// Calls of the stores.
    pub upsert: StageTimes,
}

/// The measurements of one stage since the last report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Number of lanes that work at the same time.
    pub lanes: u64,
    /// Whether the lanes are threads of a processor, and not calls that wait for a reply.
    pub threads: bool,
    /// How long all lanes together worked, in microseconds. Work is counted when it ends, so this can be more than
    /// `available_us`.
    pub worked_us: u64,
    /// How long all lanes together could have worked, in microseconds.
    pub available_us: u64,
    /// Durations of units of work in microseconds, each with the number of units that took this long.
    pub took: Vec<(u64, u64)>,
}

/// A stage in a status. `busy` is the share of its lanes' time spent working, 0 to 1; the times are those of one unit
/// of work (an image, or a batch of images). Waiting for a dependency is not work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Share of the time spent working, 0 to 1.
    pub busy: f64,
    /// Median duration, in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile of the durations, in milliseconds.
    pub p95_ms: f64,
}

/// All stages in a status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StagesReport {
    /// Reading from the bucket.
    pub fetch: StageReport,
    /// Decoding and resizing.
    pub prepare: StageReport,
    /// Calls of the provider.
    pub embed: StageReport,
    /// Calls of the stores.
    pub upsert: StageReport,
    /// The busiest stage, with its figures; `None` before anything was done.
    pub bottleneck: Option<String>,
}

/// The sum of the timings of one or several pipelines.
#[derive(Debug, Default)]
pub struct TimingTotals {
    stages: [StageTotals; 4],
    /// The lanes of each stage, by the name of the pipeline.
    lanes: BTreeMap<String, [u64; 4]>,
}

#[derive(Debug)]
struct StageTotals {
    threads: bool,
    worked_us: u64,
    available_us: u64,
    took: Histogram<u64>,
}

impl Timings {
    /// Maximum number of different durations of one stage: more than the histogram of a stage distinguishes.
    pub const MAX_VALUES: usize = 4_096;

    /// Returns the number of durations of the stage with the most durations.
    pub fn max_values(&self) -> usize {
        self.stages().map(|stage| stage.took.len()).into_iter().max().unwrap_or_default()
    }

    fn stages(&self) -> [&StageTimes; 4] {
        [&self.fetch, &self.prepare, &self.embed, &self.upsert]
    }
}

impl TimingTotals {
    /// Adds what the pipeline with this name measured since its last report.
    pub fn add(&mut self, pipeline: &str, timings: &Timings) {
        let stages = timings.stages();
        for (total, stage) in self.stages.iter_mut().zip(stages) {
            total.add(stage);
        }
        self.lanes.insert(pipeline.to_owned(), stages.map(|stage| stage.lanes.min(MAX_LANES)));
        if self.lanes.len() > MAX_PIPELINES {
            self.lanes.pop_first();
        }
    }

    /// Returns the report for a status. With `workers`, it says that the pipelines are those of remote workers.
    pub fn report(&self, workers: bool) -> StagesReport {
        let busiest = self
            .stages
            .iter()
            .zip(["fetch", "prepare", "embed", "upsert"])
            .enumerate()
            .filter(|(_, (stage, _))| stage.busy() > 0.0)
            .max_by(|(_, (a, _)), (_, (b, _))| a.busy().total_cmp(&b.busy()));
        let bottleneck = busiest.map(|(index, (stage, name))| {
            let count: u64 = self.lanes.values().map(|lanes| lanes[index]).sum();
            let unit = if stage.threads { "threads" } else { "lanes" };
            let on = match (workers, self.lanes.len()) {
                (false, _) => String::new(),
                (true, 1) => " on one worker".to_owned(),
                (true, workers) => format!(" on {workers} workers"),
            };
            format!("{name}: {count} of {count} {unit}{on} busy {} % of the time", (stage.busy() * 100.0).round())
        });
        let [fetch, prepare, embed, upsert] = self.stages.each_ref().map(StageTotals::report);
        StagesReport { fetch, prepare, embed, upsert, bottleneck }
    }
}

/// Returns an empty histogram of microseconds. Two significant digits are enough for a status, and such a histogram has
/// only a few kilobytes.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(MAX_MICROS, 2).expect("the maximum and the digits are in range")
}

impl Default for StageTotals {
    fn default() -> Self {
        Self { threads: false, worked_us: 0, available_us: 0, took: histogram() }
    }
}

impl StageTotals {
    fn add(&mut self, times: &StageTimes) {
        self.threads |= times.threads;
        self.worked_us = self.worked_us.saturating_add(times.worked_us);
        self.available_us = self.available_us.saturating_add(times.available_us);
        for &(micros, count) in times.took.iter().take(Timings::MAX_VALUES) {
            self.took.saturating_record_n(micros.min(MAX_MICROS), count);
        }
    }

    fn busy(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of centuries are below 2^53")]
        let (worked, available) = (self.worked_us as f64, self.available_us as f64);
        if available > 0.0 { round((worked / available).min(1.0), 3) } else { 0.0 }
    }

    fn report(&self) -> StageReport {
        StageReport { busy: self.busy(), p50_ms: self.quantile_ms(0.5), p95_ms: self.quantile_ms(0.95) }
    }

    /// Returns the time within which this share of the units of work was done, in milliseconds; 0 if there were none.
    fn quantile_ms(&self, share: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of an hour are far below 2^53")]
        let micros = self.took.value_at_quantile(share) as f64;
        round(micros / 1000.0, 2)
    }
}

/// Returns the microseconds of a duration.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(lanes: u64, worked_us: u64, took: Vec<(u64, u64)>) -> Timings {
        let embed = StageTimes { lanes, threads: false, worked_us, available_us: 10_000_000 * lanes, took };
        Timings { embed, ..Timings::default() }
    }

    /// Checks a duration with the two digits of the histogram.
    fn is_close(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() <= expected / 100.0
    }

    #[test]
    fn two_workers_count_as_one_pipeline_with_the_lanes_of_both() {
        let mut both = TimingTotals::default();
        both.add("a", &embedding(1, 10_000_000, vec![(1_000, 90), (2_000, 10)]));
        both.add("b", &embedding(3, 6_000_000, vec![(1_000, 1), (50_000, 99)]));
        let report = both.report(true);
        let StageReport { busy, p50_ms, p95_ms } = report.embed;
        assert!(is_close(busy, 0.4) && is_close(p50_ms, 2.0) && is_close(p95_ms, 50.0), "{:?}", report.embed);
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 4 of 4 lanes on 2 workers busy 40 % of the time"));
        assert_eq!(report.fetch, StageReport::default());
    }

    #[test]
    fn a_worker_that_reports_again_has_as_many_lanes_as_before() {
        let mut totals = TimingTotals::default();
        totals.add("a", &embedding(2, 5_000_000, vec![(1_000, 1)]));
        totals.add("a", &embedding(2, 15_000_000, vec![(3_000, 1)]));
        let report = totals.report(true);
        assert!(is_close(report.embed.p50_ms, 1.0) && is_close(report.embed.p95_ms, 3.0), "{:?}", report.embed);
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 2 of 2 lanes on one worker busy 50 % of the time"));
    }

    #[test]
    fn impossible_values_are_limited_and_their_sum_does_not_overflow() {
        let took: Vec<_> = (0..5_000).map(|value| (u64::MAX - value, u64::MAX)).collect();
        let wild = StageTimes { lanes: u64::MAX, threads: true, worked_us: u64::MAX, available_us: 7, took };
        let wild = Timings { fetch: wild.clone(), prepare: wild.clone(), embed: wild.clone(), upsert: wild };
        let mut totals = TimingTotals::default();
        for number in 0..2_000 {
            totals.add(&format!("worker-{number}"), &wild);
        }
        let report = totals.report(true);
        assert!(is_close(report.embed.busy, 1.0) && is_close(report.embed.p50_ms, 3_600_000.0), "{:?}", report.embed);
        let expected = "upsert: 4096000 of 4096000 threads on 1000 workers busy 100 % of the time";
        assert_eq!(report.bottleneck.as_deref(), Some(expected));
    }
}

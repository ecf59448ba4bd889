//! Timings of one pipeline, or of several together: small enough to be sent, and shown in a status.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One hour: longer times are counted as this.
pub(super) const MAX_MICROS: u64 = 3_600_000_000;

/// Maximum number of different durations that are kept for one stage.
const MAX_VALUES: usize = 1_000;

/// Maximum number of lanes that is accepted for one stage.
const MAX_LANES: u64 = 4_096;

/// The measurements so far, for each stage.
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

/// The measurements of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Number of lanes that work at the same time.
    pub lanes: u64,
    /// Whether the lanes are threads of a processor, and not calls that wait for a reply.
    pub threads: bool,
    /// How long all lanes together worked, in microseconds.
    pub worked_us: u64,
    /// How long all lanes together could have worked, in microseconds.
    pub available_us: u64,
    /// Durations of units of work in microseconds, the shortest first, each with the number of units that took this
    /// long.
    pub took: Vec<(u64, u64)>,
}

/// A stage in a status. `busy` is the share of its lanes' time spent working, 0 to 1; the times are those of one unit
/// of work (an image, or a batch of images). Waiting for a dependency is not work, and time in which all lanes waited
/// does not count.
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

impl Timings {
    /// Adds the timings of another pipeline, as if both were one with the lanes of both.
    pub fn add(&mut self, other: &Self) {
        for (stage, other) in self.stages_mut().into_iter().zip(other.stages()) {
            stage.lanes = stage.lanes.saturating_add(other.lanes);
            stage.add_times(other);
        }
    }

    /// Adds the timings of an earlier start of the same pipeline: its lanes are the same, so they are not added.
    pub fn add_earlier(&mut self, earlier: &Self) {
        for (stage, earlier) in self.stages_mut().into_iter().zip(earlier.stages()) {
            stage.lanes = stage.lanes.max(earlier.lanes);
            stage.add_times(earlier);
        }
    }

    /// Maximum number of durations of one stage; see [`max_values`](Self::max_values).
    pub const MAX_VALUES: usize = MAX_VALUES;

    /// Returns the number of durations of the stage with the most durations.
    pub fn max_values(&self) -> usize {
        self.stages().map(|stage| stage.took.len()).into_iter().max().unwrap_or_default()
    }

    /// Limits all values to their valid ranges, for timings that were received from outside.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for stage in self.stages_mut() {
            stage.lanes = stage.lanes.min(MAX_LANES);
            stage.worked_us = stage.worked_us.min(stage.available_us);
            stage.took.truncate(MAX_VALUES);
            stage.took.iter_mut().for_each(|(value, _)| *value = (*value).min(MAX_MICROS));
            stage.took.sort_unstable();
        }
        self
    }

    /// Returns the report for a status. `workers` is the number of workers whose timings were added, if there are
    /// workers.
    pub fn report(&self, workers: Option<usize>) -> StagesReport {
        let stages = self.stages();
        let busiest = stages
            .into_iter()
            .zip(["fetch", "prepare", "embed", "upsert"])
            .filter(|(stage, _)| stage.busy() > 0.0)
            .max_by(|(a, _), (b, _)| a.busy().total_cmp(&b.busy()));
        let bottleneck = busiest.map(|(stage, name)| {
            let (count, unit) = (stage.lanes, if stage.threads { "threads" } else { "lanes" });
            let on = match workers {
                None => String::new(),
                Some(1) => " on one worker".to_owned(),
                Some(workers) => format!(" on {workers} workers"),
            };
            format!("{name}: {count} of {count} {unit}{on} busy {} % of the time", (stage.busy() * 100.0).round())
        });
        let [fetch, prepare, embed, upsert] = stages.map(StageTimes::report);
        StagesReport { fetch, prepare, embed, upsert, bottleneck }
    }

    fn stages(&self) -> [&StageTimes; 4] {
        [&self.fetch, &self.prepare, &self.embed, &self.upsert]
    }

    fn stages_mut(&mut self) -> [&mut StageTimes; 4] {
        [&mut self.fetch, &mut self.prepare, &mut self.embed, &mut self.upsert]
    }
}

impl StageTimes {
    /// `took` must have the shortest duration first.
    pub(super) fn new(lanes: usize, threads: bool, elapsed: Duration, worked: Duration, took: Vec<(u64, u64)>) -> Self {
        let lanes = lanes as u64;
        let available_us = micros(elapsed).saturating_mul(lanes);
        Self { lanes, threads, worked_us: micros(worked).min(available_us), available_us, took: merge_durations(took) }
    }

    fn add_times(&mut self, other: &Self) {
        self.threads |= other.threads;
        self.worked_us = self.worked_us.saturating_add(other.worked_us);
        self.available_us = self.available_us.saturating_add(other.available_us);
        self.took.extend(&other.took);
        self.took.sort_unstable();
        self.took.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 = first.1.saturating_add(later.1);
            }
            same
        });
        self.took = merge_durations(std::mem::take(&mut self.took));
    }

    fn busy(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of centuries are below 2^53")]
        let (worked, available) = (self.worked_us as f64, self.available_us as f64);
        if available > 0.0 { round((worked / available).min(1.0), 3) } else { 0.0 }
    }

    fn report(&self) -> StageReport {
        StageReport { busy: self.busy(), p50_ms: self.quantile_ms(50), p95_ms: self.quantile_ms(95) }
    }

    /// Returns the time within which `percent` percent of the units of work were done, in milliseconds; 0 if there were
    /// none.
    fn quantile_ms(&self, percent: u128) -> f64 {
        let all: u128 = self.took.iter().map(|(_, count)| u128::from(*count)).sum();
        let target = (all * percent).div_ceil(100);
        let mut so_far = 0;
        let value = self.took.iter().find(|(_, count)| {
            so_far += u128::from(*count);
            so_far >= target
        });
        #[expect(clippy::cast_precision_loss, reason = "microseconds of an hour are far below 2^53")]
        value.map_or(0.0, |(micros, _)| round(*micros as f64 / 1000.0, 2))
    }
}

/// Merges neighbouring durations until there are at most [`MAX_VALUES`]; a merged pair counts as the longer of the two.
fn merge_durations(mut took: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    while took.len() > MAX_VALUES {
        let pairs = took.chunks(2).filter_map(|pair| {
            let (longest, _) = pair.last()?;
            Some((*longest, pair.iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))))
        });
        took = pairs.collect();
    }
    took
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn embedding(lanes: usize, worked: Duration, took: Vec<(u64, u64)>) -> Timings {
        Timings { embed: StageTimes::new(lanes, false, 10 * SECOND, worked, took), ..Timings::default() }
    }

    #[test]
    fn two_workers_count_as_one_pipeline_with_the_lanes_of_both() {
        let mut both = embedding(1, 10 * SECOND, vec![(1_000, 90), (2_000, 10)]);
        both.add(&embedding(3, 6 * SECOND, vec![(1_000, 1), (50_000, 99)]));
        let report = both.report(Some(2));
        assert_eq!(report.embed, StageReport { busy: 0.4, p50_ms: 2.0, p95_ms: 50.0 });
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 4 of 4 lanes on 2 workers busy 40 % of the time"));
        assert_eq!(report.fetch, StageReport::default());
    }

    #[test]
    fn a_worker_that_was_restarted_has_as_many_lanes_as_before() {
        let mut now = embedding(2, 5 * SECOND, vec![(1_000, 1)]);
        now.add_earlier(&embedding(2, 15 * SECOND, vec![(3_000, 1)]));
        let report = now.report(None);
        assert_eq!(report.embed, StageReport { busy: 0.5, p50_ms: 1.0, p95_ms: 3.0 });
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 2 of 2 lanes busy 50 % of the time"));
    }

    #[test]
    fn impossible_values_are_limited_and_their_sum_does_not_overflow() {
        let took: Vec<_> = (0..5_000).rev().map(|value| (u64::MAX - value, u64::MAX)).collect();
        let wild = StageTimes { lanes: u64::MAX, threads: true, worked_us: u64::MAX, available_us: 7, took };
        let wild = Timings { fetch: wild.clone(), prepare: wild.clone(), embed: wild.clone(), upsert: wild }.bounded();
        let mut sum = Timings::default();
        sum.add(&wild);
        sum.add(&wild);
        let StageReport { busy, p50_ms, .. } = sum.report(Some(2)).embed;
        assert_eq!((busy, p50_ms, sum.embed.lanes), (1.0, 3_600_000.0, 2 * MAX_LANES));
    }

    #[test]
    fn many_durations_are_merged_and_their_quantiles_are_kept() {
        let took = (1..=7_000).map(|value| (value * 1_000, 1)).collect();
        let times = StageTimes::new(1, false, SECOND, SECOND, took);
        assert!(times.took.len() <= MAX_VALUES, "{}", times.took.len());
        let StageReport { p50_ms, p95_ms, .. } = times.report();
        assert!((3_500.0..3_510.0).contains(&p50_ms) && (6_650.0..6_660.0).contains(&p95_ms), "{p50_ms} {p95_ms}");
    }
}

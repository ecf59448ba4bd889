//! Timings of one chain, or of several together: small enough to be sent, and told in a status.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An hour: nothing that is timed may take longer, and a longer time is counted as this.
pub(super) const MAX_MICROS: u64 = 3_600_000_000;

/// Different durations that are told apart in one stage.
const MAX_VALUES: usize = 1_000;

/// Lanes of one stage that are believed.
const MAX_LANES: u64 = 4_096;

/// What was counted so far, stage by stage.
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

/// What was counted of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Side by side.
    pub lanes: u64,
    /// Whether these are threads of a processor, and no calls that wait for an answer.
    pub threads: bool,
    /// How long all lanes together were at work, in microseconds.
    pub worked_us: u64,
    /// How long they could have been.
    pub available_us: u64,
    /// How long a piece of work took, in microseconds and shortest first, and how many pieces took that.
    pub took: Vec<(u64, u64)>,
}

/// A stage in a status: `busy` is the share of its lanes' time spent at work, 0 to 1; times are those of one piece of
/// work (an image, or a batch of them). Waiting for a dependency is no work, and time in which all waited does not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// 0 to 1.
    pub busy: f64,
    /// Median, in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile, in milliseconds.
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
    /// The stage that holds the others up, with its figures; `None` before anything was done.
    pub bottleneck: Option<String>,
}

impl Timings {
    /// Another chain's besides: all as if it were one chain with the lanes of both.
    pub fn add(&mut self, other: &Self) {
        for (stage, other) in self.stages_mut().into_iter().zip(other.stages()) {
            stage.lanes = stage.lanes.saturating_add(other.lanes);
            stage.add_times(other);
        }
    }

    /// The same chain's from an earlier start: its lanes are the same ones.
    pub fn add_earlier(&mut self, earlier: &Self) {
        for (stage, earlier) in self.stages_mut().into_iter().zip(earlier.stages()) {
            stage.lanes = stage.lanes.max(earlier.lanes);
            stage.add_times(earlier);
        }
    }

    /// Durations that one stage may have; see [`max_values`](Self::max_values).
    pub const MAX_VALUES: usize = MAX_VALUES;

    /// How many durations the stage with the most of them has.
    pub fn max_values(&self) -> usize {
        self.stages().map(|stage| stage.took.len()).into_iter().max().unwrap_or_default()
    }

    /// What can be so: for timings from outside.
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

    /// As a status tells it; of so many workers together, if of any.
    pub fn report(&self, workers: Option<usize>) -> StagesReport {
        let stages = self.stages();
        let busiest = stages
            .into_iter()
            .zip(["fetch", "prepare", "embed", "upsert"])
            .filter(|(stage, _)| stage.busy() > 0.0)
            .max_by(|(a, _), (b, _)| a.busy().total_cmp(&b.busy()));
        let bottleneck = busiest.map(|(stage, name)| {
            let (count, what) = (stage.lanes, if stage.threads { "threads" } else { "lanes" });
            let on = match workers {
                None => String::new(),
                Some(1) => " on one worker".to_owned(),
                Some(workers) => format!(" on {workers} workers"),
            };
            format!("{name}: {count} of {count} {what}{on} busy {} % of the time", (stage.busy() * 100.0).round())
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
    /// `took` shortest first.
    pub(super) fn new(lanes: usize, threads: bool, elapsed: Duration, worked: Duration, took: Vec<(u64, u64)>) -> Self {
        let lanes = lanes as u64;
        let available_us = micros(elapsed).saturating_mul(lanes);
        Self { lanes, threads, worked_us: micros(worked).min(available_us), available_us, took: thinned(took) }
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
        self.took = thinned(std::mem::take(&mut self.took));
    }

    fn busy(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of centuries are below 2^53")]
        let (worked, available) = (self.worked_us as f64, self.available_us as f64);
        if available > 0.0 { round((worked / available).min(1.0), 3) } else { 0.0 }
    }

    fn report(&self) -> StageReport {
        StageReport { busy: self.busy(), p50_ms: self.quantile_ms(50), p95_ms: self.quantile_ms(95) }
    }

    /// The time within which so many of a hundred pieces were done; 0 where there were none.
    fn quantile_ms(&self, percent: u128) -> f64 {
        let all: u128 = self.took.iter().map(|(_, count)| u128::from(*count)).sum();
        let wanted = (all * percent).div_ceil(100);
        let mut so_far = 0;
        let value = self.took.iter().find(|(_, count)| {
            so_far += u128::from(*count);
            so_far >= wanted
        });
        #[expect(clippy::cast_precision_loss, reason = "microseconds of an hour are far below 2^53")]
        value.map_or(0.0, |(micros, _)| round(*micros as f64 / 1000.0, 2))
    }
}

/// Neighbours taken together until they are few enough; each counts as the longer of two.
fn thinned(mut took: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
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
    fn two_workers_count_as_one_chain_with_the_lanes_of_both() {
        let mut both = embedding(1, 10 * SECOND, vec![(1_000, 90), (2_000, 10)]);
        both.add(&embedding(3, 6 * SECOND, vec![(1_000, 1), (50_000, 99)]));
        let report = both.report(Some(2));
        assert_eq!(report.embed, StageReport { busy: 0.4, p50_ms: 2.0, p95_ms: 50.0 });
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 4 of 4 lanes on 2 workers busy 40 % of the time"));
        assert_eq!(report.fetch, StageReport::default());
    }

    #[test]
    fn a_worker_that_began_anew_has_no_more_lanes_than_before() {
        let mut now = embedding(2, 5 * SECOND, vec![(1_000, 1)]);
        now.add_earlier(&embedding(2, 15 * SECOND, vec![(3_000, 1)]));
        let report = now.report(None);
        assert_eq!(report.embed, StageReport { busy: 0.5, p50_ms: 1.0, p95_ms: 3.0 });
        assert_eq!(report.bottleneck.as_deref(), Some("embed: 2 of 2 lanes busy 50 % of the time"));
    }

    #[test]
    fn what_cannot_be_so_is_bounded_and_adding_it_up_does_not_overflow() {
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
    fn many_different_durations_are_few_to_send_and_their_quantiles_stay() {
        let took = (1..=7_000).map(|value| (value * 1_000, 1)).collect();
        let times = StageTimes::new(1, false, SECOND, SECOND, took);
        assert!(times.took.len() <= MAX_VALUES, "{}", times.took.len());
        let StageReport { p50_ms, p95_ms, .. } = times.report();
        assert!((3_500.0..3_510.0).contains(&p50_ms) && (6_650.0..6_660.0).contains(&p95_ms), "{p50_ms} {p95_ms}");
    }
}

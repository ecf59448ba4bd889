//! The stage times of a job's remote workers. Each worker reports running totals. The last report of a worker is kept
//! after it leaves, since the job's summary includes all workers.

use std::collections::BTreeMap;

use crate::jobs::remote::remote_workers::MAX_WORKERS;
use crate::pipeline::{StagesReport, Timings};

/// The timings by worker name.
#[derive(Debug, Default)]
pub(crate) struct WorkerTimings {
    workers: BTreeMap<String, Totals>,
    /// The sum over workers whose names are not kept any more, because there are more than [`MAX_WORKERS`].
    others: Totals,
}

#[derive(Debug, Default)]
struct Totals {
    /// Since it last joined.
    now: Timings,
    /// Before it last joined.
    earlier: Timings,
}

impl WorkerTimings {
    /// Records that a worker joined and counts from zero again.
    pub(crate) fn begin(&mut self, worker: &str) {
        if let Some(totals) = self.workers.get_mut(worker) {
            let before = std::mem::take(&mut totals.now);
            totals.earlier.add_earlier(&before);
        }
    }

    /// Records the timings of a worker since it joined.
    pub(crate) fn record(&mut self, worker: &str, timings: Timings) {
        if self.workers.len() >= MAX_WORKERS
            && !self.workers.contains_key(worker)
            && let Some((_, oldest)) = self.workers.pop_first()
        {
            self.others.earlier.add(&oldest.all());
        }
        self.workers.entry(worker.to_owned()).or_default().now = timings.bounded();
    }

    /// Returns the report over all workers.
    pub(crate) fn report(&self) -> StagesReport {
        let mut all = self.others.all();
        for totals in self.workers.values() {
            all.add(&totals.all());
        }
        all.report(Some(self.workers.len()))
    }
}

impl Totals {
    fn all(&self) -> Timings {
        let mut all = self.now.clone();
        all.add_earlier(&self.earlier);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::StageTimes;

    /// Returns the timings of one lane that was always busy with items of equal duration.
    fn busy(seconds: u64, pieces: u64) -> Timings {
        let micros = seconds * 1_000_000;
        let took = vec![(micros / pieces, pieces)];
        let embed = StageTimes { lanes: 1, threads: false, worked_us: micros, available_us: micros, took };
        Timings { embed, ..Timings::default() }
    }

    #[test]
    fn running_totals_count_once_and_stay_when_a_worker_joins_again() {
        let mut remote_workers = WorkerTimings::default();
        for seconds in 1..=10 {
            remote_workers.begin("unknown");
            remote_workers.record("a", busy(seconds, seconds));
        }
        remote_workers.record("b", busy(1, 10));
        let report = remote_workers.report();
        assert!((report.embed.p50_ms - 100.0).abs() < 0.1 && (report.embed.p95_ms - 1000.0).abs() < 0.1, "{report:?}");
        remote_workers.begin("a");
        remote_workers.record("a", busy(1, 100));
        let report = remote_workers.report();
        assert!((report.embed.p50_ms - 10.0).abs() < 0.1 && (report.embed.p95_ms - 1000.0).abs() < 0.1, "{report:?}");
        let expected = "embed: 2 of 2 lanes on 2 workers busy 100 % of the time";
        assert_eq!(report.bottleneck.as_deref(), Some(expected));
    }
}

//! Stage times of a job's workers elsewhere. Each tells its own as running totals; what it told last stays when it leaves,
//! since a job's summary is that of all who worked on it.

use std::collections::BTreeMap;

use super::remote_workers::MAX_WORKERS;
use crate::pipeline::{StagesReport, Timings};

/// By the workers' names.
#[derive(Debug, Default)]
pub(super) struct WorkerTimings {
    workers: BTreeMap<String, Told>,
    /// Of those whose names there is no room for any more.
    others: Told,
}

#[derive(Debug, Default)]
struct Told {
    /// Since it came last.
    now: Timings,
    /// Before that.
    earlier: Timings,
}

impl WorkerTimings {
    /// A worker begins to count at nothing.
    pub(super) fn begin(&mut self, worker: &str) {
        if let Some(told) = self.workers.get_mut(worker) {
            let before = std::mem::take(&mut told.now);
            told.earlier.add_earlier(&before);
        }
    }

    /// What a worker has counted since it began.
    pub(super) fn told(&mut self, worker: &str, timings: Timings) {
        if self.workers.len() >= MAX_WORKERS
            && !self.workers.contains_key(worker)
            && let Some((_, oldest)) = self.workers.pop_first()
        {
            self.others.earlier.add(&oldest.all());
        }
        self.workers.entry(worker.to_owned()).or_default().now = timings.bounded();
    }

    /// Of all together.
    pub(super) fn report(&self) -> StagesReport {
        let mut all = self.others.all();
        for told in self.workers.values() {
            all.add(&told.all());
        }
        all.report(Some(self.workers.len()))
    }
}

impl Told {
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

    /// One lane that worked all of its time on pieces of one length.
    fn busy(seconds: u64, pieces: u64) -> Timings {
        let micros = seconds * 1_000_000;
        let took = vec![(micros / pieces, pieces)];
        let embed = StageTimes { lanes: 1, threads: false, worked_us: micros, available_us: micros, took };
        Timings { embed, ..Timings::default() }
    }

    #[test]
    fn running_totals_count_once_and_stay_when_a_worker_comes_anew() {
        let mut remote_workers = WorkerTimings::default();
        for seconds in 1..=10 {
            remote_workers.begin("unheard of");
            remote_workers.told("a", busy(seconds, seconds));
        }
        remote_workers.told("b", busy(1, 10));
        let report = remote_workers.report();
        assert!((report.embed.p50_ms - 100.0).abs() < 0.1 && (report.embed.p95_ms - 1000.0).abs() < 0.1, "{report:?}");
        remote_workers.begin("a");
        remote_workers.told("a", busy(1, 100));
        let report = remote_workers.report();
        assert!((report.embed.p50_ms - 10.0).abs() < 0.1 && (report.embed.p95_ms - 1000.0).abs() < 0.1, "{report:?}");
        let said = "embed: 2 of 2 lanes on 2 workers busy 100 % of the time";
        assert_eq!(report.bottleneck.as_deref(), Some(said));
    }
}

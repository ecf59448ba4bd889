//! What happened to each mirror recently, for its status. It is not kept over a restart.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::MirrorName;
use crate::lock::lock;

/// The time over which events are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// The recent events of a mirror.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    /// Events that arrived in the last minute.
    pub events_per_minute: u64,
    /// Seconds between the time of the object that was indexed last and the time when searches could find it.
    pub lag_seconds: Option<f64>,
    /// Why keys that events have named are tried again.
    pub problem: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Activity(Mutex<HashMap<MirrorName, OneMirror>>);

#[derive(Debug, Default)]
struct OneMirror {
    /// The number of events of each second of the window.
    seconds: VecDeque<(Instant, u64)>,
    lag_seconds: Option<f64>,
    problem: Option<String>,
}

impl OneMirror {
    fn drop_old(&mut self) {
        while self.seconds.front().is_some_and(|(at, _)| at.elapsed() >= WINDOW) {
            self.seconds.pop_front();
        }
    }
}

impl Activity {
    fn change(&self, mirror: &MirrorName, change: impl FnOnce(&mut OneMirror)) {
        change(lock(&self.0).entry(mirror.clone()).or_default());
    }

    /// Counts events that arrived.
    pub(super) fn count_events(&self, mirror: &MirrorName, count: u64) {
        self.change(mirror, |one| {
            one.drop_old();
            match one.seconds.back_mut() {
                Some((at, counted)) if at.elapsed() < Duration::from_secs(1) => *counted += count,
                Some(_) | None => one.seconds.push_back((Instant::now(), count)),
            }
        });
    }

    pub(super) fn set_lag(&self, mirror: &MirrorName, seconds: f64) {
        self.change(mirror, |one| one.lag_seconds = Some(seconds));
    }

    pub(super) fn set_problem(&self, mirror: &MirrorName, problem: Option<String>) {
        self.change(mirror, |one| one.problem = problem);
    }

    pub(super) fn forget(&self, mirror: &MirrorName) {
        lock(&self.0).remove(mirror);
    }

    pub(super) fn recent(&self, mirror: &MirrorName) -> Recent {
        let mut all = lock(&self.0);
        let Some(one) = all.get_mut(mirror) else { return Recent::default() };
        one.drop_old();
        Recent {
            events_per_minute: one.seconds.iter().map(|(_, count)| count).sum(),
            lag_seconds: one.lag_seconds,
            problem: one.problem.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn events_are_counted_for_one_minute() {
        let (activity, name) = (Activity::default(), MirrorName::parse("m").unwrap());
        for _ in 0..120 {
            activity.count_events(&name, 2);
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        let recent = activity.recent(&name).events_per_minute;
        assert!((236..=240).contains(&recent), "{recent}");
        tokio::time::advance(WINDOW).await;
        assert_eq!(activity.recent(&name).events_per_minute, 0);
        activity.forget(&name);
        assert_eq!(activity.recent(&name), Recent::default());
    }
}

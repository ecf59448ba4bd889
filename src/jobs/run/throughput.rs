//! How many images a job has processed over the time of its run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Maximum number of intervals. An even number, because neighbours are merged in pairs.
const MAX_INTERVALS: usize = 240;

/// The images that a run of a job has processed, in intervals of equal length since its start. If a run becomes longer
/// than 240 intervals, the length of an interval is doubled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// The length of an interval, in seconds.
    pub interval_seconds: u64,
    /// How long the run has lasted, in seconds. The last interval can be incomplete.
    pub duration_seconds: f64,
    /// Number of images that were processed in each interval.
    pub images: Vec<u64>,
}

impl Default for Throughput {
    fn default() -> Self {
        Self { interval_seconds: 1, duration_seconds: 0.0, images: Vec::new() }
    }
}

impl Throughput {
    /// Adds images that were processed between the last call and the time `since_start`.
    pub(super) fn add(&mut self, images: u64, since_start: Duration) {
        self.extend(since_start);
        if let Some(last) = self.images.last_mut() {
            *last += images;
        }
    }

    /// Returns the intervals until the time `since_start`.
    pub(super) fn until(&self, since_start: Duration) -> Self {
        let mut now = self.clone();
        now.extend(since_start);
        now
    }

    fn extend(&mut self, since_start: Duration) {
        self.duration_seconds = since_start.as_secs_f64();
        let interval = loop {
            let interval = usize::try_from(since_start.as_secs() / self.interval_seconds).unwrap_or(usize::MAX);
            if interval < MAX_INTERVALS {
                break interval;
            }
            self.images = self.images.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.interval_seconds *= 2;
        };
        if self.images.len() <= interval {
            self.images.resize(interval + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_counted_in_the_interval_in_which_they_were_processed() {
        let mut throughput = Throughput::default();
        throughput.add(3, Duration::from_millis(400));
        throughput.add(2, Duration::from_millis(900));
        throughput.add(7, Duration::from_millis(3_100));
        assert_eq!(throughput.images, [5, 0, 0, 7]);
        let later = throughput.until(Duration::from_millis(5_500));
        assert_eq!((later.images, later.duration_seconds), (vec![5, 0, 0, 7, 0, 0], 5.5));
    }

    #[test]
    fn a_long_run_has_longer_intervals_and_loses_no_image() {
        let mut throughput = Throughput::default();
        for second in 0..100_000 {
            throughput.add(2, Duration::from_secs(second));
        }
        assert_eq!(throughput.interval_seconds, 512);
        assert_eq!(throughput.images.len(), 100_000 / 512 + 1);
        assert_eq!(throughput.images.iter().sum::<u64>(), 200_000);
        assert!(throughput.images[..195].iter().all(|images| *images == 1_024));
    }

    #[test]
    fn a_run_that_waited_for_years_is_bounded() {
        let mut throughput = Throughput::default();
        throughput.add(1, Duration::from_secs(1));
        throughput.add(1, Duration::from_secs(u64::from(u32::MAX)));
        assert!(throughput.images.len() <= MAX_INTERVALS);
        assert_eq!(throughput.images.iter().sum::<u64>(), 2);
    }
}

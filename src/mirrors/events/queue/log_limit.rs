//! Limits the lines that the queue writes to the log.

use std::time::Duration;

use tokio::time::Instant;

/// Time in which one kind of line is written once.
const INTERVAL: Duration = Duration::from_mins(5);

/// Allows one line in each interval.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    last: Option<Instant>,
    left_out: u64,
}

impl LogLimit {
    /// Returns the number of lines that were left out since the last one; `None` if this line must be left out, too.
    pub(super) fn next_line(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_is_written_in_each_interval() {
        let mut limit = LogLimit::default();
        assert_eq!([limit.next_line(), limit.next_line(), limit.next_line()], [Some(0), None, None]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!([limit.next_line(), limit.next_line()], [Some(2), None]);
    }
}

//! How a download gets on, in the log: one line every few seconds.

use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(5);
const MB: u64 = 1_000_000;

/// One file on its way.
pub(super) struct Progress<'a> {
    file: &'a str,
    total: u64,
    begun: Instant,
    told: Instant,
    before: u64,
}

impl<'a> Progress<'a> {
    /// `before`: bytes that were there already.
    pub(super) fn begin(file: &'a str, before: u64, total: u64) -> Self {
        if before == 0 {
            tracing::info!(file, mb = total / MB, "downloading a model's file");
        } else {
            tracing::info!(file, mb = total / MB, had_mb = before / MB, "going on with a model's file");
        }
        Self { file, total, before, begun: Instant::now(), told: Instant::now() }
    }

    /// `have`: bytes that are there by now.
    pub(super) fn tell(&mut self, have: u64) {
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let seconds = self.begun.elapsed().as_secs().max(1);
        let pace = have.saturating_sub(self.before) / seconds;
        let left = self.total.saturating_sub(have).checked_div(pace);
        let percent = (have * 100).checked_div(self.total).unwrap_or(100);
        tracing::info!(
            file = self.file,
            percent,
            mb = have / MB,
            of_mb = self.total / MB,
            kb_per_second = pace / 1_000,
            left_seconds = left,
            "downloading"
        );
    }
}

//! Progress of a download: a bar on a terminal, otherwise a log message every few seconds.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

const LOG_INTERVAL: Duration = Duration::from_secs(5);
const BYTES_PER_MB: u64 = 1_000_000;
const BAR_TEMPLATE: &str = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";

/// Progress of one file.
pub(super) struct Progress<'a> {
    file: &'a str,
    total: Option<u64>,
    begun: Instant,
    last_report: Instant,
    before: u64,
    /// Only if standard error is a terminal.
    bar: Option<Bar>,
}

/// A bar that is removed when it is dropped.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl<'a> Progress<'a> {
    /// Starts the progress. `before`: bytes that already exist; `total`: size of the file in bytes, if it is known.
    pub(super) fn begin(file: &'a str, before: u64, total: Option<u64>) -> Self {
        if before == 0 {
            tracing::info!(file, mb = total.map(|total| total / BYTES_PER_MB), "downloading a file of the model");
        } else {
            tracing::info!(
                file,
                mb = total.map(|total| total / BYTES_PER_MB),
                had_mb = before / BYTES_PER_MB,
                "continuing the download of a file of the model"
            );
        }
        let bar = std::io::stderr().is_terminal().then(|| Bar(bar(file, before, total)));
        Self { file, total, before, begun: Instant::now(), last_report: Instant::now(), bar }
    }

    /// Reports progress. `have`: bytes that exist now.
    pub(super) fn update(&mut self, have: u64) {
        if let Some(Bar(bar)) = &self.bar {
            bar.set_position(have);
            return;
        }
        if self.last_report.elapsed() < LOG_INTERVAL {
            return;
        }
        self.last_report = Instant::now();
        let seconds = self.begun.elapsed().as_secs().max(1);
        let bytes_per_second = have.saturating_sub(self.before) / seconds;
        let left = self.total.and_then(|total| total.saturating_sub(have).checked_div(bytes_per_second));
        let percent = self.total.map(|total| (have * 100).checked_div(total).unwrap_or(100));
        tracing::info!(
            file = self.file,
            percent,
            mb = have / BYTES_PER_MB,
            of_mb = self.total.map(|total| total / BYTES_PER_MB),
            kb_per_second = bytes_per_second / 1_000,
            left_seconds = left,
            "downloading"
        );
    }
}

fn bar(file: &str, before: u64, total: Option<u64>) -> ProgressBar {
    // On standard error, like the log.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_message(file.to_owned());
    let style = ProgressStyle::with_template(BAR_TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_position(before);
    // Bytes that already exist must not count for the speed.
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid() {
        ProgressStyle::with_template(BAR_TEMPLATE).unwrap();
    }
}

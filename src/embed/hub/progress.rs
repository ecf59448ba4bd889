//! How a download gets on: a bar where somebody watches, else a line in the log every few seconds.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(5);
const MB: u64 = 1_000_000;
const BAR: &str = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";

/// One file on its way.
pub(super) struct Progress<'a> {
    file: &'a str,
    total: Option<u64>,
    begun: Instant,
    told: Instant,
    before: u64,
    /// Where the log is a terminal.
    bar: Option<Bar>,
}

/// A bar that goes with its file, however that ends.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl<'a> Progress<'a> {
    /// `before`: bytes that were there already; `total`: all bytes, if that is known.
    pub(super) fn begin(file: &'a str, before: u64, total: Option<u64>) -> Self {
        if before == 0 {
            tracing::info!(file, mb = total.map(|total| total / MB), "downloading a model's file");
        } else {
            tracing::info!(
                file,
                mb = total.map(|total| total / MB),
                had_mb = before / MB,
                "going on with a model's file"
            );
        }
        let bar = std::io::stderr().is_terminal().then(|| Bar(bar(file, before, total)));
        Self { file, total, before, begun: Instant::now(), told: Instant::now(), bar }
    }

    /// `have`: bytes that are there by now.
    pub(super) fn tell(&mut self, have: u64) {
        if let Some(Bar(bar)) = &self.bar {
            bar.set_position(have);
            return;
        }
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let seconds = self.begun.elapsed().as_secs().max(1);
        let pace = have.saturating_sub(self.before) / seconds;
        let left = self.total.and_then(|total| total.saturating_sub(have).checked_div(pace));
        let percent = self.total.map(|total| (have * 100).checked_div(total).unwrap_or(100));
        tracing::info!(
            file = self.file,
            percent,
            mb = have / MB,
            of_mb = self.total.map(|total| total / MB),
            kb_per_second = pace / 1_000,
            left_seconds = left,
            "downloading"
        );
    }
}

fn bar(file: &str, before: u64, total: Option<u64>) -> ProgressBar {
    // To standard error, as the log.
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_message(file.to_owned());
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_position(before);
    // What was there already says nothing of the pace.
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_sound() {
        ProgressStyle::with_template(BAR).unwrap();
    }
}

//! Progress bars, on standard error; none where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const KNOWN: &str = "{prefix:>10} {bar:32} {pos}/{len}  {msg}";
const UNKNOWN: &str = "{prefix:>10} {spinner} {pos}  {msg}";

/// A bar of `total` steps.
pub(super) fn bar(prefix: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_prefix(prefix).with_style(style(KNOWN));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// One whose length is not known yet.
pub(super) fn spinner(prefix: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_prefix(prefix).with_style(style(UNKNOWN));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Gives a spinner its length, or corrects it.
pub(super) fn lengthen(bar: &ProgressBar, total: u64) {
    if bar.length() != Some(total) {
        bar.set_style(style(KNOWN));
        bar.set_length(total);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▉▊▋▌▍▎▏ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_sound() {
        for template in [KNOWN, UNKNOWN] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}

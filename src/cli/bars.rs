//! Progress bars on standard error. They are not drawn if standard error is not a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const WITH_LENGTH: &str = "{prefix:>10} {bar:32} {pos}/{len}  {msg}";
const WITHOUT_LENGTH: &str = "{prefix:>10} {spinner} {pos}  {msg}";

/// Returns a bar of `total` steps.
pub(super) fn bar(prefix: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_prefix(prefix).with_style(style(WITH_LENGTH));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Returns a bar whose length is not known yet.
pub(super) fn spinner(prefix: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_prefix(prefix).with_style(style(WITHOUT_LENGTH));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Sets or corrects the length of a bar.
pub(super) fn set_total(bar: &ProgressBar, total: u64) {
    if bar.length() != Some(total) {
        bar.set_style(style(WITH_LENGTH));
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
    fn the_templates_are_valid() {
        for template in [WITH_LENGTH, WITHOUT_LENGTH] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}

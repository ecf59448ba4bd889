//! Limits how long a caller waits if a dependency asked it to wait.

use std::time::Duration;

/// The shortest pause if a dependency asks for a shorter one, unless the caller's own growing pause is still shorter
/// than this.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, even if the dependency asked for a longer one.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Returns how long to wait if the dependency asked for `requested` and the caller's own growing pause would be
/// `pause`.
pub(super) fn limited_wait(requested: Duration, pause: Duration) -> Duration {
    requested.clamp(pause.min(MIN_PAUSE), MAX_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_a_growing_minimum_and_a_maximum() {
        let pause = Duration::from_millis(300);
        assert_eq!(limited_wait(Duration::ZERO, pause), pause);
        assert_eq!(limited_wait(Duration::ZERO, 40 * pause), MIN_PAUSE);
        assert_eq!(limited_wait(Duration::from_secs(7), 40 * pause), Duration::from_secs(7));
        assert_eq!(limited_wait(Duration::from_hours(9), pause), MAX_RETRY_AFTER);
    }
}

//! Time limits for calls into the library, which may wait for ever: for a lock in its initialisation, or for a driver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Whether a call into the library has not returned in time.
static HANGS: AtomicBool = AtomicBool::new(false);

/// Runs `work` on a thread of its own and waits for it for at most `limit`. The thread cannot be ended: once one of them
/// did not return in time, all later calls fail, so that the number of such threads does not grow.
///
/// # Errors
/// A message, if `work` takes too long or panics.
pub(super) fn run<T: Send + 'static>(
    what: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    run_unless(&HANGS, what, limit, work)
}

fn run_unless<T: Send + 'static>(
    hangs: &AtomicBool,
    what: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    if hangs.load(Ordering::Relaxed) {
        return Err("ONNX Runtime did not return from an earlier call; restart the service".to_owned());
    }
    let (reply, answer) = mpsc::sync_channel(1);
    let call = move || {
        // The caller may have gone.
        let _ = reply.send(work());
    };
    thread::Builder::new()
        .name("onnxruntime".to_owned())
        .spawn(call)
        .map_err(|error| format!("a thread for ONNX Runtime cannot be started: {error}"))?;
    answer.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => {
            hangs.store(true, Ordering::Relaxed);
            format!("ONNX Runtime: {what} did not end within {} s", limit.as_secs())
        }
        RecvTimeoutError::Disconnected => format!("ONNX Runtime: {what} panicked; the log has the reason"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_the_last_one() {
        let (hangs, limit) = (AtomicBool::new(false), Duration::from_millis(20));
        assert_eq!(run_unless(&hangs, "a", Duration::from_mins(1), || 7), Ok(7));
        let panicked = run_unless(&hangs, "b", Duration::from_mins(1), || panic!("no")).map(|(): ()| ());
        assert!(panicked.unwrap_err().contains("b panicked"));
        // Ends with the test, when the sender is dropped.
        let (_sender, receiver) = mpsc::channel::<()>();
        let late = run_unless(&hangs, "c", limit, move || receiver.recv().is_ok());
        assert!(late.unwrap_err().contains("c did not end within"));
        assert!(run_unless(&hangs, "d", limit, || 7).unwrap_err().contains("restart"));
    }
}

//! Time limits for calls into the library, which may wait for ever: for a lock in its initialisation, or for a driver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Runs `work` on a thread of its own and waits for it for at most `limit`. The thread cannot be ended: once one of them
/// did not return in time, all later calls fail, so that there is at most one such thread for each waiting caller.
///
/// # Errors
/// A message, if `work` takes too long or panics.
pub(super) fn run<T: Send + 'static>(
    what: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    static HANGS: AtomicBool = AtomicBool::new(false);
    if HANGS.load(Ordering::Relaxed) {
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
            HANGS.store(true, Ordering::Relaxed);
            format!("ONNX Runtime: {what} did not end within {} s", limit.as_secs())
        }
        RecvTimeoutError::Disconnected => format!("ONNX Runtime: {what} panicked; the log has the reason"),
    })
}

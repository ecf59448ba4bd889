//! When background callers stop waiting: a job that is stopped ends its waits at once, while a call that has begun is
//! finished.
//!
//! The token belongs to the task, so that no port needs a parameter for it. [`spawn_owned`](super::spawn_owned) passes
//! it on to the tasks that it starts.

use std::future::Future;

use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static STOP: CancellationToken;
}

/// Runs `work`. Once `stop` is cancelled, each [`Guard`](super::Guard) inside fails instead of waiting.
pub async fn until_stopped<T>(stop: CancellationToken, work: impl Future<Output = T>) -> T {
    STOP.scope(stop, work).await
}

/// Returns the stop token of this task, if there is one.
pub(super) fn stop_token() -> Option<CancellationToken> {
    STOP.try_with(Clone::clone).ok()
}

/// Waits for `wait`, or until this task is stopped: then it returns `None`.
pub(super) async fn unless_stopped<T>(wait: impl Future<Output = T>) -> Option<T> {
    match stop_token() {
        Some(stop) => stop.run_until_cancelled(wait).await,
        None => Some(wait.await),
    }
}

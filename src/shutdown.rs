//! Stopping in two steps: the first signal drains, the second (or the end of [`PATIENCE`]) stops. Every task is tracked.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long tasks may take to end. With [`LAST_REPLIES`] and the embedded S3 server's own grace of 2 s, the process ends
/// within 25 s: before Kubernetes (30 s by default) and compose (`stop_grace_period`) kill it.
pub const PATIENCE: Duration = Duration::from_secs(18);
/// How long replies under way may take after all tasks have ended.
pub const LAST_REPLIES: Duration = Duration::from_secs(5);

/// The end of the process, as its parts see it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
    failed: Arc<OnceLock<&'static str>>,
}

impl Shutdown {
    /// One that only [`begin`](Self::begin) sets off: for tests and for commands that end by themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM and SIGINT set off: the first drains, the second stops.
    ///
    /// # Errors
    /// Where the operating system takes no handler.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (drain, stop) = (shutdown.drain.clone(), shutdown.stop.clone());
        let listen = async move {
            for step in [drain, stop] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!(second = step.is_cancelled(), "asked to stop");
                step.cancel();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "it outlives all that is waited for, and ends with the process")]
        drop(tokio::spawn(listen));
        Ok(shutdown)
    }

    /// Cancelled when no new work may begin.
    pub fn drain(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// Cancelled when everything must end at once.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Where every task is started, so that it can be waited for.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Starts a task that must live until the shutdown begins. If it panics or ends earlier, the process drains, and
    /// [`failed`](Self::failed) returns its name.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (drain, failed) = (self.drain.clone(), self.failed.clone());
        self.tasks.spawn(async move {
            let panicked = AssertUnwindSafe(task).catch_unwind().await.is_err();
            if panicked || !drain.is_cancelled() {
                tracing::error!(task = name, panicked, "a task that the process needs has ended; the process stops");
                failed.get_or_init(|| name);
                drain.cancel();
            }
        });
    }

    /// The name of the permanent task that ended too early, if one did.
    pub fn failed(&self) -> Option<&'static str> {
        self.failed.get().copied()
    }

    /// Begins to drain, as the first signal does.
    pub fn begin(&self) {
        self.drain.cancel();
    }

    /// Waits until all tasks have ended; `false` if it took too long or a second signal came.
    pub async fn finished(&self) -> bool {
        self.tasks.close();
        let done = tokio::select! {
            () = self.tasks.wait() => true,
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(PATIENCE) => false,
        };
        self.stop.cancel();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_its_tasks_but_not_for_ever() {
        let quick = Shutdown::new();
        let drain = quick.drain();
        quick.tasks().spawn(async move { drain.cancelled().await });
        quick.begin();
        assert!(quick.finished().await);

        let stuck = Shutdown::new();
        stuck.tasks().spawn(std::future::pending::<()>());
        stuck.begin();
        let begun = tokio::time::Instant::now();
        assert!(!stuck.finished().await);
        assert_eq!(begun.elapsed(), PATIENCE);
        assert!(stuck.stop().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_task_that_ends_too_early_stops_the_process_and_is_named() {
        let quiet = Shutdown::new();
        let drain = quiet.drain();
        quiet.spawn("scheduler", async move { drain.cancelled().await });
        quiet.begin();
        assert!(quiet.finished().await);
        assert_eq!(quiet.failed(), None, "it ended because it was asked to");

        for panics in [true, false] {
            let shutdown = Shutdown::new();
            shutdown.spawn("scheduler", async move { assert!(!panics, "on purpose") });
            shutdown.drain().cancelled().await;
            assert!(shutdown.finished().await);
            assert_eq!(shutdown.failed(), Some("scheduler"));
        }
    }
}

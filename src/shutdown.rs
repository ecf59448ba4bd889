//! Shutdown in two steps: the first signal drains, the second (or the end of [`TASK_TIMEOUT`]) stops. Every task is
//! tracked.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Maximum time that tasks have to end. With [`REPLY_TIMEOUT`] and the 2 s that the embedded S3 server waits, the
/// process ends within 25 s: before Kubernetes (30 s by default) and compose (`stop_grace_period`) kill it.
pub const TASK_TIMEOUT: Duration = Duration::from_secs(18);
/// Maximum time for replies in progress after all tasks have ended.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The shutdown state of the process, shared by its parts. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
    failed: Arc<OnceLock<&'static str>>,
}

impl Shutdown {
    /// Returns a shutdown that only [`begin`](Self::begin) triggers: for tests and for commands that end by themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a shutdown that SIGTERM and SIGINT trigger: the first signal drains, the second stops.
    ///
    /// # Errors
    /// Fails if the operating system does not accept a signal handler.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (drain, stop) = (shutdown.drain.clone(), shutdown.stop.clone());
        let listen = async move {
            for (step, second) in [(drain, false), (stop, true)] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!(second, "shutdown requested by a signal");
                step.cancel();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "it outlives all that is waited for, and ends with the process")]
        drop(tokio::spawn(listen));
        Ok(shutdown)
    }

    /// Returns a token that is cancelled when no new work may begin.
    pub fn drain(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// Returns a token that is cancelled when everything must end at once.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Returns the tracker in which every task is started, so that the shutdown can wait for it.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Starts a task that must run until the shutdown begins. If it panics or ends earlier, the process drains, and
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

    /// Returns the name of the permanent task that ended too early, if one did.
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
            () = tokio::time::sleep(TASK_TIMEOUT) => false,
        };
        self.stop.cancel();
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_its_tasks_but_not_forever() {
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
        assert_eq!(begun.elapsed(), TASK_TIMEOUT);
        assert!(stuck.stop().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_task_that_ends_too_early_stops_the_process_and_is_named() {
        let quiet = Shutdown::new();
        let drain = quiet.drain();
        quiet.spawn("scheduler", async move { drain.cancelled().await });
        quiet.begin();
        assert!(quiet.finished().await);
        assert_eq!(quiet.failed(), None, "it ended because of the shutdown");

        for panics in [true, false] {
            let shutdown = Shutdown::new();
            shutdown.spawn("scheduler", async move { assert!(!panics, "on purpose") });
            shutdown.drain().cancelled().await;
            assert!(shutdown.finished().await);
            assert_eq!(shutdown.failed(), Some("scheduler"));
        }
    }
}

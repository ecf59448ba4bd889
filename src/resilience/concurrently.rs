//! Bounded concurrency for the pipeline: each unit of work runs in its own task.
//!
//! With several `buffer_unordered` stages in a row, work in flight can starve: when a later stage is full, the futures
//! of an earlier one are not polled, and downloads stop (futures-rs 2387). A spawned task continues in any case.

use std::future::Future;
use std::num::NonZeroUsize;

use futures::stream::{Stream, StreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::stop;
use crate::telemetry::traces::Span;

/// Starts the work at once in its own task. The task continues even if the returned future is not polled; dropping the
/// future aborts the task. A panic in the work is raised again in the task that awaits the future. The work belongs to the
/// current trace.
pub fn spawn_owned<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let stop = stop::stop_token();
    let work = async move {
        match stop {
            Some(stop) => stop::until_stopped(stop, work).await,
            None => work.await,
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the handle is held by what is returned and aborts on drop")]
    let task = AbortOnDropHandle::new(tokio::spawn(Span::default().within(work)));
    async move {
        match task.await {
            Ok(output) => output,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only the end of the runtime cancels a task whose handle is still held.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Adds the method [`concurrently`](Concurrently::concurrently) to every stream.
pub trait Concurrently: Stream + Sized + Send {
    /// Runs `work` on at most `lanes` items at the same time, each in its own task, and returns the results in order of
    /// completion. Dropping the stream aborts the running tasks.
    ///
    /// A panic in `work` is raised again in the task that polls the stream: `work` must catch panics that it expects.
    fn concurrently<F, Fut>(self, lanes: NonZeroUsize, mut work: F) -> impl Stream<Item = Fut::Output> + Send
    where
        Self::Item: Send + 'static,
        F: FnMut(Self::Item) -> Fut + Send,
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        let spawned = self.map(move |item| spawn_owned(work(item)));
        #[expect(clippy::disallowed_methods, reason = "what is buffered are handles of tasks that run on their own")]
        let buffered = spawned.buffer_unordered(lanes.get());
        buffered
    }
}

impl<S: Stream + Sized + Send> Concurrently for S {}

/// Returns the number of CPU cores that this process may use.
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    #[tokio::test(start_paused = true)]
    async fn at_most_as_many_items_as_lanes_run_at_once() {
        let (running, max_running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (running_inside, max_running_inside) = (running.clone(), max_running.clone());
        let done: Vec<u32> = futures::stream::iter(0..20)
            .concurrently(TWO, move |item| {
                let (running, max_running) = (running_inside.clone(), max_running_inside.clone());
                async move {
                    max_running.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    item
                }
            })
            .collect()
            .await;
        assert_eq!(done.len(), 20);
        assert_eq!(max_running.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn work_continues_while_a_later_stage_is_full() {
        let begun = tokio::time::Instant::now();
        let mut stream = Box::pin(futures::stream::iter(0..2).concurrently(TWO, |item| async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            item
        }));
        stream.next().await;
        // The stream is not polled in the meantime; the second task must finish all the same.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let polled_at = tokio::time::Instant::now();
        stream.next().await;
        assert_eq!(polled_at.elapsed(), Duration::ZERO, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_task_stops_waiting_when_the_task_that_started_it_is_stopped() {
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        let wait = stop::until_stopped(stop, async {
            spawn_owned(async { stop::unless_stopped(std::future::pending::<()>()).await }).await
        });
        assert_eq!(wait.await, None);
    }

    #[tokio::test]
    async fn dropping_the_stream_aborts_the_running_tasks() {
        struct Flag(Arc<AtomicUsize>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let inside = dropped.clone();
        let mut stream = Box::pin(futures::stream::iter(0..2).concurrently(TWO, move |_| {
            let flag = Flag(inside.clone());
            async move {
                std::future::pending::<()>().await;
                drop(flag);
            }
        }));
        assert!(futures::poll!(stream.next()).is_pending());
        drop(stream);
        while dropped.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    }
}

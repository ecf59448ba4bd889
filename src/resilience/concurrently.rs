//! Bounded concurrency for the chain: each unit of work in a task of its own.
//!
//! Stacked `buffer_unordered` starves work in flight: when a later stage is full, the futures of an earlier
//! one are not polled, and downloads stand still (futures-rs 2387). A spawned task goes on regardless.

use std::future::Future;
use std::num::NonZeroUsize;

use futures::stream::{Stream, StreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::patience;

/// Begins the work at once, in a task of its own: it goes on where nobody looks at what is returned. Dropping that aborts it.
/// A panic in it is a panic of whoever waits for it.
pub fn on_its_own<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> + Send {
    let stop = patience::token();
    let work = async move {
        match stop {
            Some(stop) => patience::until_stopped(stop, work).await,
            None => work.await,
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the handle is held by what is returned and aborts on drop")]
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    async move {
        match task.await {
            Ok(output) => output,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only the runtime's own end cancels a task whose handle we hold.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Adds [`concurrently`](Concurrently::concurrently) to every stream.
pub trait Concurrently: Stream + Sized + Send {
    /// Runs `work` on up to `lanes` items at once, each in its own task, results in order of completion.
    /// Dropping the stream aborts what is in flight.
    ///
    /// A panic in `work` ends in this task's panic: catch it inside `work` where it may happen.
    fn concurrently<F, Fut>(self, lanes: NonZeroUsize, mut work: F) -> impl Stream<Item = Fut::Output> + Send
    where
        Self::Item: Send + 'static,
        F: FnMut(Self::Item) -> Fut + Send,
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        let spawned = self.map(move |item| on_its_own(work(item)));
        #[expect(clippy::disallowed_methods, reason = "what is buffered are handles of tasks that run on their own")]
        let buffered = spawned.buffer_unordered(lanes.get());
        buffered
    }
}

impl<S: Stream + Sized + Send> Concurrently for S {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    #[tokio::test(start_paused = true)]
    async fn never_more_than_its_lanes_at_once() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now_inside, most_inside) = (now.clone(), most.clone());
        let done: Vec<u32> = futures::stream::iter(0..20)
            .concurrently(TWO, move |item| {
                let (now, most) = (now_inside.clone(), most_inside.clone());
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    item
                }
            })
            .collect()
            .await;
        assert_eq!(done.len(), 20);
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_while_a_later_stage_is_full() {
        let begun = tokio::time::Instant::now();
        let mut stream = Box::pin(futures::stream::iter(0..2).concurrently(TWO, |item| async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            item
        }));
        stream.next().await;
        // Nobody polls the stream meanwhile; the second task must finish all the same.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = tokio::time::Instant::now();
        stream.next().await;
        assert_eq!(asked.elapsed(), Duration::ZERO, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_task_ends_its_waits_with_whoever_started_it() {
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        let wait = patience::until_stopped(stop, async {
            on_its_own(async { patience::unless_stopped(std::future::pending::<()>()).await }).await
        });
        assert_eq!(wait.await, None);
    }

    #[tokio::test]
    async fn dropping_the_stream_aborts_what_is_in_flight() {
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

//! One thread for each core, each with a single-threaded inference engine. In measurements this was at least as fast as
//! one engine over all cores, and a search waits only for the inference in progress.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::failed;
use super::queue::{Queue, Urgency};
use crate::embed::{Busy, EmbedError};

/// Maximum number of queued searches; further ones wait for a permit.
const MAX_QUEUED_SEARCHES: usize = 256;
/// Maximum number of queued images of batches for each worker: enough to keep it busy without much memory.
const MAX_QUEUED_IMAGES_PER_WORKER: usize = 4;

type Work = Box<dyn FnOnce() + Send>;

struct Job {
    work: Work,
    _permit: OwnedSemaphorePermit,
}

struct Shared {
    queue: Queue<Job>,
    busy_nanos: AtomicU64,
}

/// The worker threads. They end after this is dropped, each after its current inference.
pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: NonZeroUsize,
    interactive: Arc<Semaphore>,
    background: Arc<Semaphore>,
    handles: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start(threads: NonZeroUsize) -> Result<Self, EmbedError> {
        let shared = Arc::new(Shared { queue: Queue::new(), busy_nanos: AtomicU64::new(0) });
        let mut workers = Self {
            shared: shared.clone(),
            threads,
            interactive: Arc::new(Semaphore::new(MAX_QUEUED_SEARCHES)),
            background: Arc::new(Semaphore::new(MAX_QUEUED_IMAGES_PER_WORKER.saturating_mul(threads.get()))),
            handles: Vec::new(),
        };
        for number in 0..threads.get() {
            let shared = shared.clone();
            let handle = std::thread::Builder::new()
                .name(format!("embed-{number}"))
                .spawn(move || serve(&shared))
                .map_err(|error| failed(format!("an inference thread cannot be started: {error}")))?;
            workers.handles.push(handle);
        }
        Ok(workers)
    }

    /// Runs `work` on the next free worker. A panic in it fails only this call. If the caller is gone before its turn,
    /// `work` is skipped.
    pub(super) async fn run<T, F>(&self, urgency: Urgency, work: F) -> Result<T, EmbedError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, EmbedError> + Send + 'static,
    {
        let ended = || failed("the inference workers have ended".to_owned());
        let permits = match urgency {
            Urgency::Interactive => &self.interactive,
            Urgency::Background => &self.background,
        };
        let permit = permits.clone().acquire_owned().await.map_err(|_| ended())?;
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move || {
            if !reply.is_closed() {
                let outcome = catch_unwind(AssertUnwindSafe(work));
                // The caller may be gone.
                let _ = reply.send(outcome.unwrap_or_else(|panic| Err(panicked(&*panic))));
            }
        });
        self.shared.queue.push(Job { work, _permit: permit }, urgency);
        answer.await.map_err(|_| ended())?
    }

    pub(super) fn busy(&self) -> Busy {
        let worked = Duration::from_nanos(self.shared.busy_nanos.load(Ordering::Relaxed));
        Busy { threads: self.threads, worked }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

fn serve(shared: &Shared) {
    while let Some(job) = shared.queue.next() {
        let begun = Instant::now();
        (job.work)();
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        shared.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> EmbedError {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    EmbedError::Rejected(format!("inference panicked: {}", message.unwrap_or("without a message")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    #[tokio::test]
    async fn a_panic_fails_only_its_own_call() {
        let workers = Workers::start(ONE).unwrap();
        let error = workers.run::<(), _>(Urgency::Interactive, || panic!("bad {}", "image")).await.unwrap_err();
        assert_eq!(error, EmbedError::Rejected("inference panicked: bad image".into()));
        assert_eq!(workers.run(Urgency::Background, || Ok(7)).await, Ok(7));
    }

    #[tokio::test]
    async fn dropping_ends_the_threads() {
        let mut workers = Workers::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let handles = std::mem::take(&mut workers.handles);
        assert_eq!(handles.len(), 3);
        drop(workers);
        for handle in handles {
            handle.join().unwrap();
        }
    }

    #[tokio::test]
    async fn a_search_goes_before_a_batch_and_cancelled_work_is_skipped() {
        let workers = Workers::start(ONE).unwrap();
        let (signal_begin, begun) = std::sync::mpsc::channel();
        let (open_gate, gate) = std::sync::mpsc::channel::<()>();
        let (served, order) = std::sync::mpsc::channel();
        let record = |name: &'static str| {
            let served = served.clone();
            move || served.send(name).map_err(|_| EmbedError::Unsupported)
        };
        let mut first = Box::pin(workers.run(Urgency::Background, move || {
            signal_begin.send(()).map_err(|_| EmbedError::Unsupported)?;
            gate.recv().map_err(|_| EmbedError::Unsupported)
        }));
        assert!(futures::poll!(&mut first).is_pending());
        begun.recv().unwrap();
        let mut cancelled = Box::pin(workers.run(Urgency::Interactive, record("forgotten")));
        assert!(futures::poll!(&mut cancelled).is_pending());
        drop(cancelled);
        let batch = workers.run(Urgency::Background, record("batch"));
        let search = workers.run(Urgency::Interactive, record("search"));
        let opener = async { open_gate.send(()).map_err(|_| EmbedError::Unsupported) };
        assert_eq!(futures::join!(first, batch, search, opener), (Ok(()), Ok(()), Ok(()), Ok(())));
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["search", "batch"]);
    }

    #[tokio::test]
    async fn busy_time_adds_up() {
        let workers = Workers::start(ONE).unwrap();
        workers.run(Urgency::Interactive, || Ok(())).await.unwrap();
        workers.run(Urgency::Interactive, || Ok(())).await.unwrap();
        assert!(workers.busy().worked > Duration::ZERO);
        assert_eq!(workers.busy().threads, ONE);
    }
}

//! The queue between the spans that end and the collector. It is bounded and never waits: if the collector is slow or down,
//! spans are dropped and counted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::sender::{Sender, SpanSink, outcome};

/// Maximum number of spans that wait.
const MAX_WAITING: usize = 4_096;
/// Maximum time for the spans that are left at the end of the process.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The processor of spans that end.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    dropped: Counter,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            self.dropped.increment(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends spans until it is dropped.
#[must_use = "hold it until the process ends"]
pub struct Traces {
    end: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Sends the spans that have ended, for at most [`FLUSH_TIMEOUT`].
    pub async fn flush(self) {
        self.end.cancel();
        if tokio::time::timeout(FLUSH_TIMEOUT, self.task).await.is_err() {
            tracing::warn!("the last spans could not be sent in time; they are dropped");
        }
    }
}

impl Queue {
    /// Starts the task that sends. It needs the runtime.
    pub(super) fn start(sink: Arc<dyn SpanSink>) -> (Self, Traces) {
        let (spans, waiting) = mpsc::channel(MAX_WAITING);
        let end = CancellationToken::new();
        let sender = Sender::new(waiting, sink);
        #[expect(
            clippy::disallowed_methods,
            reason = "it outlives the tasks whose spans it sends, and is aborted on drop"
        )]
        let task = AbortOnDropHandle::new(tokio::spawn(sender.keep(end.clone())));
        (Self { spans, dropped: outcome("dropped") }, Traces { end, task })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::time::SystemTime;

    use async_trait::async_trait;
    use bytes::Bytes;
    use opentelemetry::InstrumentationScope;
    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};

    use tokio::time::Instant;

    use super::*;
    use crate::lock::lock;
    use crate::telemetry::traces::sender::{BATCH_WAIT, MAX_BATCH, SendError, Sent};

    /// Records the sizes of batches and when they were sent; refuses them or never answers if it is so set.
    #[derive(Default)]
    struct Recorder {
        sizes: Mutex<Vec<usize>>,
        times: Mutex<Vec<Instant>>,
        refusals: Mutex<VecDeque<SendError>>,
        hangs: bool,
    }

    impl Recorder {
        fn refusing(refusals: impl IntoIterator<Item = SendError>) -> Arc<Self> {
            Arc::new(Self { refusals: Mutex::new(refusals.into_iter().collect()), ..Self::default() })
        }

        /// Returns the pauses between the messages.
        fn pauses(&self) -> Vec<Duration> {
            lock(&self.times).windows(2).map(|pair| pair[1] - pair[0]).collect()
        }
    }

    fn busy(retry_after: Option<u64>) -> SendError {
        SendError::Temporary { reason: "busy".to_owned(), retry_after: retry_after.map(Duration::from_secs) }
    }

    #[async_trait]
    impl SpanSink for Recorder {
        async fn send(&self, message: Bytes) -> Result<Sent, SendError> {
            lock(&self.sizes).push(message.len());
            lock(&self.times).push(Instant::now());
            if self.hangs {
                std::future::pending::<()>().await;
            }
            lock(&self.refusals).pop_front().map_or(Ok(Sent::default()), Err)
        }

        fn encode(&self, spans: Vec<SpanData>) -> Bytes {
            vec![0; spans.len()].into()
        }
    }

    fn span(flags: TraceFlags) -> SpanData {
        SpanData {
            span_context: SpanContext::new(TraceId::from(1), SpanId::from(1), flags, false, TraceState::NONE),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: "test".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: opentelemetry_sdk::trace::SpanEvents::default(),
            links: opentelemetry_sdk::trace::SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn spans_are_sent_in_batches_and_the_rest_at_the_end() {
        let sink = Arc::new(Recorder::default());
        let (queue, traces) = Queue::start(sink.clone());
        for _ in 0..=MAX_BATCH {
            queue.on_end(span(TraceFlags::SAMPLED));
        }
        queue.on_end(span(TraceFlags::default()));
        tokio::time::sleep(BATCH_WAIT * 3).await;
        assert_eq!(*lock(&sink.sizes), [MAX_BATCH, 1], "the one that is not sampled is not sent");
        queue.on_end(span(TraceFlags::SAMPLED));
        traces.flush().await;
        assert_eq!(*lock(&sink.sizes), [MAX_BATCH, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_hangs_delays_neither_spans_nor_the_end() {
        let sink = Arc::new(Recorder { hangs: true, ..Recorder::default() });
        let (queue, traces) = Queue::start(sink.clone());
        for _ in 0..MAX_WAITING * 3 {
            queue.on_end(span(TraceFlags::SAMPLED));
        }
        tokio::time::sleep(BATCH_WAIT * 2).await;
        assert_eq!(lock(&sink.sizes).len(), 1, "one message at a time");
        let begun = Instant::now();
        traces.flush().await;
        assert_eq!(begun.elapsed(), FLUSH_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_down_is_tried_again_with_the_next_spans() {
        let sink = Recorder::refusing([(); 2].map(|()| SendError::Refused("down".to_owned())));
        let (queue, traces) = Queue::start(sink.clone());
        for _ in 0..2 {
            queue.on_end(span(TraceFlags::SAMPLED));
            tokio::time::sleep(BATCH_WAIT * 2).await;
        }
        assert_eq!(*lock(&sink.sizes), [1, 1]);
        traces.flush().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_collector_gets_the_same_spans_again_when_it_asks_for_them() {
        let sink = Recorder::refusing([busy(Some(7)), busy(None)]);
        let (queue, traces) = Queue::start(sink.clone());
        queue.on_end(span(TraceFlags::SAMPLED));
        queue.on_end(span(TraceFlags::SAMPLED));
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(*lock(&sink.sizes), [2, 2, 2]);
        let pauses = sink.pauses();
        assert_eq!(pauses[0], Duration::from_secs(7));
        assert!((2..=4).contains(&pauses[1].as_secs()), "growing, with jitter: {pauses:?}");
        traces.flush().await;
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_limited_in_number_and_in_time() {
        let sink = Recorder::refusing([busy(None), busy(None), busy(None), busy(Some(31)), busy(Some(20))]);
        let (queue, traces) = Queue::start(sink.clone());
        queue.on_end(span(TraceFlags::SAMPLED));
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(*lock(&sink.sizes), [1, 1, 1], "three times");
        queue.on_end(span(TraceFlags::SAMPLED));
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(lock(&sink.sizes).len(), 4, "the collector asks for too long a pause");
        // The pause ends with the process, and the spans that wait are sent once each.
        queue.on_end(span(TraceFlags::SAMPLED));
        tokio::time::sleep(BATCH_WAIT * 2).await;
        queue.on_end(span(TraceFlags::SAMPLED));
        *lock(&sink.refusals) = [busy(None), busy(None), busy(None)].into();
        let begun = Instant::now();
        traces.flush().await;
        assert_eq!((lock(&sink.sizes)[4..].to_vec(), begun.elapsed()), (vec![1, 1, 1], Duration::ZERO));
    }
}

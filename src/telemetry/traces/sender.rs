//! Sends spans to the collector, in batches.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use metrics::Counter;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::metrics::{counter, families};

/// Maximum number of spans of one message.
pub(super) const MAX_BATCH: usize = 512;
/// How long a message waits for more spans.
pub(super) const BATCH_WAIT: Duration = Duration::from_secs(1);
/// Maximum time for one try to send a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a message is sent again after a temporary refusal.
const MAX_RETRIES: usize = 2;
/// Maximum time for a message with its retries. Meanwhile, the next spans wait in the queue, which is bounded.
const RETRY_WINDOW: Duration = Duration::from_secs(30);
/// The pause before the first retry, if the collector does not ask for one; the next is twice as long, both with jitter.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Minimum interval between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// What a collector has accepted of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The number of spans that it refuses.
    pub rejected: usize,
    /// Its message about them, if it has sent one.
    pub message: String,
}

/// Why no span of a message was received. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The same message can be accepted later.
    #[error("{reason}")]
    Temporary {
        /// What has happened.
        reason: String,
        /// How long the collector asks to wait.
        retry_after: Option<Duration>,
    },
    /// The message is lost.
    #[error("{0}")]
    Refused(String),
}

/// A receiver of spans.
#[async_trait]
pub trait SpanSink: Send + Sync {
    /// Returns the message with these spans, which can be sent several times.
    fn encode(&self, spans: Vec<SpanData>) -> Bytes;

    /// Sends a message once.
    ///
    /// # Errors
    /// Fails if none of its spans was received.
    async fn send(&self, message: Bytes) -> Result<Sent, SendError>;
}

/// Returns the counter of spans with this outcome.
pub(super) fn outcome(outcome: &'static str) -> Counter {
    counter!(families::TRACE_SPANS, "outcome" => outcome)
}

struct Counts {
    sent: Counter,
    failed: Counter,
    rejected: Counter,
}

impl Default for Counts {
    fn default() -> Self {
        Self { sent: outcome("sent"), failed: outcome("failed"), rejected: outcome("rejected") }
    }
}

/// The task that sends the spans that wait.
pub(super) struct Sender {
    waiting: mpsc::Receiver<SpanData>,
    sink: Arc<dyn SpanSink>,
    counts: Counts,
    /// The time of the last warning.
    warned: Option<Instant>,
    /// Spans that were lost since then.
    lost: usize,
}

impl Sender {
    pub(super) fn new(waiting: mpsc::Receiver<SpanData>, sink: Arc<dyn SpanSink>) -> Self {
        Self { waiting, sink, counts: Counts::default(), warned: None, lost: 0 }
    }

    /// Sends spans until `end` is cancelled, and then those that wait.
    pub(super) async fn keep(mut self, end: CancellationToken) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while let Some(true) = end.run_until_cancelled(self.collect(&mut batch)).await {
            self.send(&mut batch, &end).await;
        }
        self.waiting.close();
        loop {
            while batch.len() < MAX_BATCH
                && let Ok(span) = self.waiting.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.send(&mut batch, &end).await;
        }
    }

    /// Waits for a full batch, or for [`BATCH_WAIT`] after the first span. Returns false if no more spans can come. What it has
    /// collected stays in `batch` if it is dropped.
    async fn collect(&mut self, batch: &mut Vec<SpanData>) -> bool {
        if batch.is_empty() && self.waiting.recv_many(batch, MAX_BATCH).await == 0 {
            return false;
        }
        let until = Instant::now() + BATCH_WAIT;
        while batch.len() < MAX_BATCH {
            let left = MAX_BATCH - batch.len();
            match tokio::time::timeout_at(until, self.waiting.recv_many(batch, left)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        true
    }

    async fn send(&mut self, batch: &mut Vec<SpanData>, end: &CancellationToken) {
        let spans = std::mem::take(batch);
        let number = spans.len();
        match self.deliver(self.sink.encode(spans), end).await {
            Ok(Sent { rejected, message }) => {
                let rejected = rejected.min(number);
                self.counts.sent.increment((number - rejected) as u64);
                self.counts.rejected.increment(rejected as u64);
                if rejected > 0 {
                    self.warn(rejected, &format!("the collector refuses them: {message}"));
                }
            }
            Err(reason) => {
                self.counts.failed.increment(number as u64);
                self.warn(number, &reason);
            }
        }
    }

    /// Sends a message, and again after a temporary refusal: at most [`MAX_RETRIES`] times within [`RETRY_WINDOW`]. At the
    /// end of the process, a pause ends at once, and no other one begins.
    async fn deliver(&self, message: Bytes, end: &CancellationToken) -> Result<Sent, String> {
        let until = Instant::now() + RETRY_WINDOW;
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_jitter().with_max_times(MAX_RETRIES);
        let mut pauses = pauses.build();
        loop {
            let limit = until.min(Instant::now() + SEND_TIMEOUT);
            let (reason, retry_after) = match tokio::time::timeout_at(limit, self.sink.send(message.clone())).await {
                Ok(Ok(sent)) => return Ok(sent),
                Ok(Err(SendError::Temporary { reason, retry_after })) => (reason, retry_after),
                Ok(Err(SendError::Refused(reason))) => return Err(reason),
                // It may have received them.
                Err(_) => return Err(format!("no reply within {} s", SEND_TIMEOUT.as_secs())),
            };
            let Some(pause) = pauses.next().map(|pause| retry_after.unwrap_or(pause)) else { return Err(reason) };
            if end.is_cancelled() || Instant::now() + pause >= until {
                return Err(reason);
            }
            end.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Logs that spans are lost, once in each [`WARNING_INTERVAL`].
    fn warn(&mut self, lost: usize, reason: &str) {
        self.lost += lost;
        if self.warned.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            return;
        }
        tracing::warn!(
            spans = self.lost,
            reason,
            "spans could not be sent to OTEL_EXPORTER_OTLP_ENDPOINT and are lost; this is logged once a minute"
        );
        (self.warned, self.lost) = (Some(Instant::now()), 0);
    }
}

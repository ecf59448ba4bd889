//! Sends spans to the collector, in batches.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
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
/// Maximum time for one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
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

/// A receiver of spans.
#[async_trait]
pub trait SpanSink: Send + Sync {
    /// Sends spans.
    ///
    /// # Errors
    /// Fails with a message for the log if none of them was received.
    async fn send(&self, spans: Vec<SpanData>) -> Result<Sent, String>;
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
            self.send(&mut batch).await;
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
            self.send(&mut batch).await;
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

    async fn send(&mut self, batch: &mut Vec<SpanData>) {
        let spans = std::mem::take(batch);
        let number = spans.len();
        let sent = tokio::time::timeout(SEND_TIMEOUT, self.sink.send(spans)).await;
        match sent {
            Ok(Ok(Sent { rejected, message })) => {
                let rejected = rejected.min(number);
                self.counts.sent.increment((number - rejected) as u64);
                self.counts.rejected.increment(rejected as u64);
                if rejected > 0 {
                    self.warn(rejected, &format!("the collector refuses them: {message}"));
                }
            }
            Ok(Err(reason)) => {
                self.counts.failed.increment(number as u64);
                self.warn(number, &reason);
            }
            Err(_) => {
                self.counts.failed.increment(number as u64);
                self.warn(number, &format!("no reply within {} s", SEND_TIMEOUT.as_secs()));
            }
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

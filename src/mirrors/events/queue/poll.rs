//! The task that takes events from the queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::future::join_all;

use super::log_limit::LogLimit;
use super::tally::{self, Failure};
use super::{EventQueue, MAX_MESSAGES, QueueError, QueueMessage};
use crate::ledger::mirrors;
use crate::mirrors::events::parse::{Named, parse};
use crate::mirrors::{MirrorService, Mirrors, MirrorsError};

/// How long a call waits for the first message: the maximum of SQS. An idle queue costs three calls a minute.
const WAIT: Duration = Duration::from_secs(20);
/// Maximum number of calls at the same time, while there are more messages than one call returns.
const MAX_CALLS: usize = 8;
/// Maximum time of the deletion of one batch. It is not interrupted by a shutdown, and must end before the service does.
const DELETE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of kinds of failures that are logged. There are fewer.
const MAX_KINDS: usize = 16;
/// The pauses after failures in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_mins(1);

impl Mirrors {
    /// Takes events from a queue until the service is asked to stop. A message is deleted when the ledger has its events.
    pub fn poll(&self, queue: Arc<dyn EventQueue>) -> impl Future<Output = ()> + Send + use<> {
        let (service, drain) = (self.0.clone(), self.0.jobs.0.drain.clone());
        async move {
            tally::create_series();
            let mut poller = Poller::new(service, queue);
            while let Some(pause) = drain.run_until_cancelled(poller.receive()).await {
                let pause = match pause {
                    Ok(messages) => poller.process(messages).await,
                    Err(pause) => Some(pause),
                };
                if let Some(pause) = pause {
                    drain.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
    }
}

struct Poller {
    service: Arc<MirrorService>,
    queue: Arc<dyn EventQueue>,
    /// Whether the last calls returned as many messages as they can.
    is_busy: bool,
    /// The pauses after the failures in a row; `None` after a success.
    pauses: Option<ExponentialBackoff>,
    /// A limit for each kind of failure that was logged since the last line about a recovery.
    failures: HashMap<String, LogLimit>,
    recoveries: LogLimit,
    unreadable: LogLimit,
}

impl Poller {
    fn new(service: Arc<MirrorService>, queue: Arc<dyn EventQueue>) -> Self {
        let (failures, recoveries, unreadable) = (HashMap::new(), LogLimit::default(), LogLimit::default());
        Self { service, queue, is_busy: false, pauses: None, failures, recoveries, unreadable }
    }

    /// Receives messages: waits for the first, or makes several calls if the queue had many before. Returns the pause after a
    /// failure.
    async fn receive(&mut self) -> Result<Vec<QueueMessage>, Duration> {
        let (calls, wait) = if self.is_busy { (MAX_CALLS, Duration::ZERO) } else { (1, WAIT) };
        let replies = join_all((0..calls).map(|_| self.queue.receive(wait))).await;
        let mut messages = Vec::new();
        let (mut failed, mut failure) = (0, None);
        for reply in replies {
            match reply {
                Ok(received) => messages.extend(received),
                Err(error) => (failed, failure) = (failed + 1, Some(error)),
            }
        }
        self.is_busy = messages.len() >= calls * MAX_MESSAGES / 2;
        tally::connected(failed < calls);
        tally::failed(Failure::Receive, failed as u64);
        match failure {
            Some(error) if failed == calls => Err(self.pause(&error)),
            Some(error) => {
                // The messages of the other calls are processed.
                self.log(&error);
                Ok(messages)
            }
            None => Ok(messages),
        }
    }

    /// Records the events of messages, and deletes the messages. Returns the pause after a failure.
    async fn process(&mut self, messages: Vec<QueueMessage>) -> Option<Duration> {
        let mut all = Named::default();
        let mut receipts = Vec::with_capacity(messages.len());
        for message in messages {
            match parse(message.body.as_bytes()) {
                Ok(named) => {
                    tally::received(named.form.as_str(), 1);
                    all.append(named);
                    receipts.push(message.receipt);
                }
                Err(reason) => self.leave_unreadable(&reason),
            }
        }
        if let Err(error) = self.record(all).await {
            // The messages are delivered again.
            tally::failed(Failure::Record, 1);
            return Some(self.pause(&error));
        }
        if let Err(error) = self.delete(&receipts).await {
            return Some(self.pause(&error));
        }
        // Not at each change: a queue that fails now and then would fill the log.
        if self.pauses.take().is_some() && !self.failures.is_empty() && self.recoveries.next_line().is_some() {
            self.failures.clear();
            tracing::info!("the queue of events is used again");
        }
        None
    }

    async fn record(&self, named: Named) -> Result<(), MirrorsError> {
        if named.objects.is_empty() {
            return Ok(());
        }
        let mirrors = self.service.ledger.read(mirrors::list).await?;
        self.service.record_for_all(&mirrors, named).await.map(drop)
    }

    /// Deletes messages. Those that cannot be deleted are delivered again. Fails if none can be deleted.
    async fn delete(&mut self, receipts: &[String]) -> Result<(), QueueError> {
        let batches = receipts.chunks(MAX_MESSAGES).map(|batch| {
            let call = tokio::time::timeout(DELETE_TIMEOUT, self.queue.delete(batch));
            async move { (batch.len(), call.await) }
        });
        let (mut failure, mut deleted) = (None, 0);
        for (count, outcome) in join_all(batches).await {
            let failed = match outcome {
                Ok(Ok(None)) => 0,
                Ok(Ok(Some((failed, reason)))) => {
                    failure = Some(QueueError::Refused(format!("{failed} messages could not be deleted: {reason}")));
                    failed
                }
                Ok(Err(error)) => {
                    failure = Some(error);
                    count
                }
                Err(_) => {
                    let waited = format!("messages were not deleted within {} s", DELETE_TIMEOUT.as_secs());
                    failure = Some(QueueError::Unavailable(waited));
                    count
                }
            };
            deleted += count - failed;
            tally::failed(Failure::Delete, failed as u64);
        }
        tally::deleted(deleted as u64);
        match failure {
            Some(error) if deleted == 0 => Err(error),
            Some(error) => {
                self.log(&error);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A message that is not JSON may be meant for another receiver, or show a mistake: it stays for the dead-letter queue.
    fn leave_unreadable(&mut self, reason: &str) {
        tally::received(tally::UNREADABLE, 1);
        if let Some(left_out) = self.unreadable.next_line() {
            tracing::warn!(reason, left_out, "a message of the queue is not a JSON object; it is not deleted");
        }
    }

    /// Logs a failure: at once if the log says that the queue is used again, or has no failure of this kind.
    fn log(&mut self, error: &dyn std::error::Error) {
        let text = error.to_string();
        // The rest can contain the id of a request.
        let kind = text.split(['(', ':']).next().unwrap_or_default();
        if self.failures.len() >= MAX_KINDS && !self.failures.contains_key(kind) {
            return;
        }
        if let Some(left_out) = self.failures.entry(kind.to_owned()).or_default().next_line() {
            tracing::warn!(error = text, left_out, "a call of the queue failed (GLIMPSE_SQS_URL); trying again");
        }
    }

    /// Logs a failure. Returns how long to wait.
    fn pause(&mut self, error: &dyn std::error::Error) -> Duration {
        self.log(error);
        self.is_busy = false;
        let pauses = self.pauses.get_or_insert_with(|| {
            let growing = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_delay(MAX_PAUSE);
            growing.with_jitter().without_max_times().build()
        });
        pauses.next().unwrap_or(MAX_PAUSE)
    }
}

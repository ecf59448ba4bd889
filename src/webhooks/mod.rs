//! Webhooks: requests that notify a receiver of the ends of jobs and of the stops of mirrors, in the scheme of Standard Webhooks.
//! The ledger records each of them in the transaction of the event, so that none is lost by a restart. One task sends them, one
//! after the other, and repeats those that fail for some hours.

mod settings;
mod signature;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::domain::{Timestamp, TrustedFiles, with_causes};
use crate::http::{client_builder, retry_after, send_traced, trust_files};
use crate::ledger::outbox::{self, OutboxRow};
use crate::ledger::{Ledger, LedgerError};
use crate::telemetry::metrics::{counter, families, gauge};
use crate::telemetry::traces;

pub use settings::{WebhookSecret, WebhookSettings, WebhookUrl};

/// How often the ledger is checked for webhooks that are due.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failed ledger operation.
const LEDGER_RETRY_DELAY: Duration = Duration::from_secs(5);
/// Maximum duration of one request, including its reply.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The pauses between the attempts: 10 attempts within about 8 hours.
const RETRY_DELAYS: [Duration; 9] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
];

/// Returns the jobs and mirrors as the API shows them.
#[async_trait]
pub trait Subjects: Send + Sync + 'static {
    /// Returns a job; `None` if it does not exist any more.
    ///
    /// # Errors
    /// The message of the error.
    async fn job(&self, id: &str) -> Result<Option<Value>, String>;

    /// Returns a mirror; `None` if it does not exist any more.
    ///
    /// # Errors
    /// The message of the error.
    async fn mirror(&self, name: &str) -> Result<Option<Value>, String>;
}

/// Sends webhooks to the receiver of the settings.
#[derive(Clone)]
pub struct Webhooks {
    ledger: Ledger,
    client: Client,
    url: WebhookUrl,
    secret: Option<WebhookSecret>,
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why webhooks cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhooksError {
    /// The HTTP client cannot be created.
    #[error("GLIMPSE_WEBHOOK_URL: the client of HTTP cannot be created: {0}")]
    Client(String),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why an attempt failed.
#[derive(Debug)]
struct FailedAttempt {
    reason: String,
    /// How long the receiver asks to wait.
    retry_after: Option<Duration>,
    /// Whether the receiver does not want the webhook at all.
    is_final: bool,
}

impl FailedAttempt {
    fn new(reason: String) -> Self {
        Self { reason, retry_after: None, is_final: false }
    }
}

impl Webhooks {
    /// Records in the ledger whether there is a receiver, and returns the sender of webhooks if there is one. Sends nothing yet.
    ///
    /// # Errors
    /// [`WebhooksError`]
    pub async fn open(
        ledger: &Ledger,
        settings: &WebhookSettings,
        trusted: &TrustedFiles,
    ) -> Result<Option<Self>, WebhooksError> {
        let enabled = settings.glimpse_webhook_url.is_some();
        for outcome in ["delivered", "failed", "dropped"] {
            count(outcome, 0);
        }
        gauge!(families::WEBHOOKS_WAITING).set(0.0);
        // Written only if it changes, because the service must be able to start on a full disk.
        if ledger.read(outbox::is_enabled).await? != enabled {
            ledger.write(move |tx| outbox::set_enabled(tx, enabled)).await?;
        }
        let Some(url) = settings.glimpse_webhook_url.clone() else { return Ok(None) };
        let builder = trust_files(client_builder(url.reveal()).timeout(REQUEST_TIMEOUT), trusted);
        let client = builder.map_err(WebhooksError::Client)?.build();
        let client = client.map_err(|error| WebhooksError::Client(with_causes(&error.without_url())))?;
        Ok(Some(Self { ledger: ledger.clone(), client, url, secret: settings.glimpse_webhook_secret.clone() }))
    }

    /// Sends what is due, until `drain`. A request that is interrupted is repeated at the next start.
    pub async fn keep(self, subjects: Arc<dyn Subjects>, drain: CancellationToken) {
        let send = async {
            loop {
                match self.send_next(&*subjects).await {
                    Ok(true) => {}
                    Ok(false) => tokio::time::sleep(POLL_INTERVAL).await,
                    Err(error) => {
                        tracing::error!(%error, "the webhooks could not be read from or written to the ledger");
                        tokio::time::sleep(LEDGER_RETRY_DELAY).await;
                    }
                }
            }
        };
        drain.run_until_cancelled(send).await;
    }

    /// Makes one attempt for the webhook that has been due for the longest time. Returns `false` if none is due.
    async fn send_next(&self, subjects: &dyn Subjects) -> Result<bool, LedgerError> {
        let counts = self.ledger.read(outbox::counts).await?;
        gauge!(families::WEBHOOKS_WAITING).set(f64::from(counts.waiting));
        if counts.dropped > 0 {
            tracing::error!(
                dropped = counts.dropped,
                "webhooks were dropped, because too many waited for the receiver"
            );
            count("dropped", counts.dropped.into());
            self.ledger.write(move |tx| outbox::forget_dropped(tx, counts.dropped)).await?;
        }
        let now = now_millis();
        let Some(row) = self.ledger.read(move |db| outbox::next(db, now)).await? else { return Ok(false) };
        let sent = match self.body(&row, subjects).await? {
            Ok(body) => self.post(&row.id, body).await,
            Err(reason) => Err(FailedAttempt::new(reason)),
        };
        let number = row.number;
        match sent {
            Ok(()) => {
                tracing::info!(webhook = row.id, event = row.event, subject = row.subject, "a webhook was delivered");
                count("delivered", 1);
                self.ledger.write(move |tx| outbox::remove(tx, number)).await?;
            }
            Err(failed) => self.record_failure(&row, &failed).await?,
        }
        Ok(true)
    }

    /// Returns the body of a webhook. It is recorded, so that each attempt sends the same.
    async fn body(&self, row: &OutboxRow, subjects: &dyn Subjects) -> Result<Result<String, String>, LedgerError> {
        if let Some(body) = &row.body {
            return Ok(Ok(body.clone()));
        }
        let body = match compose(row, subjects).await {
            Ok(body) => body.to_string(),
            Err(reason) => return Ok(Err(reason)),
        };
        let (number, recorded) = (row.number, body.clone());
        self.ledger.write(move |tx| outbox::set_body(tx, number, &recorded)).await?;
        Ok(Ok(body))
    }

    async fn record_failure(&self, row: &OutboxRow, failed: &FailedAttempt) -> Result<(), LedgerError> {
        let (number, attempts) = (row.number, row.attempts + 1);
        let (event, subject, reason) = (&row.event, &row.subject, &failed.reason);
        count("failed", 1);
        if let Some(delay) = RETRY_DELAYS.get(row.attempts as usize).filter(|_| !failed.is_final) {
            let delay = failed.retry_after.map_or(*delay, |wait| wait.max(*delay));
            tracing::warn!(
                webhook = row.id,
                event,
                subject,
                attempts,
                reason,
                ?delay,
                "a webhook is tried again later"
            );
            let due = now_millis().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
            return self.ledger.write(move |tx| outbox::retry(tx, number, due)).await;
        }
        tracing::error!(webhook = row.id, event, subject, attempts, reason, "a webhook could not be delivered");
        count("dropped", 1);
        self.ledger.write(move |tx| outbox::remove(tx, number)).await
    }

    /// Sends one request. Only the status and `Retry-After` of the reply are used; its body is not read.
    async fn post(&self, id: &str, body: String) -> Result<(), FailedAttempt> {
        let seconds = Timestamp::now().unix_seconds().to_string();
        let mut request = self.client.post(self.url.reveal().clone()).header(CONTENT_TYPE, "application/json");
        request = request.header("webhook-id", id).header("webhook-timestamp", &seconds);
        if let Some(secret) = &self.secret {
            request = request.header("webhook-signature", signature::sign(secret, id, &seconds, &body));
        }
        // The error can name the URL, which can contain a secret.
        let span = traces::root("webhook");
        span.set("glimpse.webhook_id", id.to_owned());
        let reply = span.within(send_traced(request.body(body))).await;
        let reply = reply.map_err(|error| FailedAttempt::new(with_causes(&error.without_url())))?;
        let status = reply.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = retry_after(reply.headers());
        Err(FailedAttempt {
            reason: format!("the receiver replied {status}"),
            retry_after,
            is_final: status == StatusCode::GONE,
        })
    }
}

/// Returns the body of a webhook. A mirror may have changed since, so its state and its reason are those of the event.
async fn compose(row: &OutboxRow, subjects: &dyn Subjects) -> Result<Value, String> {
    let is_job = row.event.starts_with("job.");
    let found = if is_job { subjects.job(&row.subject).await? } else { subjects.mirror(&row.subject).await? };
    let name = if is_job { "job_id" } else { "name" };
    let mut data = found.unwrap_or_else(|| json!({ name: row.subject }));
    if !is_job {
        data["state"] = if row.event == "mirror.failed" { "stopped".into() } else { "active".into() };
        data["reason"] = row.reason.clone().into();
    }
    Ok(json!({ "type": row.event, "timestamp": row.at.to_string(), "data": data }))
}

fn count(outcome: &'static str, webhooks: u64) {
    counter!(families::WEBHOOKS, "outcome" => outcome).increment(webhooks);
}

/// Returns the current time in Unix milliseconds.
fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

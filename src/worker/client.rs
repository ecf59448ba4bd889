//! The HTTP client of a worker. Requests are repeated while the service does not answer, so the service may receive a
//! request twice.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::WorkerSettings;
use crate::domain::wire::{RecordsReply, RecordsRequest};
use crate::domain::{DependencyError, FailureKind, ImageUri, InvalidSetting, ModelRecord, with_causes};
use crate::http::{BodyError, client_builder, is_untrusted, join, read_body, retry_after, send_traced, trust_files};
use crate::jobs::WorkerName;
use crate::jobs::pool::broker::{LeaseError, LeaseStatus};
use crate::jobs::remote::protocol::wire::{
    ExitRequest, HeartbeatRequest, JoinReply, JoinRequest, Joined, LeaseReply, LeaseRequest, LeaseStatusReply,
    LogsRequest, MAX_LINES, ModelAnswer, OperatorErrorRequest, ResultRequest, plain, within_bounds,
};
use crate::jobs::remote::same_bucket::ObjectRead;
use crate::ledger::{Held, Report};
use crate::pipeline::Timings;
use crate::resilience::{Guard, Retryable, WaitList};

/// The name of the service in the list of dependencies that a worker waits for.
const SERVICE: &str = "service";

/// How long a worker retries while the service does not answer.
const RETRY_WINDOW: Duration = Duration::from_mins(10);
/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of a request for work. The service holds it for up to ten seconds while there is none.
const LEASE_TIMEOUT: Duration = Duration::from_secs(20);
/// Minimum interval between two attempts of a heartbeat. A lease can be as short as one second.
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(150);
/// Maximum number of concurrent attempts of one heartbeat.
const MAX_HEARTBEAT_ATTEMPTS: u32 = 4;
/// Retry delay of a busy service that does not send `Retry-After`, and the maximum delay.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);
/// Maximum size of a reply in bytes: the largest lease, with metadata.
const MAX_REPLY: usize = 64 * 1024 * 1024;

/// A client of one job of one service.
#[derive(Debug)]
pub struct ServiceClient {
    http: reqwest::Client,
    url: Url,
    settings: WorkerSettings,
    guard: Guard,
    wait_list: WaitList,
}

/// The error body of the service.
#[derive(Deserialize)]
struct Refusal {
    message: String,
    code: String,
}

impl ServiceClient {
    /// Creates a client. Makes no network call yet. While it waits for the service, `board` has an entry.
    ///
    /// # Errors
    /// A message that says what to set.
    pub fn new(settings: WorkerSettings, wait_list: &WaitList) -> Result<Self, InvalidSetting> {
        if settings.token.is_empty() {
            let missing =
                "GLIMPSE_WORKER_TOKEN is not set; set it to the `worker_token` in the reply to the submitted job";
            return Err(missing.to_owned().into());
        }
        // A proxy in front of the service may redirect to another path.
        let url = settings.url.url().clone();
        let http = trust_files(client_builder(&url).redirect(Policy::default()), &settings.trusted)?.build();
        let http = http.map_err(|error| format!("the HTTP client cannot be created: {error}"))?;
        Ok(Self {
            http,
            url,
            settings,
            guard: Guard::background(SERVICE, wait_list.clone()),
            wait_list: wait_list.clone(),
        })
    }

    /// Returns the name of the worker.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Returns the name of the machine of the worker, if known.
    pub fn node(&self) -> Option<&str> {
        self.settings.node.as_deref()
    }

    /// Returns the id of the job.
    pub fn job(&self) -> &str {
        &self.settings.job
    }

    /// Returns the URL of the service.
    pub fn url(&self) -> &str {
        self.settings.url.as_str()
    }

    /// Joins the job. Waits until the job has its turn. If the service asks for an object, `read` reads it; if it names
    /// another model, `change_model` changes the space of the request, or returns why that is not possible.
    pub(super) async fn join(
        &self,
        request: &mut JoinRequest,
        read: impl AsyncFn(&ImageUri) -> ObjectRead,
        mut change_model: impl AsyncFnMut(&mut JoinRequest, &ModelRecord) -> ModelAnswer,
    ) -> Result<Joined, LeaseError> {
        loop {
            match self.call(REQUEST_TIMEOUT, &["workers", self.name()], request).await? {
                JoinReply::Joined(joined) => return Ok(*joined),
                JoinReply::Wait { wait_ms } => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                JoinReply::Read { read: uri } => request.object = Some(read(&uri).await),
                JoinReply::Model { model } => {
                    request.model = Some(change_model(request, &model).await);
                }
            }
        }
    }

    /// Joins the job again after a restart of the service. Waits until the job has its turn.
    pub(super) async fn join_again(&self, request: &JoinRequest) -> Result<(), LeaseError> {
        let mut request = request.clone();
        self.join(&mut request, async |_| ObjectRead::NotCompared, async |_, _| ModelAnswer::Used).await.map(drop)
    }

    /// Like [`Self::join_again`], but sends one request and does not wait or retry, so that the caller can send heartbeats
    /// meanwhile. Returns how long to wait if the job does
    /// not have its turn yet, and `None` if the worker has joined.
    pub(super) async fn try_join_again(
        &self,
        request: &JoinRequest,
        timeout: Duration,
    ) -> Result<Option<Duration>, LeaseError> {
        match self.once(timeout.max(MIN_HEARTBEAT_INTERVAL), &["workers", self.name()], request).await? {
            JoinReply::Joined(_) => Ok(None),
            JoinReply::Wait { wait_ms } => Ok(Some(Duration::from_millis(wait_ms))),
            // The objects were compared before.
            JoinReply::Read { .. } | JoinReply::Model { .. } => Ok(Some(Duration::ZERO)),
        }
    }

    pub(super) async fn lease(&self, held: Vec<Held>) -> Result<LeaseReply, LeaseError> {
        self.call(LEASE_TIMEOUT, &["leases"], &LeaseRequest { worker: self.worker()?, held: Some(held) }).await
    }

    /// Sends a heartbeat. If an attempt is not answered within `pause`, another one starts in parallel, and the first
    /// answer counts. So no lease is lost if a connection hangs, or if the service is slow or does not answer for a
    /// moment.
    pub(super) async fn heartbeat(
        &self,
        held: Vec<Held>,
        timings: Timings,
        pause: Duration,
    ) -> Result<LeaseStatus, LeaseError> {
        // A dependency other than the service, which could not receive the report.
        let waiting = self.wait_list.all().into_iter().filter(|waiting| waiting.dependency != SERVICE);
        let waiting_on = waiting.min_by_key(|waiting| waiting.since).map(Into::into);
        let request = HeartbeatRequest { worker: self.worker()?, held, waiting_on, timings: Some(timings) };
        let (pause, until) = (pause.max(MIN_HEARTBEAT_INTERVAL), Instant::now() + RETRY_WINDOW);
        let mut attempts = FuturesUnordered::new();
        loop {
            if attempts.len() < MAX_HEARTBEAT_ATTEMPTS as usize {
                attempts.push(self.once::<_, LeaseStatusReply>(
                    pause * MAX_HEARTBEAT_ATTEMPTS,
                    &["heartbeat"],
                    &request,
                ));
            }
            let next = Instant::now() + pause;
            while let Ok(reply) = tokio::time::timeout_at(next, first_finished(&mut attempts)).await {
                match reply {
                    Ok(status) => return Ok(status.into()),
                    Err(error) if error.is_retryable() && Instant::now() < until => {
                        tracing::debug!(%error, "a heartbeat failed");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    pub(super) async fn report(
        &self,
        report: Report,
        held: Vec<Held>,
        timings: Option<Timings>,
    ) -> Result<LeaseStatus, LeaseError> {
        let Report { batch, attempt, outcomes } = within_bounds(report);
        let request = ResultRequest { worker: self.worker()?, attempt, outcomes, held: Some(held), timings };
        let reply: LeaseStatusReply =
            self.call(REQUEST_TIMEOUT, &["batches", &batch.to_string(), "result"], &request).await?;
        Ok(reply.into())
    }

    pub(super) async fn log(&self, lines: Vec<String>) -> Result<(), LeaseError> {
        let lines = lines.iter().take(MAX_LINES).map(|line| plain(line)).collect();
        let request = LogsRequest { worker: self.worker()?, lines };
        self.call::<_, serde_json::Value>(REQUEST_TIMEOUT, &["logs"], &request).await.map(drop)
    }

    pub(super) async fn operator_error(&self, problem: &str) -> Result<(), LeaseError> {
        let request = OperatorErrorRequest { worker: self.worker()?, problem: plain(problem) };
        self.call::<_, serde_json::Value>(REQUEST_TIMEOUT, &["operator-error"], &request).await.map(drop)
    }

    pub(super) async fn exit(&self, rc: i64) -> Result<(), LeaseError> {
        let path = ["workers", self.name(), "exit"];
        self.call::<_, serde_json::Value>(REQUEST_TIMEOUT, &path, &ExitRequest { rc }).await.map(drop)
    }

    pub(super) async fn records(&self, request: &RecordsRequest) -> Result<RecordsReply, LeaseError> {
        self.call(REQUEST_TIMEOUT, &["records"], request).await
    }

    /// Returns the validated name of the worker.
    fn worker(&self) -> Result<WorkerName, LeaseError> {
        WorkerName::parse(self.name()).map_err(|invalid| LeaseError::Refused(invalid.to_string()))
    }

    async fn call<B: Serialize + Sync, R: DeserializeOwned>(
        &self,
        timeout: Duration,
        path: &[&str],
        body: &B,
    ) -> Result<R, LeaseError> {
        let until = Instant::now() + RETRY_WINDOW;
        self.guard.call_while(|_| Instant::now() < until, || self.once(timeout, path, body)).await
    }

    async fn once<B: Serialize + Sync, R: DeserializeOwned>(
        &self,
        timeout: Duration,
        path: &[&str],
        body: &B,
    ) -> Result<R, LeaseError> {
        let url = join(&self.url, ["internal", "jobs", self.job()].into_iter().chain(path.iter().copied()));
        let request = self.http.request(Method::POST, url).timeout(timeout);
        let request = request.bearer_auth(self.settings.token.reveal()).json(body);
        let response = send_traced(request).await.map_err(connection_error)?;
        let status = response.status();
        let retry_after = retry_after(response.headers()).unwrap_or(DEFAULT_RETRY_AFTER).min(MAX_RETRY_AFTER);
        let bytes = read_body(response, MAX_REPLY).await.map_err(|error| match error {
            BodyError::Connection(error) => connection_error(error),
            BodyError::TooLong(_) => LeaseError::Refused(error.to_string()),
        })?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|error| LeaseError::Refused(format!("the reply is not a reply of Glimpse: {error}")));
        }
        let refusal = serde_json::from_slice::<Refusal>(&bytes);
        let message = refusal.as_ref().map_or_else(|_| status.to_string(), |refusal| refusal.message.clone());
        Err(match status {
            StatusCode::GONE => LeaseError::JobEnded,
            StatusCode::CONFLICT if refusal.is_ok_and(|refusal| refusal.code == "not_joined") => LeaseError::NotJoined,
            StatusCode::TOO_MANY_REQUESTS => failure(FailureKind::Busy { retry_after }, message),
            StatusCode::SERVICE_UNAVAILABLE => failure(FailureKind::Unavailable { retry_after }, message),
            status if status.is_server_error() => failure(FailureKind::Failed, message),
            _ => LeaseError::Refused(message),
        })
    }
}

/// Waits for the first attempt that ends. Never returns if there is none.
async fn first_finished<T>(attempts: &mut FuturesUnordered<impl Future<Output = T>>) -> T {
    match attempts.next().await {
        Some(ended) => ended,
        None => std::future::pending().await,
    }
}

fn failure(failure: FailureKind, detail: String) -> LeaseError {
    DependencyError { dependency: SERVICE.to_owned(), failure, detail }.into()
}

fn connection_error(error: reqwest::Error) -> LeaseError {
    let kind = if error.is_timeout() { FailureKind::TimedOut } else { FailureKind::Failed };
    let hint = if is_untrusted(&error) { "; GLIMPSE_CA_FILE names the certificate of a private authority" } else { "" };
    failure(kind, format!("{}{hint}", with_causes(&error.without_url())))
}

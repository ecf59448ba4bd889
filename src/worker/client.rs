//! One request to the service, one reply; again and again while the service is away. Every request may come twice.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::wire::{RecordsReply, RecordsRequest};
use crate::domain::{DependencyError, Secret, Trouble};
use crate::jobs::WorkerName;
use crate::jobs::lease::{LeaseError, LeaseStatus};
use crate::jobs::ledger::{Held, Report};
use crate::jobs::wire::{
    ExitRequest, HeartbeatRequest, JoinReply, JoinRequest, Joined, LeaseReply, LeaseRequest, LeaseStatusReply,
    LogsRequest, MAX_LINES, OperatorErrorRequest, ResultRequest, plain, within_bounds,
};
use crate::pipeline::Timings;
use crate::resilience::{Guard, Retryable, WaitBoard, parse_retry_after};

/// Its name among what a worker waits for.
const SERVICE: &str = "service";

/// A service may be away for so long before a worker gives it up.
const PATIENCE: Duration = Duration::from_mins(10);
/// One request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A request for work: the service holds it for up to ten seconds while there is none.
const LEASE_TIMEOUT: Duration = Duration::from_secs(20);
/// The shortest pause between two tries of a heartbeat: leases may last one second.
const SHORTEST_BEAT: Duration = Duration::from_millis(150);
/// Tries of one heartbeat that may be under way at once.
const MAX_BEATS: u32 = 4;
/// Bytes of a reply: the largest lease, with metadata.
const MAX_REPLY: usize = 64 * 1024 * 1024;

/// Where a worker belongs.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Of the service.
    pub url: String,
    /// Of the job.
    pub job: String,
    /// What it calls itself; no two of one job may have one name.
    pub name: String,
    /// The job's.
    pub token: Secret,
    /// The machine that it is on, if whoever started it says.
    pub node: Option<String>,
}

/// A client of one job of one service.
#[derive(Debug)]
pub struct ServiceClient {
    http: reqwest::Client,
    url: Url,
    settings: WorkerSettings,
    guard: Guard,
    board: WaitBoard,
}

/// The service's words for a refusal.
#[derive(Deserialize)]
struct Refusal {
    message: String,
    code: String,
}

impl ServiceClient {
    /// A client for these settings; asks nobody yet. What it waits for stands on `board`.
    ///
    /// # Errors
    /// A sentence that says what to set.
    pub fn new(settings: WorkerSettings, board: &WaitBoard) -> Result<Self, String> {
        let wrong = || format!("`{}` is no URL of a service, such as http://127.0.0.1:8080", settings.url);
        let url: Url = settings.url.parse().map_err(|_| wrong())?;
        if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        if settings.token.is_empty() {
            return Err("GLIMPSE_WORKER_TOKEN is not set: it is the `worker_token` of the job's submission".to_owned());
        }
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5));
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let http = if loopback { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| format!("the HTTP client cannot be made: {error}"))?;
        Ok(Self { http, url, settings, guard: Guard::background(SERVICE, board.clone()), board: board.clone() })
    }

    /// As the service knows the worker.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The machine that the worker is on, if that was said.
    pub fn node(&self) -> Option<&str> {
        self.settings.node.as_deref()
    }

    /// The job's id.
    pub fn job(&self) -> &str {
        &self.settings.job
    }

    /// Of the service.
    pub fn url(&self) -> &str {
        &self.settings.url
    }

    /// Introduces the worker; waits for the job's turn.
    pub(super) async fn join(&self, request: &JoinRequest) -> Result<Joined, LeaseError> {
        loop {
            match self.call(TIMEOUT, &["workers", self.name()], request).await? {
                JoinReply::Joined(joined) => return Ok(*joined),
                JoinReply::Wait { wait_ms } => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
            }
        }
    }

    /// Introduces the worker once more, to a service that was started again. Asks once; says how long to wait if the
    /// job's turn has not come.
    pub(super) async fn introduce(
        &self,
        request: &JoinRequest,
        timeout: Duration,
    ) -> Result<Option<Duration>, LeaseError> {
        match self.once(timeout.max(SHORTEST_BEAT), &["workers", self.name()], request).await? {
            JoinReply::Joined(_) => Ok(None),
            JoinReply::Wait { wait_ms } => Ok(Some(Duration::from_millis(wait_ms))),
        }
    }

    pub(super) async fn lease(&self, held: Vec<Held>) -> Result<LeaseReply, LeaseError> {
        self.call(LEASE_TIMEOUT, &["leases"], &LeaseRequest { worker: self.worker()?, held: Some(held) }).await
    }

    /// A try that is not answered after `pause` is no longer relied upon: the next begins, and the first answer counts.
    /// So a connection that hangs, a slow service, or one that was away for a moment, costs no lease.
    pub(super) async fn heartbeat(
        &self,
        held: Vec<Held>,
        timings: Timings,
        pause: Duration,
    ) -> Result<LeaseStatus, LeaseError> {
        // What it waits for but the service itself, which would not hear of it.
        let waiting = self.board.all().into_iter().filter(|waiting| waiting.dependency != SERVICE);
        let waiting_on = waiting.min_by_key(|waiting| waiting.since).map(Into::into);
        let request = HeartbeatRequest { worker: self.worker()?, held, waiting_on, timings: Some(timings) };
        let (pause, until) = (pause.max(SHORTEST_BEAT), Instant::now() + PATIENCE);
        let mut tries = FuturesUnordered::new();
        loop {
            if tries.len() < MAX_BEATS as usize {
                tries.push(self.once::<_, LeaseStatusReply>(pause * MAX_BEATS, &["heartbeat"], &request));
            }
            let next = Instant::now() + pause;
            while let Ok(answer) = tokio::time::timeout_at(next, first_of(&mut tries)).await {
                match answer {
                    Ok(reply) => return Ok(reply.into()),
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
        let reply: LeaseStatusReply = self.call(TIMEOUT, &["batches", &batch.to_string(), "result"], &request).await?;
        Ok(reply.into())
    }

    pub(super) async fn log(&self, lines: Vec<String>) -> Result<(), LeaseError> {
        let lines = lines.iter().take(MAX_LINES).map(|line| plain(line)).collect();
        let request = LogsRequest { worker: self.worker()?, lines };
        self.call::<_, serde_json::Value>(TIMEOUT, &["logs"], &request).await.map(drop)
    }

    pub(super) async fn operator_error(&self, problem: &str) -> Result<(), LeaseError> {
        let request = OperatorErrorRequest { worker: self.worker()?, problem: plain(problem) };
        self.call::<_, serde_json::Value>(TIMEOUT, &["operator-error"], &request).await.map(drop)
    }

    pub(super) async fn exit(&self, rc: i64) -> Result<(), LeaseError> {
        let path = ["workers", self.name(), "exit"];
        self.call::<_, serde_json::Value>(TIMEOUT, &path, &ExitRequest { rc }).await.map(drop)
    }

    pub(super) async fn records(&self, request: &RecordsRequest) -> Result<RecordsReply, LeaseError> {
        self.call(TIMEOUT, &["records"], request).await
    }

    /// The name, as a service that takes the worker knows it.
    fn worker(&self) -> Result<WorkerName, LeaseError> {
        WorkerName::parse(self.name()).map_err(|invalid| LeaseError::Refused(invalid.to_string()))
    }

    async fn call<B: Serialize + Sync, R: DeserializeOwned>(
        &self,
        timeout: Duration,
        path: &[&str],
        body: &B,
    ) -> Result<R, LeaseError> {
        let until = Instant::now() + PATIENCE;
        self.guard.call_while(|_| Instant::now() < until, || self.once(timeout, path, body)).await
    }

    async fn once<B: Serialize + Sync, R: DeserializeOwned>(
        &self,
        timeout: Duration,
        path: &[&str],
        body: &B,
    ) -> Result<R, LeaseError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["internal", "jobs", self.job()]).extend(path);
        }
        let request = self.http.request(Method::POST, url).timeout(timeout);
        let request = request.bearer_auth(self.settings.token.reveal()).json(body);
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let bytes = bounded(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|error| LeaseError::Refused(format!("what answers does not speak as Glimpse does: {error}")));
        }
        let refusal = serde_json::from_slice::<Refusal>(&bytes);
        let message = refusal.as_ref().map_or_else(|_| status.to_string(), |refusal| refusal.message.clone());
        Err(match status {
            StatusCode::GONE => LeaseError::Over,
            StatusCode::CONFLICT if refusal.is_ok_and(|refusal| refusal.code == "not_joined") => LeaseError::NotJoined,
            StatusCode::TOO_MANY_REQUESTS => trouble(Trouble::Busy { retry_after }, message),
            StatusCode::SERVICE_UNAVAILABLE => trouble(Trouble::Unavailable { retry_after }, message),
            status if status.is_server_error() => trouble(Trouble::Failed, message),
            _ => LeaseError::Refused(message),
        })
    }
}

/// The first that ends; never returns if there is none.
async fn first_of<T>(tries: &mut FuturesUnordered<impl Future<Output = T>>) -> T {
    match tries.next().await {
        Some(ended) => ended,
        None => std::future::pending().await,
    }
}

fn trouble(trouble: Trouble, detail: String) -> LeaseError {
    DependencyError { dependency: SERVICE.to_owned(), trouble, detail }.into()
}

fn away(error: reqwest::Error) -> LeaseError {
    let kind = if error.is_timeout() { Trouble::TimedOut } else { Trouble::Failed };
    trouble(kind, error.without_url().to_string())
}

fn retry_after(response: &Response) -> Duration {
    let asked = response.headers().get("retry-after").and_then(|value| parse_retry_after(value.to_str().ok()?));
    asked.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(10))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, LeaseError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        if bytes.len() + chunk.len() > MAX_REPLY {
            return Err(LeaseError::Refused(format!("the reply is larger than {MAX_REPLY} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

//! One request to the service, one reply; again and again while the service is away. Every request may come twice.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::wire::{RecordsReply, RecordsRequest};
use crate::domain::{DependencyError, Secret, Trouble};
use crate::jobs::lease::{LeaseError, Standing};
use crate::jobs::ledger::{Held, Report};
use crate::jobs::wire::{
    ExitRequest, HeartbeatRequest, JoinReply, JoinRequest, Joined, LeaseReply, LeaseRequest, LogsRequest,
    OperatorErrorRequest, ResultRequest, StandingReply,
};
use crate::pipeline::Timings;
use crate::resilience::{Guard, WaitBoard};

/// Its name among what a worker waits for.
const SERVICE: &str = "service";

/// A service may be away for so long before a worker gives it up.
const PATIENCE: Duration = Duration::from_mins(10);
/// One request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a reply: the largest lease, with metadata.
const MOST_REPLY: usize = 64 * 1024 * 1024;

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
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).timeout(TIMEOUT);
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let http = if loopback { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| format!("the HTTP client cannot be made: {error}"))?;
        Ok(Self { http, url, settings, guard: Guard::patient(SERVICE, board.clone()), board: board.clone() })
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
            match self.call(Method::POST, &["workers", self.name()], request).await? {
                JoinReply::Joined(joined) => return Ok(*joined),
                JoinReply::Wait { wait_ms } => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
            }
        }
    }

    pub(super) async fn lease(&self) -> Result<LeaseReply, LeaseError> {
        self.call(Method::POST, &["leases"], &LeaseRequest { worker: self.name().to_owned() }).await
    }

    pub(super) async fn heartbeat(&self, held: Vec<Held>, timings: Timings) -> Result<Standing, LeaseError> {
        // What it waits for but the service itself, which would not hear of it.
        let waiting = self.board.all().into_iter().filter(|waiting| waiting.dependency != SERVICE);
        let waiting_on = waiting.min_by_key(|waiting| waiting.since).map(Into::into);
        let request = HeartbeatRequest { worker: self.name().to_owned(), held, waiting_on, timings: Some(timings) };
        let reply: StandingReply = self.call(Method::POST, &["heartbeat"], &request).await?;
        Ok(reply.into())
    }

    pub(super) async fn report(&self, report: Report, timings: Option<Timings>) -> Result<Standing, LeaseError> {
        let Report { batch, attempt, outcomes } = report;
        let request = ResultRequest { worker: self.name().to_owned(), attempt, outcomes, timings };
        let reply: StandingReply =
            self.call(Method::POST, &["batches", &batch.to_string(), "result"], &request).await?;
        Ok(reply.into())
    }

    pub(super) async fn log(&self, lines: Vec<String>) -> Result<(), LeaseError> {
        let request = LogsRequest { worker: self.name().to_owned(), lines };
        self.call::<_, serde_json::Value>(Method::POST, &["logs"], &request).await.map(drop)
    }

    pub(super) async fn operator_error(&self, problem: &str) -> Result<(), LeaseError> {
        let request = OperatorErrorRequest { worker: self.name().to_owned(), problem: problem.to_owned() };
        self.call::<_, serde_json::Value>(Method::POST, &["operator-error"], &request).await.map(drop)
    }

    pub(super) async fn exit(&self, rc: i64) -> Result<(), LeaseError> {
        let path = ["workers", self.name(), "exit"];
        self.call::<_, serde_json::Value>(Method::POST, &path, &ExitRequest { rc }).await.map(drop)
    }

    pub(super) async fn records(&self, request: &RecordsRequest) -> Result<RecordsReply, LeaseError> {
        self.call(Method::POST, &["records"], request).await
    }

    async fn call<B: Serialize + Sync, R: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &B,
    ) -> Result<R, LeaseError> {
        let until = Instant::now() + PATIENCE;
        self.guard.call_while(|_| Instant::now() < until, || self.once(method.clone(), path, body)).await
    }

    async fn once<B: Serialize + Sync, R: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &B,
    ) -> Result<R, LeaseError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["internal", "jobs", self.job()]).extend(path);
        }
        let request = self.http.request(method, url).bearer_auth(self.settings.token.reveal()).json(body);
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
            StatusCode::CONFLICT if refusal.is_ok_and(|refusal| refusal.code == "not_joined") => LeaseError::Stranger,
            StatusCode::TOO_MANY_REQUESTS => trouble(Trouble::Busy { retry_after }, message),
            StatusCode::SERVICE_UNAVAILABLE => trouble(Trouble::Unavailable { retry_after }, message),
            status if status.is_server_error() => trouble(Trouble::Failed, message),
            _ => LeaseError::Refused(message),
        })
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
    let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(asked.unwrap_or(1)).min(Duration::from_secs(10))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, LeaseError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        if bytes.len() + chunk.len() > MOST_REPLY {
            return Err(LeaseError::Refused(format!("the reply is larger than {MOST_REPLY} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

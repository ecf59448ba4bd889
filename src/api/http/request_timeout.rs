//! Limits the time of requests, and distinguishes a slow client (408) from a slow service (504).

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::extract::{
    MAX_DISCARDED_BYTES, MAX_IMPORT_BYTES, MAX_JSON_BYTES, body_too_large, incomplete_body, is_too_long,
};
use crate::jobs::Jobs;
use crate::server::BodyProgress;

/// The end of the path of imports, whose bodies are larger. Only requests with the role admin reach them.
const IMPORT_PATH: &str = "/import";
/// While the service stops, a request is cancelled if no byte of its body arrives for this long.
const BODY_TIMEOUT_WHEN_STOPPING: Duration = Duration::from_secs(2);

/// The state of the middleware.
#[derive(Clone, Debug)]
pub(in crate::api) struct RequestTimeout {
    /// `GLIMPSE_REQUEST_TIMEOUT`
    pub(in crate::api) timeout: Duration,
    pub(in crate::api) jobs: Jobs,
}

impl RequestTimeout {
    /// Middleware that cancels a request that takes too long: 408 if its body has not arrived, 504 if the service did
    /// not finish.
    pub(in crate::api) async fn limit_request(State(limits): State<Self>, request: Request, next: Next) -> Response {
        let (request, progress) = BodyProgress::track(request);
        tokio::select! {
            response = next.run(request) => response,
            () = limits.stalls_while_stopping(&progress) => body_too_slow(BODY_TIMEOUT_WHEN_STOPPING).into_response(),
            () = tokio::time::sleep(limits.timeout) => match progress.waiting_time() {
                Some(_) => body_too_slow(limits.timeout).into_response(),
                None => timed_out().into_response(),
            }
        }
    }

    /// Middleware that limits only the time for the body. The request itself has no time limit.
    pub(in crate::api) async fn limit_body(State(limits): State<Self>, request: Request, next: Next) -> Response {
        let (max_read, max) = if request.uri().path().ends_with(IMPORT_PATH) {
            (MAX_IMPORT_BYTES, MAX_IMPORT_BYTES)
        } else {
            (MAX_DISCARDED_BYTES, MAX_JSON_BYTES)
        };
        let (request, progress) = BodyProgress::track(request);
        let (head, body) = request.into_parts();
        let read = tokio::select! {
            read = tokio::time::timeout(limits.timeout, to_bytes(body, max_read)) => read,
            () = limits.stalls_while_stopping(&progress) => return body_too_slow(BODY_TIMEOUT_WHEN_STOPPING).into_response(),
        };
        match read {
            Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
            Ok(Err(error)) if is_too_long(&error) => body_too_large(max).into_response(),
            Ok(Err(_)) => incomplete_body().into_response(),
            Err(_) => body_too_slow(limits.timeout).into_response(),
        }
    }

    /// Waits until the service stops and the client sends nothing more.
    async fn stalls_while_stopping(&self, progress: &BodyProgress) {
        self.jobs.closing().await;
        progress.wait_until_stalled(BODY_TIMEOUT_WHEN_STOPPING).await;
    }
}

/// 408 for a request whose body did not arrive in time.
fn body_too_slow(waited: Duration) -> ApiError {
    let seconds = waited.as_secs_f64();
    let message = format!(
        "the body of the request did not arrive within {seconds} s (GLIMPSE_REQUEST_TIMEOUT, or less while the service \
         stops)"
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timed_out", message)
}

/// 504 for a request that this service did not finish in time.
fn timed_out() -> ApiError {
    let message = "the request took too long and was cancelled (GLIMPSE_REQUEST_TIMEOUT)";
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", message)
}

//! Limits of the requests: the memory for bodies, and the time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::RETRY_AFTER;
use super::error::ClipError;
use crate::imaging::Limits;
use crate::server::BodyProgress;

/// Maximum duration of a request, including its body.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);
/// Maximum total size in kilobytes of the bodies in memory, over all requests.
const MAX_BODIES_KB: u32 = 256 * 1024;
/// How long a request may wait until the budget has room for its body.
const BUDGET_WAIT: Duration = Duration::from_secs(5);

/// Limits the memory for bodies. A request takes its share before the first byte of its body is read.
pub(super) struct BodyBudget {
    pub(super) permits: Arc<Semaphore>,
    pub(super) max_bytes: usize,
}

impl BodyBudget {
    /// Returns the budget for bodies of one image of the maximum size in base64 and 1 MiB for the rest, or of several
    /// smaller images.
    pub(super) fn new(limits: &Limits) -> Self {
        let max_bytes = (limits.max_bytes / 3 + 1) * 4 + 1024 * 1024;
        let max_bytes = usize::try_from(max_bytes.min(u64::from(MAX_BODIES_KB) * 1024)).unwrap_or(usize::MAX);
        Self { permits: Arc::new(Semaphore::new(MAX_BODIES_KB as usize)), max_bytes }
    }

    /// Middleware that takes the share of a request.
    pub(super) async fn admit(State(budget): State<Arc<Self>>, request: Request, next: Next) -> Response {
        let length =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        // Without `Content-Length` the body may be as long as the limit.
        let bytes: usize = length.unwrap_or(budget.max_bytes).min(budget.max_bytes);
        let kilobytes = u32::try_from(bytes / 1024 + 1).unwrap_or(MAX_BODIES_KB).min(MAX_BODIES_KB);
        match tokio::time::timeout(BUDGET_WAIT, budget.permits.acquire_many(kilobytes)).await {
            Ok(Ok(_permit)) => next.run(request).await,
            Ok(Err(_)) | Err(_) => ClipError::Busy(RETRY_AFTER).into_response(),
        }
    }
}

/// Middleware that ends requests that take too long, and replaces errors of axum itself. A body has at most `max_bytes`.
pub(super) async fn limit_time(State(max_bytes): State<usize>, request: Request, next: Next) -> Response {
    let (request, progress) = BodyProgress::track(request);
    let response = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let response = response.unwrap_or_else(|_| match progress.waiting_time() {
        Some(_) => ClipError::BodyTooSlow.into_response(),
        None => ClipError::TooSlow.into_response(),
    });
    // Errors of axum itself are plain text, not JSON.
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE if !is_json => ClipError::TooLarge { max_bytes }.into_response(),
        status if status.is_client_error() && !is_json => ClipError::Unreadable(status).into_response(),
        _ => response,
    }
}

//! Limits the time of requests, and distinguishes a slow client (408) from a slow service (504).

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::jobs::Jobs;
use crate::server::Arrival;

/// While the service stops, a request is cancelled if no byte of its body arrives for this long.
const BODY_TIMEOUT_WHEN_STOPPING: Duration = Duration::from_secs(2);

/// The state of the middleware.
#[derive(Clone, Debug)]
pub(super) struct RequestTimeout {
    /// `GLIMPSE_REQUEST_TIMEOUT`
    pub(super) timeout: Duration,
    pub(super) jobs: Jobs,
}

impl RequestTimeout {
    /// Middleware that cancels a request that takes too long: 408 if its body has not arrived, 504 if the service did
    /// not finish.
    pub(super) async fn whole(State(limits): State<Self>, request: Request, next: Next) -> Response {
        let (request, arrival) = Arrival::watch(request);
        tokio::select! {
            response = next.run(request) => response,
            () = limits.stops(&arrival) => ApiError::body_too_slow(BODY_TIMEOUT_WHEN_STOPPING).into_response(),
            () = tokio::time::sleep(limits.timeout) => match arrival.waits_for() {
                Some(_) => ApiError::body_too_slow(limits.timeout).into_response(),
                None => ApiError::too_slow().into_response(),
            }
        }
    }

    /// Middleware that limits only the time for the body. The request itself has no time limit.
    pub(super) async fn body(State(limits): State<Self>, request: Request, next: Next) -> Response {
        let (request, arrival) = Arrival::watch(request);
        let (head, body) = request.into_parts();
        let read = tokio::select! {
            read = tokio::time::timeout(limits.timeout, to_bytes(body, super::extract::READ_BEYOND)) => read,
            () = limits.stops(&arrival) => return ApiError::body_too_slow(BODY_TIMEOUT_WHEN_STOPPING).into_response(),
        };
        match read {
            Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
            Ok(Err(error)) if super::extract::is_too_long(&error) => {
                ApiError::body_too_large(super::MAX_JSON).into_response()
            }
            Ok(Err(error)) => ApiError::malformed(format!("the body is incomplete: {error}")).into_response(),
            Err(_) => ApiError::body_too_slow(limits.timeout).into_response(),
        }
    }

    /// Waits until the service stops and the client sends nothing more.
    async fn stops(&self, arrival: &Arrival) {
        self.jobs.closing().await;
        arrival.wait_until_stalled(BODY_TIMEOUT_WHEN_STOPPING).await;
    }
}

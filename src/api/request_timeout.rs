//! How long a request may take, and whose fault it is if it takes longer.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::jobs::Jobs;
use crate::server::Arrival;

/// While the service stops, a body that stands still for this long is given up.
const STOPPING: Duration = Duration::from_secs(2);

/// What the layers need.
#[derive(Clone, Debug)]
pub(super) struct RequestTimeout {
    /// `GLIMPSE_REQUEST_TIMEOUT`
    pub(super) timeout: Duration,
    pub(super) jobs: Jobs,
}

impl RequestTimeout {
    /// Gives up a request that takes too long: 408 if its body has not arrived, 504 if the service did not answer.
    pub(super) async fn whole(State(limits): State<Self>, request: Request, next: Next) -> Response {
        let (request, arrival) = Arrival::watch(request);
        tokio::select! {
            response = next.run(request) => response,
            () = limits.stops(&arrival) => ApiError::body_too_slow(STOPPING).into_response(),
            () = tokio::time::sleep(limits.timeout) => match arrival.waits_for() {
                Some(_) => ApiError::body_too_slow(limits.timeout).into_response(),
                None => ApiError::too_slow().into_response(),
            }
        }
    }

    /// Bounds the time of the body alone: the request itself may take as long as it takes.
    pub(super) async fn body(State(limits): State<Self>, request: Request, next: Next) -> Response {
        let (request, arrival) = Arrival::watch(request);
        let (head, body) = request.into_parts();
        let read = tokio::select! {
            read = tokio::time::timeout(limits.timeout, to_bytes(body, super::extract::READ_BEYOND)) => read,
            () = limits.stops(&arrival) => return ApiError::body_too_slow(STOPPING).into_response(),
        };
        match read {
            Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
            Ok(Err(error)) if super::extract::is_too_long(&error) => {
                ApiError::body_too_large(super::MAX_JSON).into_response()
            }
            Ok(Err(error)) => ApiError::malformed(format!("the body broke off: {error}")).into_response(),
            Err(_) => ApiError::body_too_slow(limits.timeout).into_response(),
        }
    }

    /// Ends if the service stops and the client sends nothing more.
    async fn stops(&self, arrival: &Arrival) {
        self.jobs.closing().await;
        arrival.stands_still(STOPPING).await;
    }
}

//! The id of a request, in the header `X-Request-Id` and in the body of each error.

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::request_id::RequestId;

use super::error::ApiError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

tokio::task_local! {
    static REQUEST_ID: Option<String>;
}

/// Returns the id of the request that this task handles. Returns `None` outside of [`complete_errors`], for example in
/// an event stream.
pub(super) fn current_request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok().flatten()
}

/// Middleware that provides the id of the request to errors. Error replies of axum itself get the body of this API.
pub(in crate::api) async fn complete_errors(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok().map(str::to_owned));
    let complete = async {
        let response = next.run(request).await;
        let status = response.status();
        let is_json = response.headers().get(header::CONTENT_TYPE) == Some(&JSON);
        if is_json || !(status.is_client_error() || status.is_server_error()) {
            return response;
        }
        let mut reply = ApiError::from_status(status).into_response();
        if let Some(allowed) = response.headers().get(header::ALLOW) {
            reply.headers_mut().insert(header::ALLOW, allowed.clone());
        }
        reply
    };
    REQUEST_ID.scope(id, complete).await
}

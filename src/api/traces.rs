//! The span of each request, below that of its sender (`traceparent`).

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::request_id::RequestId;

use super::metrics::method_label;
use crate::telemetry::traces;

/// Requests to these routes are frequent and similar. They have a span only if their sender has one.
const QUIET_ROUTES: [&str; 5] = ["/healthz", "/livez", "/metrics", "/readyz", "/internal/"];

/// Middleware that makes a span of a request. It ends when the reply begins, because a stream may last as long as a job.
pub(super) async fn trace_request(request: Request, next: Next) -> Response {
    if !traces::is_on() {
        return next.run(request).await;
    }
    let parent = traces::parent_of(request.headers());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let is_quiet = |route: &String| QUIET_ROUTES.iter().any(|quiet| route.starts_with(quiet));
    // Without a route, it is a file of the page or an unknown path.
    if parent.is_none() && route.as_ref().is_none_or(is_quiet) {
        return next.run(request).await;
    }
    let method = method_label(request.method());
    let name = route.as_ref().map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
    let span = traces::server(name, parent.as_ref());
    span.set("http.request.method", method);
    if let Some(route) = route {
        span.set("http.route", route);
    }
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    if let Some(id) = id {
        span.set("glimpse.request_id", id.to_owned());
    }
    let response = span.within(next.run(request)).await;
    span.set("http.response.status_code", i64::from(response.status().as_u16()));
    if response.status().is_server_error() {
        span.fail(response.status().as_str());
    }
    response
}

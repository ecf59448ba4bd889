//! `GET /metrics`, and the metrics of requests. The label of a route is its template, never the path: paths contain ids
//! and arbitrary input of clients.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use crate::jobs::Jobs;
use crate::mirrors::Mirrors;
use crate::search::Search;
use crate::telemetry::metrics::{self, counter, families, histogram};

/// The label of requests that match no route.
const NO_ROUTE: &str = "unmatched";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_metrics))
}

/// Return all metrics in the text format of Prometheus. `docs/metrics.md` describes them.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
async fn get_metrics(
    State(jobs): State<Jobs>,
    State(mirrors): State<Mirrors>,
    State(search): State<Search>,
) -> impl IntoResponse {
    jobs.observe().await;
    mirrors.observe().await;
    search.observe();
    ([(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE))], metrics::render())
}

/// Middleware that counts each request and measures the time until its reply starts. It does not wait for the end of
/// the reply, because a stream may last as long as a job.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let method = method_label(request.method());
    let response = next.run(request).await;
    let status = status_label(response.status());
    histogram!(families::HTTP_REQUEST_DURATION, "route" => route.clone(), "method" => method.to_owned())
        .record(started.elapsed());
    counter!(families::HTTP_REQUESTS, "route" => route, "method" => method.to_owned(), "status" => status.to_owned())
        .increment(1);
    response
}

/// Returns the label of a method. A client can send any text as the method, so unknown methods share one label.
pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn status_label(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_of_a_client_does_not_become_a_label() {
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!(
            [200, 404, 503, 999].map(|code| status_label(StatusCode::from_u16(code).unwrap())),
            ["2xx", "4xx", "5xx", "5xx"]
        );
    }
}

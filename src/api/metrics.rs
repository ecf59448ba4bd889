//! `GET /metrics`, and what is counted of requests. A route is told by its template, never by its path: paths have ids and
//! whatever a client makes up.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use crate::jobs::Jobs;
use crate::search::Search;
use crate::telemetry::metrics::{self, families};

/// The template of everything that is no route.
const NO_ROUTE: &str = "unmatched";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(scrape))
}

/// Counters, gauges and histograms in Prometheus' text format. `docs/metrics.md` explains them.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, body = String, content_type = "text/plain; version=0.0.4")))]
async fn scrape(State(jobs): State<Jobs>, State(search): State<Search>) -> impl IntoResponse {
    jobs.observe().await;
    search.observe();
    ([(header::CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE))], metrics::render())
}

/// Counts each request, and times it until its reply begins: a stream may go on for as long as a job.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let method = word(request.method());
    let response = next.run(request).await;
    let status = class(response.status());
    families::HTTP_REQUEST_DURATION.labels([route.clone(), method.to_owned()]).record(begun.elapsed());
    families::HTTP_REQUESTS.labels([route, method.to_owned(), status.to_owned()]).increment(1);
    response
}

/// Any word may be a method: those that are none of HTTP's own are one.
fn word(method: &Method) -> &'static str {
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

fn class(status: StatusCode) -> &'static str {
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
    fn what_a_client_makes_up_is_no_label() {
        assert_eq!(word(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!(
            [200, 404, 503, 999].map(|code| class(StatusCode::from_u16(code).unwrap())),
            ["2xx", "4xx", "5xx", "5xx"]
        );
    }
}

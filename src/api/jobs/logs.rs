//! `/jobs/{id}/logs`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events;
use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Path, Query};
use crate::jobs::Jobs;
use crate::ledger::LogPage;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_job_logs))
}

/// The query parameters of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogParams {
    /// `next` of the previous reply.
    #[param(minimum = 0)]
    offset: Option<i64>,
}

/// The log of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogsReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// The lines, as one string with newlines.
    pub logs: String,
    /// The value of `offset` for the lines after these.
    pub next: i64,
    /// Whether there are more lines after these already.
    pub more: bool,
    /// Whether older lines exist that are not in this reply; `offset=0` returns the log from its beginning.
    pub older: bool,
}

impl LogsReply {
    /// Builds the reply from the lines that were read after `offset`.
    pub(super) fn new(job_id: String, page: LogPage, offset: Option<i64>) -> Self {
        let next = page.lines.last().map(|(number, _)| *number).or(offset).unwrap_or(0);
        let lines: Vec<String> = page.lines.into_iter().map(|(_, line)| line).collect();
        Self { job_id, logs: lines.join("\n"), next, more: page.more, older: page.older }
    }
}

/// Return the log of a job, as one string with newlines.
///
/// Without `offset` the reply has the newest 5,000 lines. With `offset` it has the lines after it; 0 starts at the
/// oldest line that is kept. Use `next` of a reply as the `offset` of the next request, also while the job runs.
///
/// With `Accept: text/event-stream` the reply is a stream of events `log`, one for each line, until the job ends. It
/// starts after the line of `Last-Event-ID` or `offset`.
#[utoipa::path(get, path = "/jobs/{id}/logs", tag = "jobs", params(("id" = String, Path, format = Uuid), LogParams),
    responses((status = 200, content((LogsReply = "application/json"), (String = "text/event-stream"))), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn get_job_logs(
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
    Query(LogParams { offset }): Query<LogParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if events::accepts_event_stream(&headers) {
        return events::stream_logs(jobs, id, &headers, offset).await;
    }
    let page = jobs.logs(&id, offset).await?;
    Ok(axum::Json(LogsReply::new(id, page, offset)).into_response())
}

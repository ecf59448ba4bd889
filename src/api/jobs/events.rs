//! Jobs as event streams (`Accept: text/event-stream`): the status and the log of a job.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};

use super::JobReply;
use crate::api::http::ApiError;
use crate::jobs::{Jobs, JobsError};

/// How often the ledger is read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Whether the request accepts an event stream.
pub(super) fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.split(';').next().map(str::trim) == Some("text/event-stream"))
}

/// Streams an event `job` with the body of `GET /jobs/{id}` whenever it changes. The stream ends when the job ends.
pub(super) async fn stream_job(jobs: Jobs, id: String) -> Result<Response, ApiError> {
    // Reads the job before the stream starts: for an unknown job the reply is a 404, not an empty stream.
    let first = Ok(jobs.get(&id).await?);
    let closing = jobs.closing();
    let states = stream::unfold(Some((jobs, id, first, String::new())), |state| async move {
        let (jobs, id, result, before) = state?;
        let job: JobReply = match result {
            Ok(view) => view.into(),
            Err(error) => return Some((Some(error_event(error)), None)),
        };
        let now = comparable_json(&job);
        let event = (now != before).then(|| {
            let whole = serde_json::to_string(&job).unwrap_or_default();
            Event::default().event("job").data(whole)
        });
        if job.is_final() {
            return Some((event, None));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        let result = jobs.get(&id).await;
        Some((event, Some((jobs, id, result, now))))
    });
    Ok(reply(states.filter_map(std::future::ready).take_until(closing)))
}

/// Returns the part of a job that must change for a new event. Averages over the whole run change at each reading, even
/// if nothing happens.
fn comparable_json(job: &JobReply) -> String {
    let compared = JobReply { images_per_second_overall: None, stages: None, bottleneck: None, ..job.clone() };
    serde_json::to_string(&compared).unwrap_or_default()
}

/// Streams an event `log` for each line, with the number of the line as the id of the event. The stream starts after
/// the line of `Last-Event-ID`, or after `offset` if that header is missing. It ends when the job ends.
pub(super) async fn stream_logs(
    jobs: Jobs,
    id: String,
    headers: &HeaderMap,
    offset: Option<i64>,
) -> Result<Response, ApiError> {
    jobs.get(&id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let closing = jobs.closing();
    let position = last.or(offset).unwrap_or(0);
    let lines = stream::unfold(Some((jobs, id, position)), |state| async move {
        let (jobs, id, position) = state?;
        let (over, lines) = match read_lines_after(&jobs, &id, position).await {
            Ok(read) => read,
            Err(error) => return Some((vec![error_event(error)], None)),
        };
        let last = lines.last().map_or(position, |(number, _)| *number);
        let next = if lines.is_empty() && over { None } else { Some((jobs, id, last)) };
        if lines.is_empty() && !over {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let event = |(number, line): (i64, String)| Event::default().event("log").id(number.to_string()).data(line);
        Some((lines.into_iter().map(event).collect(), next))
    });
    Ok(reply(lines.flat_map(stream::iter).take_until(closing)))
}

/// Returns whether the job is over, and its log lines after that position. The state is read first, so that the lines
/// of a job that is over are complete.
async fn read_lines_after(jobs: &Jobs, id: &str, position: i64) -> Result<(bool, Vec<(i64, String)>), JobsError> {
    let over = jobs.get(id).await?.job.state.is_final();
    Ok((over, jobs.logs(id, Some(position)).await?.lines))
}

/// Returns an event `broken_off` with the body of an error. It ends a stream before the job ends.
fn error_event(error: JobsError) -> Event {
    let body = serde_json::to_string(&ApiError::from(error).into_body()).unwrap_or_default();
    Event::default().event("broken_off").data(body)
}

fn reply(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default());
    // Without this header nginx buffers the reply, and events arrive late and all at once.
    ([("x-accel-buffering", "no")], events).into_response()
}

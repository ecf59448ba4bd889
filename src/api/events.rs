//! Jobs as live streams (`Accept: text/event-stream`): how one gets on, and what it says.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};

use super::error::ApiError;
use super::replies::JobReply;
use crate::jobs::{Jobs, JobsError};

/// How often the ledger is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Whether a request would rather have a stream.
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.split(';').next().map(str::trim) == Some("text/event-stream"))
}

/// An event `job` with the body of `GET /jobs/{id}` whenever that has changed; ends with the job's end.
pub(super) async fn of_job(jobs: Jobs, id: String) -> Result<Response, ApiError> {
    // The first look before the first byte: an unknown job is a 404, not an empty stream.
    let first = Ok(jobs.get(&id).await?);
    let closing = jobs.closing();
    let states = stream::unfold(Some((jobs, id, first, String::new())), |state| async move {
        let (jobs, id, look, before) = state?;
        let job: JobReply = match look {
            Ok(view) => view.into(),
            Err(error) => return Some((Some(broken_off(error)), None)),
        };
        let now = essence(&job);
        let event = (now != before).then(|| {
            let whole = serde_json::to_string(&job).unwrap_or_default();
            Event::default().event("job").data(whole)
        });
        if job.is_final() {
            return Some((event, None));
        }
        tokio::time::sleep(LOOK).await;
        let look = jobs.get(&id).await;
        Some((event, Some((jobs, id, look, now))))
    });
    Ok(reply(states.filter_map(std::future::ready).take_until(closing)))
}

/// What must have changed for an event: averages over the whole run differ at each look, also when nothing happens.
fn essence(job: &JobReply) -> String {
    let essence = JobReply { images_per_second_overall: None, stages: None, bottleneck: None, ..job.clone() };
    serde_json::to_string(&essence).unwrap_or_default()
}

/// An event `log` for each line, with its number as the event's id: `Last-Event-ID` goes on after it, or `offset` where there
/// is none. Ends with the job's end.
pub(super) async fn of_logs(
    jobs: Jobs,
    id: String,
    headers: &HeaderMap,
    offset: Option<i64>,
) -> Result<Response, ApiError> {
    jobs.get(&id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let closing = jobs.closing();
    let seen = last.or(offset).unwrap_or(0);
    let lines = stream::unfold(Some((jobs, id, seen)), |state| async move {
        let (jobs, id, seen) = state?;
        let (over, lines) = match look(&jobs, &id, seen).await {
            Ok(seen) => seen,
            Err(error) => return Some((vec![broken_off(error)], None)),
        };
        let last = lines.last().map_or(seen, |(number, _)| *number);
        let next = if lines.is_empty() && over { None } else { Some((jobs, id, last)) };
        if lines.is_empty() && !over {
            tokio::time::sleep(LOOK).await;
        }
        let event = |(number, line): (i64, String)| Event::default().event("log").id(number.to_string()).data(line);
        Some((lines.into_iter().map(event).collect(), next))
    });
    Ok(reply(lines.flat_map(stream::iter).take_until(closing)))
}

/// Whether the job is over, and what it says after that line: in this order, so that its last words are among them.
async fn look(jobs: &Jobs, id: &str, seen: i64) -> Result<(bool, Vec<(i64, String)>), JobsError> {
    let over = jobs.get(id).await?.job.state.is_final();
    Ok((over, jobs.logs(id, Some(seen)).await?.lines))
}

/// An event `broken_off` with the body of an error: what ends a stream before the job's end. Whoever comes again is told
/// more.
fn broken_off(error: JobsError) -> Event {
    let body = serde_json::to_string(&ApiError::from(error).reply(None)).unwrap_or_default();
    Event::default().event("broken_off").data(body)
}

fn reply(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default());
    // nginx buffers a reply unless it says this, so events would come late and together.
    ([("x-accel-buffering", "no")], events).into_response()
}

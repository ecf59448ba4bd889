//! Jobs as live streams (`Accept: text/event-stream`): how one gets on, and what it says.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};

use super::error::ApiError;
use super::replies::JobReply;
use crate::jobs::Jobs;

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
    let first = jobs.get(&id).await?.into();
    let closing = jobs.closing();
    let states = stream::unfold(Some((jobs, id, first, String::new())), |state| async move {
        let (jobs, id, job, before) = state?;
        let now = serde_json::to_string::<JobReply>(&job).unwrap_or_default();
        let event = (now != before).then(|| Event::default().event("job").data(&now));
        if job.is_final() {
            return Some((event, None));
        }
        tokio::time::sleep(LOOK).await;
        let next = jobs.get(&id).await.ok().map(|view| (jobs, id, view.into(), now));
        Some((event, next))
    });
    Ok(reply(states.filter_map(std::future::ready).take_until(closing)))
}

/// An event `log` for each line, with its number as the event's id: `Last-Event-ID` goes on after it. Ends with the job's
/// end.
pub(super) async fn of_logs(jobs: Jobs, id: String, headers: &HeaderMap) -> Result<Response, ApiError> {
    jobs.get(&id).await?;
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    let closing = jobs.closing();
    let lines = stream::unfold(Some((jobs, id, seen)), |state| async move {
        let (jobs, id, seen) = state?;
        // Whether it is over before the lines: what it said last is then among them.
        let over = jobs.get(&id).await.map_or(true, |view| view.job.state.is_final());
        let lines = jobs.log_lines(&id, seen).await.unwrap_or_default();
        let last = lines.last().map_or(seen, |(number, _)| *number);
        let next = if lines.is_empty() && over { None } else { Some((jobs, id, last)) };
        if lines.is_empty() && !over {
            tokio::time::sleep(LOOK).await;
        }
        let events =
            lines.into_iter().map(|(number, line)| Event::default().event("log").id(number.to_string()).data(line));
        Some((stream::iter(events), next))
    });
    Ok(reply(lines.flatten().take_until(closing)))
}

fn reply(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default()).into_response()
}

//! The access log: one JSON line for each request, written when its reply has ended.
//!
//! It has the route and not the URL, whose query can have secrets and texts of users.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tower_http::request_id::RequestId;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};

use super::auth::{DISCONNECTED, Sender};
use crate::domain::setting::keyword;
use crate::domain::{SignIn, Timestamp};
use crate::telemetry::traces::current_trace_id;

/// Where the access log is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AccessLogTarget {
    /// Nowhere.
    #[default]
    Off,
    /// To standard error.
    Stderr,
    /// To the end of this file.
    File(PathBuf),
}

impl From<String> for AccessLogTarget {
    fn from(text: String) -> Self {
        match keyword(&text).as_str() {
            "off" => Self::Off,
            "stderr" => Self::Stderr,
            _ => Self::File(text.into()),
        }
    }
}

impl From<AccessLogTarget> for String {
    fn from(target: AccessLogTarget) -> Self {
        match target {
            AccessLogTarget::Off => "off".to_owned(),
            AccessLogTarget::Stderr => "stderr".to_owned(),
            AccessLogTarget::File(path) => path.display().to_string(),
        }
    }
}

/// The access log. A thread writes the lines, so that a slow disk does not stop requests; if it cannot follow, lines are dropped.
#[derive(Clone, Debug)]
pub struct AccessLog {
    writer: NonBlocking,
    /// Writes what is left when the last clone is dropped.
    _guard: Arc<WorkerGuard>,
}

impl AccessLog {
    /// Opens the log; `None` if it is off.
    ///
    /// # Errors
    /// Fails if the file cannot be opened.
    pub fn open(target: &AccessLogTarget) -> io::Result<Option<Self>> {
        let (writer, guard) = match target {
            AccessLogTarget::Off => return Ok(None),
            AccessLogTarget::Stderr => tracing_appender::non_blocking(io::stderr()),
            AccessLogTarget::File(path) => {
                tracing_appender::non_blocking(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        Ok(Some(Self { writer, _guard: Arc::new(guard) }))
    }
}

/// One line of the log.
#[derive(Debug, Serialize)]
struct Line {
    time: Timestamp,
    request_id: Option<String>,
    method: String,
    /// The template of the route; `null` if there is none.
    route: Option<String>,
    status: u16,
    /// Milliseconds until the end of the reply.
    ms: u64,
    role: Option<&'static str>,
    name: Option<String>,
    /// `key`, `proxy` or `token`.
    sign_in: Option<&'static str>,
    /// Bytes of the body that were sent.
    bytes: u64,
    /// The id of the trace, if it is sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

/// Middleware that writes a line when the reply to a request has ended.
pub(super) async fn log_request(State(log): State<AccessLog>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let method: String = request.method().as_str().chars().take(32).collect();
    let request_id = id.map(|id| id.chars().take(200).collect());
    let line = Line {
        time: Timestamp::now(),
        request_id,
        method,
        route,
        status: DISCONNECTED,
        ms: 0,
        role: None,
        name: None,
        sign_in: None,
        bytes: 0,
        trace_id: current_trace_id(),
    };
    let mut end = End { log, started, sender: Sender::default(), line };
    request.extensions_mut().insert(end.sender.clone());
    let response = next.run(request).await;
    end.line.status = response.status().as_u16();
    response.map(|body| Body::new(LoggedBody { body, end }))
}

/// Writes the line when it is dropped, also if the client has disconnected.
#[derive(Debug)]
struct End {
    log: AccessLog,
    started: Instant,
    sender: Sender,
    line: Line,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(identity) = self.sender.get() {
            self.line.role = Some(identity.role.as_str());
            self.line.name = identity.name.as_deref().map(str::to_owned);
            self.line.sign_in = identity.sign_in.map(SignIn::as_str);
        }
        self.line.time = Timestamp::now();
        self.line.ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Ok(mut text) = serde_json::to_vec(&self.line) {
            text.push(b'\n');
            // The writer drops the line if its queue is full; nothing else can fail.
            self.log.writer.write_all(&text).ok();
        }
    }
}

/// A body whose bytes are counted.
#[derive(Debug)]
struct LoggedBody {
    body: Body,
    end: End,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.end.line.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

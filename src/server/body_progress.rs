//! Tracks whether a request waits for its body.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use crate::lock::lock;

/// How the body of a request arrives. It distinguishes a slow client from a slow service.
#[derive(Clone, Debug, Default)]
pub struct BodyProgress(Arc<Mutex<Option<Instant>>>);

impl BodyProgress {
    /// Starts to track the body of a request. Returns the request with the tracked body.
    pub fn track(request: Request) -> (Request, Self) {
        let progress = Self::default();
        let tracked = progress.clone();
        (request.map(|body| Body::new(TrackedBody { body, progress: tracked })), progress)
    }

    /// Returns for how long the handler has been waiting for the next bytes, or `None` if it is not waiting.
    pub fn waiting_time(&self) -> Option<Duration> {
        lock(&self.0).map(|since| since.elapsed())
    }

    /// Waits until the handler has been waiting for the next bytes for the time `longest`.
    pub async fn wait_until_stalled(&self, longest: Duration) {
        loop {
            let waited = self.waiting_time().unwrap_or_default();
            if waited >= longest {
                return;
            }
            tokio::time::sleep(longest.saturating_sub(waited)).await;
        }
    }
}

struct TrackedBody {
    body: Body,
    progress: BodyProgress,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let mut since = lock(&self.progress.0);
        if polled.is_ready() {
            *since = None;
        } else if since.is_none() {
            *since = Some(Instant::now());
        }
        drop(since);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

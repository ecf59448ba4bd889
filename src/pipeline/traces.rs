//! The traces of images that are indexed: a span for the image, with one below it for each stage.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{ItemOutcome, Task};
use crate::lock::lock;
use crate::telemetry::traces::{self, Span};

/// Which trace the images of a run belong to. A trace never has all images of a job.
#[derive(Clone, Debug, Default)]
pub enum RunTrace {
    /// Each sampled image has a trace of its own.
    #[default]
    Own,
    /// The same, with the id of the job and a link to its span, if that is in this process.
    Job {
        /// The id of the job.
        id: Arc<str>,
        /// The span of the job.
        span: Arc<Span>,
    },
    /// The images belong to the current trace, if there is one: for the image of an upload.
    Current,
}

/// The spans of the images in flight, by their tickets. Empty if traces are off.
#[derive(Debug, Default)]
pub(super) struct ImageTraces {
    spans: Mutex<HashMap<i64, Arc<Span>>>,
}

impl ImageTraces {
    /// Begins the span of an image.
    pub(super) fn begin(&self, run: &RunTrace, collection: &str, task: &Task) -> Arc<Span> {
        if !traces::is_on() {
            return Arc::default();
        }
        let uri = &task.image.uri;
        let new = || traces::image("index image", uri.id().0.into_bytes());
        let span = match run {
            RunTrace::Job { id, span: job } => {
                let span = new();
                span.set("glimpse.job_id", id.to_string());
                span.link(job);
                span
            }
            RunTrace::Current if traces::is_in_trace() => traces::stage("index image"),
            RunTrace::Own | RunTrace::Current => new(),
        };
        if span.is_recorded() {
            span.set("glimpse.collection", collection.to_owned());
            span.set("aws.s3.bucket", uri.bucket().to_owned());
            span.set("aws.s3.key", uri.key().to_owned());
            span.set("glimpse.size_bytes", i64::try_from(task.image.size_bytes).unwrap_or(i64::MAX));
        }
        let span = Arc::new(span);
        lock(&self.spans).insert(task.ticket, span.clone());
        span
    }

    /// Returns the span of an image.
    pub(super) fn get(&self, ticket: i64) -> Arc<Span> {
        if traces::is_on() { lock(&self.spans).get(&ticket).cloned().unwrap_or_default() } else { Arc::default() }
    }

    /// Returns the spans of several images.
    pub(super) fn all(&self, tickets: impl Iterator<Item = i64>) -> Vec<Arc<Span>> {
        if traces::is_on() { tickets.map(|ticket| self.get(ticket)).collect() } else { Vec::new() }
    }

    /// Ends the span of an image with its outcome. An image that not every store has is still in flight.
    pub(super) fn end(&self, ticket: i64, outcome: &ItemOutcome) {
        if !traces::is_on() || matches!(outcome, ItemOutcome::PartlyStored(_)) {
            return;
        }
        let Some(span) = lock(&self.spans).remove(&ticket) else { return };
        match outcome {
            ItemOutcome::Failed(failure) => span.fail(failure.class.as_str()),
            ItemOutcome::Indexed(_) | ItemOutcome::PartlyStored(_) => {}
        }
    }
}

//! The span of a job.

use std::sync::Arc;

use crate::domain::{JobRecord, JobState};
use crate::telemetry::traces::{self, Span};

/// Begins the span of a job. It ends when the last image in flight has released it, too.
pub(super) fn begin_span(job: &JobRecord) -> Arc<Span> {
    let (spec, span) = (&job.spec, traces::root("job"));
    if span.is_recorded() {
        span.set("glimpse.job_id", job.id.to_string());
        span.set("glimpse.collection", spec.visible_collection().to_string());
        span.set("glimpse.executor", spec.executor.as_str());
        span.set("aws.s3.bucket", spec.bucket.clone());
    }
    Arc::new(span)
}

/// Adds the result of a job to its span.
pub(super) fn end_span(span: &Span, job: &JobRecord) {
    span.set("glimpse.job_state", job.state.as_str());
    if job.state == JobState::Failed {
        span.fail("job_failed");
    }
}

//! Traces: the spans of requests, jobs and images. Every module may use this one, as with `tracing` for logs; it depends on
//! no other module. `otlp` sends the spans to a collector.
//!
//! A stage has a span only inside of a sampled trace. Without [`start`], nothing is created, and the functions return at
//! once.

mod headers;
mod queue;
mod sender;
mod span;

use std::sync::Arc;
use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

pub use headers::{headers, parent_of};
pub use opentelemetry::{Context, KeyValue};
pub use opentelemetry_sdk::trace::SpanData;
pub use queue::{FLUSH_TIMEOUT, Traces};
pub use sender::{SendError, Sent, SpanSink};
pub use span::{Span, batch, client, current_trace_id, image, is_in_trace, root, server, stage};

use queue::Queue;

/// Maximum number of attributes, events or links of one span.
const MAX_PER_SPAN: u32 = 32;

/// What [`start`] needs to know.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// What describes this process: the resource of OpenTelemetry.
    pub resource: Vec<KeyValue>,
    /// The share of requests and jobs that are sampled, if the caller has not decided that.
    pub sampled: f64,
    /// The share of the images of jobs that are sampled.
    pub sampled_images: f64,
}

impl TraceConfig {
    /// Returns the resource for the messages to a collector.
    pub fn resource(&self) -> Resource {
        // Not the default, which reads variables of the environment.
        Resource::builder_empty().with_attributes(self.resource.clone()).build()
    }
}

#[derive(Debug)]
struct Active {
    tracer: SdkTracer,
    sampled_images: f64,
}

static ACTIVE: OnceLock<Active> = OnceLock::new();

/// Whether spans are recorded in this process.
pub fn is_on() -> bool {
    ACTIVE.get().is_some()
}

/// Begins to record spans and to send them to `sink`. A second call in one process sends the spans to the sink of the first.
pub fn start(config: &TraceConfig, sink: Arc<dyn SpanSink>) -> Traces {
    let (queue, traces) = Queue::start(sink);
    let provider = SdkTracerProvider::builder()
        .with_resource(config.resource())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sampled))))
        .with_max_attributes_per_span(MAX_PER_SPAN)
        .with_max_events_per_span(MAX_PER_SPAN)
        .with_max_links_per_span(MAX_PER_SPAN)
        .with_span_processor(queue)
        .build();
    let active = Active { tracer: provider.tracer("glimpse"), sampled_images: config.sampled_images };
    // Only tests call this twice.
    drop(ACTIVE.set(active));
    traces
}

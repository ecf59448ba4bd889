//! Spans, and what they are called.

use opentelemetry::context::FutureExt;
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};

use super::{ACTIVE, Active, is_on};

/// Maximum number of characters of an attribute that comes from outside, such as the key of an object.
const MAX_CHARS: usize = 256;

/// A span. Dropping it ends it. Outside of a sampled trace it does nothing.
#[derive(Debug, Default)]
pub struct Span {
    /// The context with the span; `None` if nothing is recorded here.
    context: Option<Context>,
}

impl Span {
    /// Begins a span. It records something only if its trace is sampled.
    fn begin(active: &Active, builder: SpanBuilder, parent: &Context) -> Self {
        let span = active.tracer.build_with_context(builder, parent);
        Self { context: Some(parent.with_span(span)) }
    }

    /// Returns a span that hides the current trace from what runs in it.
    fn hiding() -> Self {
        Self { context: Some(Context::new()) }
    }

    /// Whether the span is sent to the collector.
    pub fn is_recorded(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.span().is_recording())
    }

    /// Begins a span of a stage below this one.
    #[must_use]
    pub fn stage(&self, name: &'static str) -> Self {
        match (ACTIVE.get(), &self.context) {
            (Some(active), Some(context)) if self.is_recorded() => {
                Self::begin(active, SpanBuilder::from_name(name), context)
            }
            _ => Self::default(),
        }
    }

    /// Adds an attribute. A text from outside is shortened.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.context {
            let value = match value.into() {
                Value::String(text) => shortened(text.as_str()).into(),
                value => value,
            };
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Records that the work has failed, with the class of the error. The message can have texts of users and is left out.
    pub fn fail(&self, class: &str) {
        if let Some(context) = &self.context {
            context.span().set_status(Status::error(""));
            self.set("error.type", class.to_owned());
        }
    }

    /// Adds a link to another span, which may be in another trace.
    pub fn link(&self, other: &Span) {
        if let (Some(context), Some(other)) = (&self.context, &other.context)
            && other.span().is_recording()
        {
            context.span().add_link(other.span().span_context().clone(), Vec::new());
        }
    }

    /// Runs work inside of this span: stages of the work are below it.
    pub fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.with_context(self.context.clone().unwrap_or_else(Context::current))
    }

    /// Runs work inside of this span, and then ends it.
    pub async fn wrap<F: Future>(self, work: F) -> F::Output {
        let output = self.within(work).await;
        drop(self);
        output
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // Tasks that were started inside of the span can hold its context for longer.
        if let Some(context) = &self.context {
            context.span().end();
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}

/// Begins the span of a request to this service, below that of its sender. Records nothing if traces are off.
pub fn server(name: String, parent: Option<&Context>) -> Span {
    let Some(active) = ACTIVE.get() else { return Span::default() };
    let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
    Span::begin(active, builder, parent.unwrap_or(&Context::new()))
}

/// Begins a trace.
pub fn root(name: &'static str) -> Span {
    let Some(active) = ACTIVE.get() else { return Span::default() };
    Span::begin(active, SpanBuilder::from_name(name), &Context::new())
}

/// Begins a span of a stage in the current trace, if that is sampled.
pub fn stage(name: &'static str) -> Span {
    below_current(SpanKind::Internal, || SpanBuilder::from_name(name))
}

/// Begins a span of a call to another service in the current trace, if that is sampled.
pub fn client(name: impl FnOnce() -> String) -> Span {
    below_current(SpanKind::Client, || SpanBuilder::from_name(name()))
}

fn below_current(kind: SpanKind, builder: impl FnOnce() -> SpanBuilder) -> Span {
    let Some(active) = ACTIVE.get() else { return Span::default() };
    Context::map_current(|current| {
        if current.span().is_recording() {
            Span::begin(active, builder().with_kind(kind), current)
        } else {
            Span::default()
        }
    })
}

/// Begins the span of an image that is indexed: a trace of its own, for a share of the images. `id` decides which images
/// these are, so that each job has the traces of the same images.
pub fn image(name: &'static str, id: [u8; 16]) -> Span {
    let Some(active) = ACTIVE.get() else { return Span::default() };
    if is_sampled(id, active.sampled_images) {
        Span::begin(active, SpanBuilder::from_name(name), &Context::new())
    } else {
        Span::hiding()
    }
}

/// Whether an id belongs to this share of all ids.
fn is_sampled(id: [u8; 16], share: f64) -> bool {
    // The version of a UUID is in its second half.
    let [a, b, c, d, ..] = id;
    f64::from(u32::from_be_bytes([a, b, c, d])) < share * (f64::from(u32::MAX) + 1.0)
}

/// Runs work for several spans: each recorded one gets a stage of the same duration. The work runs inside of the first stage,
/// and the others have a link to it.
pub async fn batch<F: Future>(name: &'static str, spans: &[impl AsRef<Span>], size: usize, work: F) -> F::Output {
    let recorded = spans.iter().map(AsRef::as_ref).filter(|span| span.is_recorded());
    let stages: Vec<Span> = recorded.map(|span| span.stage(name)).collect();
    let Some((first, others)) = stages.split_first() else {
        return if ACTIVE.get().is_some() { Span::hiding().within(work).await } else { work.await };
    };
    for other in others {
        other.link(first);
    }
    for stage in &stages {
        stage.set("glimpse.batch.size", i64::try_from(size).unwrap_or(i64::MAX));
    }
    first.within(work).await
}

/// Whether a trace is in progress here, sampled or not.
pub fn is_in_trace() -> bool {
    is_on() && Context::map_current(Context::has_active_span)
}

/// Returns the id of the current trace, if it is sampled.
pub fn current_trace_id() -> Option<String> {
    ACTIVE.get()?;
    Context::map_current(|current| {
        let span = current.span();
        span.is_recording().then(|| span.span_context().trace_id().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_ids_is_sampled_and_0_and_1_are_exact() {
        let id = |first: u8| [first, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!((0..=255).filter(|first| is_sampled(id(*first), 0.25)).count(), 64);
        assert!(is_sampled([0xff; 16], 1.0) && !is_sampled([0; 16], 0.0));
    }

    #[test]
    fn without_a_collector_nothing_is_recorded() {
        let span = server("GET /search/images".to_owned(), None);
        assert!(!span.is_recorded() && !span.stage("embed").is_recorded() && !root("job").is_recorded());
        assert!(!image("index image", [0; 16]).is_recorded() && !is_in_trace());
        assert_eq!((current_trace_id(), crate::telemetry::traces::headers().len()), (None, 0));
    }

    #[test]
    fn texts_from_outside_are_shortened() {
        assert_eq!(shortened(&"ä".repeat(1_000)).chars().count(), MAX_CHARS);
    }
}

//! The headers of W3C Trace Context, in both directions. Baggage is not read and not sent.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::ACTIVE;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Maximum length of `traceparent`. The version that is defined has 55 characters.
const MAX_TRACEPARENT: usize = 128;
/// Maximum length of `tracestate`, the one that the standard requires to be passed on. A longer one is ignored.
const MAX_TRACESTATE: usize = 512;

struct Received<'a>(&'a HeaderMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let max = if key == TRACEPARENT.as_str() { MAX_TRACEPARENT } else { MAX_TRACESTATE };
        self.0.get(key)?.to_str().ok().filter(|value| value.len() <= max)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Sent(HeaderMap);

impl Injector for Sent {
    fn set(&mut self, key: &str, value: String) {
        // An empty `tracestate` is not sent.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

/// Returns the span that the sender of a request names. A malformed header is ignored, and so is a repeated one.
pub fn parent_of(received: &HeaderMap) -> Option<Context> {
    ACTIVE.get()?;
    if received.get_all(TRACEPARENT).iter().count() != 1 {
        return None;
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(received));
    context.has_active_span().then_some(context)
}

/// Returns the headers that name the current span, for a request to another service. They are empty outside of a trace.
pub fn headers() -> HeaderMap {
    let mut sent = Sent(HeaderMap::new());
    if ACTIVE.get().is_some() {
        Context::map_current(|current| TraceContextPropagator::new().inject_context(current, &mut sent));
    }
    sent.0
}

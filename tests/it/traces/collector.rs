//! A collector that receives OTLP as protobuf over HTTP, with the messages of OpenTelemetry's own crate.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{locked, serve};

/// A span as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    pub(crate) is_error: bool,
    pub(crate) kind: SpanKind,
    /// The ids of the spans that it has links to.
    pub(crate) links: Vec<String>,
    attributes: Vec<(String, String)>,
    resource: Vec<(String, String)>,
}

impl Received {
    fn new(span: Span, resource: &[KeyValue]) -> Self {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0, "{span:?}");
        Self {
            trace: hex::encode(&span.trace_id),
            id: hex::encode(&span.span_id),
            parent: hex::encode(&span.parent_span_id),
            is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
            kind: span.kind(),
            links: span.links.iter().map(|link| hex::encode(&link.span_id)).collect(),
            attributes: span.attributes.iter().map(text).collect(),
            resource: resource.iter().map(text).collect(),
            name: span.name,
        }
    }

    /// Returns an attribute as text; empty without it.
    pub(crate) fn attribute(&self, key: &str) -> &str {
        find(&self.attributes, key)
    }

    /// Returns an attribute of the process.
    pub(crate) fn resource(&self, key: &str) -> &str {
        find(&self.resource, key)
    }
}

fn find<'a>(attributes: &'a [(String, String)], key: &str) -> &'a str {
    attributes.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
}

fn text(attribute: &KeyValue) -> (String, String) {
    let value = match &attribute.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text.clone(),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), value)
}

/// A status, headers and a body.
pub(crate) type Refusal = (StatusCode, [(&'static str, &'static str); 1], &'static str);

/// A running collector that requires the header `api-key: open sesame`.
pub(crate) struct Collector {
    pub(crate) url: String,
    spans: Arc<Mutex<Vec<Received>>>,
    /// What it replies to the next messages in place of accepting them.
    pub(crate) refusals: Arc<Mutex<VecDeque<Refusal>>>,
    _task: AbortOnDropHandle<()>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let spans = Arc::<Mutex<Vec<Received>>>::default();
        let refusals = Arc::<Mutex<VecDeque<Refusal>>>::default();
        let (received, refused) = (spans.clone(), refusals.clone());
        let receive = move |headers: HeaderMap, body: Bytes| async move {
            if headers["content-type"] != "application/x-protobuf" || headers["api-key"] != "open sesame" {
                return Err(StatusCode::UNAUTHORIZED.into_response());
            }
            if let Some(refusal) = locked(&refused).pop_front() {
                return Err(refusal.into_response());
            }
            assert!(!headers.contains_key("traceparent"), "the messages themselves are not traced");
            let message =
                ExportTraceServiceRequest::decode(body).map_err(|_| StatusCode::BAD_REQUEST.into_response())?;
            for of_resource in message.resource_spans {
                let resource = of_resource.resource.unwrap_or_default().attributes;
                let all = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
                locked(&received).extend(all.map(|span| Received::new(span, &resource)));
            }
            Ok(ExportTraceServiceResponse::default().encode_to_vec())
        };
        let (url, task) = serve(Router::new().route("/base/v1/traces", post(receive))).await;
        Self { url: format!("{url}/base/"), spans, refusals, _task: task }
    }

    /// Returns the settings of a service that sends all its traces here.
    pub(crate) fn variables(&self) -> [(&str, &str); 4] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=open%20sesame"),
            ("OTEL_SERVICE_NAME", "glimpse-of-test"),
            ("GLIMPSE_TRACE_IMAGES", "1"),
        ]
    }

    pub(crate) fn spans(&self) -> Vec<Received> {
        locked(&self.spans).clone()
    }

    /// Waits until the received spans meet a condition, and returns them.
    pub(crate) async fn until(&self, condition: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let spans = self.spans();
            if condition(&spans) {
                return spans;
            }
            assert!(Instant::now() < deadline, "still {spans:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Returns the trace as text: one line for each span, below its parent, in order of the names.
pub(crate) fn tree(spans: &[Received], trace: &str) -> String {
    let of_trace: Vec<&Received> = spans.iter().filter(|span| span.trace == trace).collect();
    let is_root = |span: &&&Received| !of_trace.iter().any(|other| other.id == span.parent);
    let mut lines = String::new();
    let roots: Vec<&Received> = of_trace.iter().filter(is_root).copied().collect();
    add(&of_trace, roots, 0, &mut lines);
    lines
}

fn add(all: &[&Received], mut spans: Vec<&Received>, depth: usize, lines: &mut String) {
    spans.sort_by(|a, b| a.name.cmp(&b.name));
    for span in spans {
        writeln!(lines, "{}{}", "  ".repeat(depth), span.name).unwrap();
        add(all, all.iter().filter(|child| child.parent == span.id).copied().collect(), depth + 1, lines);
    }
}

//! Sends spans to a collector by OTLP: protobuf over HTTP (ADR 0033).

mod settings;

use async_trait::async_trait;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use prost::Message;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use crate::domain::TrustedFiles;
use crate::http::{RestClient, client_builder, one_line, trust_files};
use crate::telemetry::traces::{KeyValue, Sent, SpanData, SpanSink, TraceConfig};

pub use settings::{Collector, OtlpHeaders, OtlpProtocol, OtlpSettings, Share};

/// Maximum bytes of a reply. It has a number and a message.
const MAX_REPLY_BYTES: usize = 64 * 1024;
/// The name of the collector in errors.
const NAME: &str = "collector";

/// A client of one collector.
#[derive(Debug)]
pub struct OtlpClient {
    client: RestClient,
    headers: HeaderMap,
    resource: ResourceAttributesWithSchema,
}

impl OtlpClient {
    /// Creates a client; makes no network call.
    ///
    /// # Errors
    /// A message that names the setting.
    pub fn new(collector: &Collector<'_>, config: &TraceConfig, trusted: &TrustedFiles) -> Result<Self, String> {
        let url = collector.endpoint.url();
        let builder = trust_files(client_builder(url), trusted)?;
        let client = RestClient::new(NAME, url.clone(), None, builder)
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: {error}"))?;
        let resource = ResourceAttributesWithSchema::from(&config.resource());
        Ok(Self { client, headers: collector.headers.to_map(), resource })
    }
}

#[async_trait]
impl SpanSink for OtlpClient {
    async fn send(&self, spans: Vec<SpanData>) -> Result<Sent, String> {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let request = self.client.request(Method::POST, &["v1", "traces"]).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(message);
        let reply = self.client.send(request, MAX_REPLY_BYTES).await.map_err(|error| error.error.to_string())?;
        // A collector that replies with something else has accepted the spans too: its status is a success.
        let reply = ExportTraceServiceResponse::decode(reply).unwrap_or_default();
        Ok(match reply.partial_success {
            Some(partial) => Sent {
                rejected: usize::try_from(partial.rejected_spans).unwrap_or(0),
                message: one_line(partial.error_message.as_bytes()),
            },
            None => Sent::default(),
        })
    }
}

/// Returns what describes this process in each message. `process` is `service` or `worker`.
pub fn resource(service_name: &str, process: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("service.name", service_name.to_owned()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
        KeyValue::new("telemetry.sdk.name", "opentelemetry"),
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("glimpse.process", process),
    ]
}

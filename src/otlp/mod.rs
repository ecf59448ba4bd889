//! Sends spans to a collector by OTLP: protobuf over HTTP (ADR 0033).

mod reply;
mod settings;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, StatusCode, Url};

use crate::domain::{TrustedFiles, with_causes};
use crate::http::{client_builder, join, read_start, retry_after, send_traced, trust_files};
use crate::telemetry::traces::{KeyValue, SendError, Sent, SpanData, SpanSink, TraceConfig};

use reply::{describe, refusal};

pub use settings::{Collector, OtlpHeaders, OtlpProtocol, OtlpSettings, Share};

/// Maximum bytes of a reply. It has a number and a message.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// A client of one collector.
#[derive(Debug)]
pub struct OtlpClient {
    client: Client,
    url: Url,
    headers: HeaderMap,
    secrets: Vec<String>,
    resource: ResourceAttributesWithSchema,
}

/// What a collector replies to a message without spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckReply {
    /// A message of OTLP.
    Otlp,
    /// A success of another kind, as of a server that is not a collector.
    Other,
}

impl OtlpClient {
    /// Creates a client; makes no network call.
    ///
    /// # Errors
    /// A message that names the setting.
    pub fn new(collector: &Collector<'_>, config: &TraceConfig, trusted: &TrustedFiles) -> Result<Self, String> {
        let base = collector.endpoint.url();
        let builder = trust_files(client_builder(base), trusted)?;
        let client = builder.build().map_err(|error| {
            format!("the HTTP client for OTEL_EXPORTER_OTLP_ENDPOINT cannot be created: {}", with_causes(&error))
        })?;
        let resource = ResourceAttributesWithSchema::from(&config.resource());
        let (headers, secrets) = (collector.headers.to_map(), collector.headers.secrets());
        Ok(Self { client, url: join(base, ["v1", "traces"]), headers, secrets, resource })
    }

    /// Sends a message without spans.
    ///
    /// # Errors
    /// [`SendError`] if the collector does not accept it.
    pub async fn check(&self) -> Result<CheckReply, SendError> {
        let reply = self.post(ExportTraceServiceRequest::default().encode_to_vec().into()).await?;
        let is_otlp = ExportTraceServiceResponse::decode(&*reply).is_ok();
        Ok(if is_otlp { CheckReply::Otlp } else { CheckReply::Other })
    }

    /// Sends a message. Returns the body of a success.
    async fn post(&self, message: Bytes) -> Result<Vec<u8>, SendError> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(message);
        let response = send_traced(request).await.map_err(|error| {
            let (is_connect, reason) = (error.is_connect(), with_causes(&error.without_url()));
            // Another failure can come after the collector has received the spans.
            if is_connect { SendError::Temporary { reason, retry_after: None } } else { SendError::Refused(reason) }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(read_start(response, MAX_REPLY_BYTES).await);
        }
        let wait = retry_after(response.headers());
        let text = read_start(response, reply::MAX_READ_BYTES).await;
        let reason = refusal(status, &text, &self.secrets);
        // The statuses that the specification of OTLP calls retryable.
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => SendError::Temporary { reason, retry_after: wait },
            _ => SendError::Refused(reason),
        })
    }
}

#[async_trait]
impl SpanSink for OtlpClient {
    fn encode(&self, spans: Vec<SpanData>) -> Bytes {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    async fn send(&self, message: Bytes) -> Result<Sent, SendError> {
        let reply = self.post(message).await?;
        // A collector that replies with something else has accepted the spans too: its status is a success.
        let reply = ExportTraceServiceResponse::decode(&*reply).unwrap_or_default();
        Ok(match reply.partial_success {
            Some(partial) => Sent {
                rejected: usize::try_from(partial.rejected_spans).unwrap_or(0),
                message: describe(partial.error_message.as_bytes(), &self.secrets),
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

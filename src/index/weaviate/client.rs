//! The clients of Weaviate's two interfaces: REST for classes and readiness, gRPC for everything else.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::NAME;
use super::aggregate_wire::{AggregateReply, AggregateRequest};
use super::wire::{
    BatchDeleteReply, BatchDeleteRequest, BatchObjectsReply, BatchObjectsRequest, HealthCheckRequest,
    HealthCheckResponse, SearchReply, SearchRequest,
};
use crate::domain::{InvalidSetting, with_causes};
use crate::http::{RestClient, client_builder, join};
use crate::telemetry::traces;

/// The maximum bytes of a message in both directions: the default of the server.
const MAX_MESSAGE_BYTES: usize = 104_858_000;
/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval of TCP keep-alive, which detects a connection whose other end disappeared. HTTP/2 pings would detect it
/// sooner, but the server disconnects clients that send them more often than every five minutes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// The flow-control window of a reply in bytes. It is large because replies contain vectors.
const WINDOW_BYTES: u32 = 4 << 20;

/// Creates the client of the REST API.
pub(super) fn rest_client(
    url: &Url,
    key: Option<HeaderValue>,
    timeout: Duration,
) -> Result<RestClient, InvalidSetting> {
    let client = RestClient::new(NAME, join(url, ["v1"]), key, client_builder(url).timeout(timeout));
    client.map_err(|error| InvalidSetting(format!("WEAVIATE_URL: {error}")))
}

/// The gRPC service: unary calls with hand-written messages over one lazy channel.
#[derive(Debug)]
pub(super) struct Rpc {
    endpoint: Endpoint,
    /// Created by the first call, because creating it needs the Tokio runtime.
    channel: OnceLock<Channel>,
    key: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Rpc {
    /// Creates a client that connects at the first call.
    pub(super) fn new(url: &Url, key: Option<&HeaderValue>, timeout: Duration) -> Result<Self, InvalidSetting> {
        let invalid =
            |error: &dyn std::error::Error| InvalidSetting(format!("WEAVIATE_GRPC_URL: {}", with_causes(error)));
        let mut endpoint = Endpoint::from_shared(url.to_string())
            .and_then(|endpoint| endpoint.user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION"))))
            .map_err(|error| invalid(&error))?
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        if url.scheme() == "https" {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(|error| invalid(&error))?;
        }
        let key = key.map(|key| MetadataValue::try_from(key.as_bytes()));
        let mut key = key.transpose().map_err(|error| invalid(&error))?;
        if let Some(key) = &mut key {
            key.set_sensitive(true);
        }
        Ok(Self { endpoint, channel: OnceLock::new(), key, timeout })
    }

    pub(super) async fn search(&self, request: SearchRequest) -> Result<SearchReply, Status> {
        self.call("/weaviate.v1.Weaviate/Search", request).await
    }

    pub(super) async fn write(&self, request: BatchObjectsRequest) -> Result<BatchObjectsReply, Status> {
        self.call("/weaviate.v1.Weaviate/BatchObjects", request).await
    }

    pub(super) async fn delete(&self, request: BatchDeleteRequest) -> Result<BatchDeleteReply, Status> {
        self.call("/weaviate.v1.Weaviate/BatchDelete", request).await
    }

    pub(super) async fn aggregate(&self, request: AggregateRequest) -> Result<AggregateReply, Status> {
        self.call("/weaviate.v1.Weaviate/Aggregate", request).await
    }

    pub(super) async fn health(&self) -> Result<HealthCheckResponse, Status> {
        self.call("/grpc.health.v1.Health/Check", HealthCheckRequest {}).await
    }

    async fn call<Q, R>(&self, path: &'static str, message: Q) -> Result<R, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        R: prost::Message + Default + Send + Sync + 'static,
    {
        let mut request = Request::new(message);
        *request.metadata_mut() = MetadataMap::from_headers(traces::headers());
        // The deadline is also sent to the server, so that it stops work whose result is no longer needed.
        request.set_timeout(self.timeout);
        if let Some(key) = &self.key {
            request.metadata_mut().insert("authorization", key.clone());
        }
        let channel = self.channel.get_or_init(|| self.endpoint.connect_lazy()).clone();
        let mut client = Grpc::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let call = async {
            client.ready().await.map_err(|error| Status::unavailable(with_causes(&error)))?;
            let codec = ProstCodec::<Q, R>::default();
            client.unary(request, PathAndQuery::from_static(path), codec).await
        };
        let reply = tokio::time::timeout(self.timeout, call).await;
        let reply =
            reply.map_err(|_| Status::deadline_exceeded("no reply within the time limit (VECTOR_DB_TIMEOUT)"))?;
        reply.map(tonic::Response::into_inner)
    }
}

//! Weaviate's gRPC service: unary calls of hand-written messages over one lazy channel.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::wire::{
    AggregateReply, AggregateRequest, BatchDeleteReply, BatchDeleteRequest, BatchObjectsReply, BatchObjectsRequest,
    HealthCheckRequest, HealthCheckResponse, SearchReply, SearchRequest,
};
use crate::domain::with_causes;
use crate::index::InvalidStore;

/// The longest message, either way: the default of the server.
const MESSAGE_BYTES: usize = 104_858_000;
const CONNECT: Duration = Duration::from_secs(5);
/// A connection whose other end is gone without a word is noticed by TCP. Pings of HTTP/2 would be noticed sooner, but
/// the server hangs up on whoever sends them more often than every five minutes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// Bytes on the way in one reply: vectors are long.
const WINDOW: u32 = 4 << 20;

/// The server and the connection to it.
#[derive(Debug)]
pub(super) struct Rpc {
    endpoint: Endpoint,
    /// Made by the first call, because making it needs the runtime.
    channel: OnceLock<Channel>,
    key: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Rpc {
    /// Connects to nothing yet.
    pub(super) fn new(url: &Url, key: Option<&HeaderValue>, timeout: Duration) -> Result<Self, InvalidStore> {
        let wrong = |error: &dyn std::error::Error| InvalidStore(format!("WEAVIATE_GRPC_URL: {}", with_causes(error)));
        let mut endpoint = Endpoint::from_shared(url.to_string())
            .and_then(|endpoint| endpoint.user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION"))))
            .map_err(|error| wrong(&error))?
            .connect_timeout(CONNECT.min(timeout))
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        if url.scheme() == "https" {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(|error| wrong(&error))?;
        }
        let key = key.map(|key| MetadataValue::try_from(key.as_bytes()));
        let mut key = key.transpose().map_err(|error| wrong(&error))?;
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
        // The server is told, too, so that it does not go on with what nobody waits for.
        request.set_timeout(self.timeout);
        if let Some(key) = &self.key {
            request.metadata_mut().insert("authorization", key.clone());
        }
        let channel = self.channel.get_or_init(|| self.endpoint.connect_lazy()).clone();
        let mut client =
            Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES);
        let call = async {
            client.ready().await.map_err(|error| Status::unavailable(with_causes(&error)))?;
            let codec = ProstCodec::<Q, R>::default();
            client.unary(request, PathAndQuery::from_static(path), codec).await
        };
        let reply = tokio::time::timeout(self.timeout, call).await;
        let reply = reply.map_err(|_| Status::deadline_exceeded("no reply in time"))?;
        reply.map(tonic::Response::into_inner)
    }
}

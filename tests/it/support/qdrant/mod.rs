//! A Qdrant for tests: the crate's own service traits on a real socket, everything in memory, brute-force search. It
//! answers as a real 1.19 does, with the same texts if a text matters, and fails on demand.
//!
//! ```ignore
//! let qdrant = QdrantServer::start().await;
//! let index = QdrantIndex::new(QdrantSettings { url: qdrant.url(), … })?;
//! qdrant.fail(ServerFault::Unavailable); // until qdrant.fail(ServerFault::None)
//! qdrant.stop().await; // connections are refused
//! qdrant.restart().await; // the same port, the same points
//! qdrant.delete_points("documents_images", &ids);
//! ```

mod collection;
mod collections;
mod filter;
mod lists;
mod points;
mod state;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server;
use qdrant_client::qdrant::{HealthCheckReply, HealthCheckRequest};
use tokio::runtime::Runtime;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use self::collection::Key;
use self::state::State;

/// The result of every call, until another one is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerFault {
    /// The normal answer.
    None,
    /// `UNAVAILABLE`, as for a shard that does not exist.
    Unavailable,
    /// `RESOURCE_EXHAUSTED` with this many seconds in `retry-after`.
    Exhausted(u64),
    /// `RESOURCE_EXHAUSTED`: the disk is full.
    Full,
    /// The normal answer, after this time.
    Slow(Duration),
    /// Writes are answered OK with the status `WaitTimeout` and do not happen; reads are normal.
    WaitTimeout,
    /// `INVALID_ARGUMENT` for every upsert with a point of this `s3_key`.
    Refused(&'static str),
}

/// Limits of the server; none by default.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of a server")]
pub(crate) struct Limits {
    /// `upsert_max_batchsize`.
    pub(crate) upsert: Option<usize>,
    /// `max_query_limit`.
    pub(crate) query: Option<usize>,
    /// `max_points_count`.
    pub(crate) points: Option<usize>,
    /// `max_payload_index_count`.
    pub(crate) indexes: Option<usize>,
    /// `search_allow_exact: false`.
    pub(crate) no_exact: bool,
    /// Bytes of one gRPC message.
    pub(crate) message: Option<usize>,
    /// Strict mode answers with `PermissionDenied`, as in its first versions.
    pub(crate) forbids: bool,
    /// Metadata of collections is dropped, whatever the version.
    pub(crate) no_metadata: bool,
    /// A query finds only those points whose id modulo 1,000 is less than its `hnsw_ef` (by default 100), unless it is exact:
    /// as a graph does, only that this one misses the same points each time.
    pub(crate) graph: bool,
    /// A query returns the scores of the previous version of a point.
    pub(crate) stale_scores: bool,
}

/// A running server. It has its own threads, so that stopping it cuts every connection, and ends when it is dropped.
pub(crate) struct QdrantServer {
    addr: SocketAddr,
    state: Arc<State>,
    running: Mutex<Option<Runtime>>,
}

impl QdrantServer {
    /// Starts it on a free port, empty, without a key.
    pub(crate) async fn start() -> Self {
        Self::with_key("").await
    }

    /// The same; clients must send this key.
    pub(crate) async fn with_key(key: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server =
            Self { addr: listener.local_addr().unwrap(), state: Arc::new(State::new(key)), running: Mutex::new(None) };
        server.serve(listener).await;
        server
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Cuts every connection and refuses new ones. The points are kept.
    pub(crate) async fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = running {
            // Waits until the socket is closed.
            tokio::task::spawn_blocking(|| runtime.shutdown_timeout(Duration::from_secs(5))).await.unwrap();
        }
    }

    /// Serves again, on the same port.
    pub(crate) async fn restart(&self) {
        self.stop().await;
        self.serve(TcpListener::bind(self.addr).unwrap()).await;
    }

    /// Sets the result of all calls from now on.
    pub(crate) fn fail(&self, failure: ServerFault) {
        *self.state.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Sets the version; `None` if a proxy hides it.
    pub(crate) fn set_version(&self, version: Option<&'static str>) {
        *self.state.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// Sets the limits.
    pub(crate) fn set_limits(&self, limits: Limits) {
        *self.state.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// The largest value that a limit of strict mode accepted: `upsert limit`, `limit`.
    pub(crate) fn largest(&self, name: &str) -> usize {
        self.state.largest.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default()
    }

    /// The number of calls of a method since the start (`upsert`, `query`, `create`…), successful or not.
    pub(crate) fn calls(&self, method: &str) -> usize {
        self.state.calls.lock().unwrap_or_else(PoisonError::into_inner).get(method).copied().unwrap_or_default()
    }

    /// The `traceparent` of each call of a method that had one.
    pub(crate) fn traceparents(&self, method: &str) -> Vec<String> {
        let all = self.state.traceparents.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(called, _)| *called == method).map(|(_, traceparent)| traceparent.clone()).collect()
    }

    /// Ids and vectors of a collection by its name in the server (`documents_images`), in order of ids; empty if it
    /// does not exist.
    pub(crate) fn points(&self, collection: &str) -> Vec<(Uuid, Vec<f32>)> {
        let Ok(collection) = self.state.collection(collection) else { return Vec::new() };
        let collection = collection.read().unwrap_or_else(PoisonError::into_inner);
        let uuids = collection.ascending().filter_map(|(key, row)| match key {
            Key::Uuid(id) => Some((id, collection.vector(row).to_vec())),
            Key::Num(_) => None,
        });
        uuids.collect()
    }

    /// Removes points past all clients; returns their number.
    pub(crate) fn delete_points(&self, collection: &str, ids: &[Uuid]) -> usize {
        let collection = self.state.collection(collection).unwrap();
        let mut collection = collection.write().unwrap_or_else(PoisonError::into_inner);
        ids.iter().filter(|id| collection.remove(Key::Uuid(**id))).count()
    }

    /// Its whole content as JSON: collections with their settings, and points with vectors and payloads.
    pub(crate) fn dump(&self) -> serde_json::Value {
        let collections = self.state.collections.read().unwrap_or_else(PoisonError::into_inner);
        let dumps = collections
            .iter()
            .map(|(name, collection)| (name.clone(), collection.read().unwrap_or_else(PoisonError::into_inner).dump()));
        serde_json::Value::Object(dumps.collect())
    }

    /// Replaces its content by that of a [`Self::dump`].
    pub(crate) fn restore(&self, dump: &serde_json::Value) {
        let mut collections = self.state.collections.write().unwrap_or_else(PoisonError::into_inner);
        for (name, dump) in dump.as_object().unwrap() {
            collections.insert(name.clone(), Arc::new(std::sync::RwLock::new(collection::Collection::restore(dump))));
        }
    }

    async fn serve(&self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::clone(&self.state);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let points = PointsServer::from_arc(Arc::clone(&state)).max_decoding_message_size(usize::MAX);
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let served = Server::builder()
                .initial_stream_window_size(4 << 20)
                .initial_connection_window_size(16 << 20)
                .add_service(points)
                .add_service(CollectionsServer::from_arc(Arc::clone(&state)))
                .add_service(qdrant_server::QdrantServer::from_arc(state))
                .serve_with_incoming(incoming);
            served.await.unwrap();
        });
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        drop(tokio::net::TcpStream::connect(self.addr).await.unwrap());
    }
}

impl Drop for QdrantServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

#[tonic::async_trait]
impl qdrant_server::Qdrant for State {
    async fn health_check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckReply>, Status> {
        self.enter("health_check", request.metadata()).await?;
        let hidden = || Status::unimplemented("grpc-status header missing, mapped from HTTP status code 404");
        let version = self.version.lock().unwrap_or_else(PoisonError::into_inner).ok_or_else(hidden)?;
        let reply =
            HealthCheckReply { title: "qdrant - vector search engine".into(), version: version.into(), commit: None };
        Ok(Response::new(reply))
    }
}

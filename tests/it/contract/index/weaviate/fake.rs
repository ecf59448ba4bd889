//! A fake Weaviate whose answers a test chooses, over real sockets: REST over HTTP/1.1, gRPC over HTTP/2. It can also
//! replace the REST server of a real Weaviate, to show a class that does not exist.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use glimpse::domain::Secret;
use glimpse::index::Quantization;
use glimpse::index::weaviate::{WeaviateIndex, WeaviateSettings};
use hyper::body::Frame;
use prost::Message;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// How the REST server answers: status, a header and a body, or not at all.
#[derive(Clone)]
pub(crate) enum Rest {
    Says(u16, Option<(&'static str, &'static str)>, String),
    /// Answers the first request with this body, and every later one with 404.
    Once(String),
    Silent,
}

/// How the gRPC server answers.
#[derive(Clone)]
pub(crate) enum Grpc {
    /// This code, this message, and `retry-after` if it is set.
    Status(u8, &'static str, Option<&'static str>),
    /// Accepts every call; refuses the objects at these positions of a batch, with these messages.
    Refuses(Vec<(i32, &'static str)>),
    /// Accepts calls up to this many bytes, and searches up to this many objects.
    Limits {
        bytes: usize,
        results: u32,
    },
    /// Accepts every call; an aggregation returns this number of objects, and a search none.
    Counts(i64),
    Silent,
}

pub(crate) struct Fake {
    /// Successive lengths of the queue of vectors; the last one stays.
    queue: Mutex<Vec<u64>>,
    rest: Mutex<Rest>,
    grpc: Mutex<Grpc>,
    /// Path and body of every gRPC call.
    calls: Mutex<Vec<(String, Bytes)>>,
    /// `authorization` of every request, REST or gRPC.
    keys: Mutex<Vec<Option<String>>>,
    /// `traceparent` of every request that has one.
    traceparents: Mutex<Vec<String>>,
}

/// A running fake.
pub(crate) struct Running {
    fake: Arc<Fake>,
    pub(crate) rest_url: String,
    grpc_url: String,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Running {
    pub(crate) async fn new(rest: Rest, grpc: Grpc) -> Self {
        let fake = Arc::new(Fake {
            rest: Mutex::new(rest),
            grpc: Mutex::new(grpc),
            calls: Mutex::default(),
            keys: Mutex::default(),
            traceparents: Mutex::default(),
            queue: Mutex::default(),
        });
        let (rest, grpc) = (listener().await, listener().await);
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let (rest_url, grpc_url) = (url(&rest), url(&grpc));
        let routes = Router::new().fallback(answer_rest).with_state(fake.clone());
        let rest = tokio::spawn(async move { axum::serve(rest, routes).await.unwrap() });
        let routes: tonic::service::Routes = Router::new().fallback(answer_grpc).with_state(fake.clone()).into();
        let incoming = tonic::transport::server::TcpIncoming::from(grpc);
        let serve = tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming);
        let grpc = tokio::spawn(async move { serve.await.unwrap() });
        Self { fake, rest_url, grpc_url, _tasks: [rest, grpc].map(AbortOnDropHandle::new) }
    }

    pub(crate) fn settings(&self) -> WeaviateSettings {
        WeaviateSettings {
            url: self.rest_url.parse().unwrap(),
            grpc_url: Some(self.grpc_url.parse().unwrap()),
            api_key: Secret::new("open sesame"),
            timeout: Duration::from_millis(500),
            quantization: Quantization::Int8,
        }
    }

    pub(crate) fn index(&self) -> WeaviateIndex {
        WeaviateIndex::new(self.settings()).unwrap()
    }

    /// The bodies of all calls of this method.
    pub(crate) fn calls(&self, method: &str) -> Vec<Bytes> {
        let calls = self.fake.calls.lock().unwrap();
        calls.iter().filter(|(path, _)| path.ends_with(method)).map(|(_, body)| body.clone()).collect()
    }

    /// Sets successive lengths of the queue of vectors; the last one stays.
    pub(crate) fn queue(&self, lengths: Vec<u64>) {
        *self.fake.queue.lock().unwrap() = lengths;
    }

    pub(crate) fn keys(&self) -> Vec<Option<String>> {
        self.fake.keys.lock().unwrap().clone()
    }

    pub(crate) fn traceparents(&self) -> Vec<String> {
        self.fake.traceparents.lock().unwrap().clone()
    }

    pub(crate) fn grpc_becomes(&self, grpc: Grpc) {
        *self.fake.grpc.lock().unwrap() = grpc;
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn note_key(fake: &Fake, headers: &HeaderMap) {
    let key = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    fake.keys.lock().unwrap().push(key);
    let traceparent = headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned());
    fake.traceparents.lock().unwrap().extend(traceparent);
}

async fn answer_rest(State(fake): State<Arc<Fake>>, headers: HeaderMap, uri: Uri) -> Response {
    note_key(&fake, &headers);
    if uri.path().contains("/nodes/") {
        assert_eq!(uri.query(), Some("output=verbose"));
        let mut queue = fake.queue.lock().unwrap();
        let left = if queue.len() > 1 { queue.remove(0) } else { queue.first().copied().unwrap_or_default() };
        let nodes = serde_json::json!({"nodes": [{"shards": [{"vectorQueueLength": left}]}]});
        return Response::new(Body::from(nodes.to_string()));
    }
    let missing = Rest::Says(404, None, String::new());
    let rest = {
        let mut rest = fake.rest.lock().unwrap();
        if matches!(*rest, Rest::Once(_)) { std::mem::replace(&mut *rest, missing) } else { rest.clone() }
    };
    match rest {
        Rest::Once(body) => Response::new(Body::from(body)),
        Rest::Silent => std::future::pending().await,
        Rest::Says(status, header, body) => {
            let response = Response::builder().status(status);
            let response = if let Some((name, value)) = header { response.header(name, value) } else { response };
            response.body(Body::from(body)).unwrap()
        }
    }
}

/// `BatchObjectsReply`.
#[derive(Clone, PartialEq, Message)]
struct Reply {
    #[prost(message, repeated, tag = "2")]
    errors: Vec<Refused>,
}

#[derive(Clone, PartialEq, Message)]
struct Refused {
    #[prost(int32, tag = "1")]
    index: i32,
    #[prost(string, tag = "2")]
    error: String,
}

/// `AggregateReply`.
#[derive(Clone, PartialEq, Message)]
struct AggregateReply {
    #[prost(message, optional, tag = "2")]
    single_result: Option<Single>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Single {
    #[prost(int64, optional, tag = "1")]
    objects_count: Option<i64>,
}

/// `SearchRequest`: its limit.
#[derive(Clone, PartialEq, Message)]
struct Search {
    #[prost(uint32, tag = "30")]
    limit: u32,
}

async fn answer_grpc(State(fake): State<Arc<Fake>>, request: Request) -> Response {
    note_key(&fake, request.headers());
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 64 << 20).await.unwrap();
    let (sent, limit) = (body.len() - 5, Search::decode(&body[5..]).map_or(0, |search| search.limit));
    fake.calls.lock().unwrap().push((path.clone(), body));
    let response = Response::builder().status(StatusCode::OK).header("content-type", "application/grpc");
    let grpc = fake.grpc.lock().unwrap().clone();
    let grpc = match grpc {
        Grpc::Limits { bytes, .. } if sent > bytes => {
            let text = format!("grpc: received message larger than max ({sent} vs. {bytes})");
            return response.header("grpc-status", "8").header("grpc-message", text).body(Body::empty()).unwrap();
        }
        Grpc::Limits { results, .. } if path.ends_with("Search") && limit > results => {
            let text = format!(
                "query maximum results exceeded: the total limit calculated from the provided offset '0' and limit \
                 '{limit}' exceeds the configured value for QUERY_MAXIMUM_RESULTS '{results}'"
            );
            return response.header("grpc-status", "2").header("grpc-message", text).body(Body::empty()).unwrap();
        }
        Grpc::Counts(objects) if path.ends_with("Aggregate") => {
            let count = AggregateReply { single_result: Some(Single { objects_count: Some(objects) }) };
            return answered(response, &count);
        }
        Grpc::Limits { .. } | Grpc::Counts(_) => Grpc::Refuses(Vec::new()),
        other => other,
    };
    match grpc {
        Grpc::Limits { .. } | Grpc::Counts(_) => unreachable!("answered above"),
        Grpc::Silent => std::future::pending().await,
        Grpc::Status(code, words, wait) => {
            let response = response.header("grpc-status", code.to_string()).header("grpc-message", words);
            let response = if let Some(wait) = wait { response.header("retry-after", wait) } else { response };
            response.body(Body::empty()).unwrap()
        }
        Grpc::Refuses(errors) => {
            let refused = |(index, error): (i32, &str)| Refused { index, error: error.to_owned() };
            let errors = if path.ends_with("BatchObjects") { errors } else { Vec::new() };
            answered(response, &Reply { errors: errors.into_iter().map(refused).collect() })
        }
    }
}

fn answered(response: axum::http::response::Builder, message: &impl Message) -> Response {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let frame = Bytes::from([&[0], &length[..], &message].concat());
    response.body(Body::new(Ended { frame: Some(frame), status: true })).unwrap()
}

/// One message, followed by the gRPC status.
struct Ended {
    frame: Option<Bytes>,
    status: bool,
}

impl hyper::body::Body for Ended {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let status = std::mem::take(&mut self.status);
        let frame = match self.frame.take() {
            Some(message) => {
                self.status = true;
                Some(Frame::data(message))
            }
            None => status.then(|| {
                Frame::trailers([("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect())
            }),
        };
        Poll::Ready(frame.map(Ok))
    }
}

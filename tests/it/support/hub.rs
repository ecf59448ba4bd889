//! A fake of the Hugging Face hub, with faults that a test chooses. Its storage is another server, which records
//! whether a client sends it the token.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as Params, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const TOKEN: &str = "hf_hush";

/// The faults; each happens once if it does not say otherwise.
#[derive(Default)]
pub(crate) struct Script {
    /// The storage breaks off after this number of bytes of this file.
    pub(crate) cut: Option<(String, usize)>,
    /// The storage sends this file with one changed byte, this number of times.
    pub(crate) spoil: Option<(String, usize)>,
    /// The storage does not support ranges.
    pub(crate) no_ranges: bool,
    /// Only clients with the token are let in.
    pub(crate) private: bool,
    /// This number of requests are answered with 503 first.
    pub(crate) down: usize,
    /// How it differs from the real hub.
    pub(crate) manner: Manner,
    /// The storage waits for this before it sends this file.
    pub(crate) hold: Option<(String, Arc<tokio::sync::Notify>)>,
}

/// How a mirror answers requests for files.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Like the hub.
    #[default]
    Hub,
    /// Sends no sizes and no hashes: its replies are chunked.
    Bare,
    /// The same, and does not allow `HEAD`.
    BareWithoutHead,
    /// Does not allow `HEAD`.
    WithoutHead,
    /// Redirects every file to itself.
    Circle,
}

impl Manner {
    fn is_bare(self) -> bool {
        matches!(self, Self::Bare | Self::BareWithoutHead)
    }
}

#[derive(Default)]
struct Inner {
    files: HashMap<String, Bytes>,
    script: Mutex<Script>,
    /// `METHOD path range`, of both servers.
    asked: Mutex<Vec<String>>,
    storage: Mutex<String>,
    leaked: Mutex<bool>,
}

/// The two servers; they end when this is dropped.
pub(crate) struct FakeHub {
    pub(crate) url: String,
    inner: Arc<Inner>,
    servers: Vec<JoinHandle<()>>,
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

impl FakeHub {
    /// Serves the files of `folder` and its subfolders as every repository.
    pub(crate) async fn of(folder: &Path, script: Script) -> Self {
        let mut files = HashMap::new();
        let mut places = vec![String::new()];
        while let Some(place) = places.pop() {
            for entry in std::fs::read_dir(folder.join(&place)).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{place}{}", path.file_name().unwrap().to_str().unwrap());
                if path.is_file() {
                    files.insert(name, Bytes::from(std::fs::read(&path).unwrap()));
                } else {
                    places.push(format!("{name}/"));
                }
            }
        }
        let inner = Arc::new(Inner { files, script: Mutex::new(script), ..Inner::default() });
        let (storage, second) = serve(Router::new().route("/blob/{*file}", get(blob)).with_state(inner.clone())).await;
        *inner.storage.lock().unwrap_or_else(PoisonError::into_inner) = storage;
        let hub = Router::new()
            .route("/api/models/{org}/{name}/revision/{revision}", get(listing))
            .route("/{org}/{name}/resolve/{commit}/{*file}", get(resolve).head(resolve))
            .route("/cache/{org}/{name}/resolve/{commit}/{*file}", get(resolve).head(resolve))
            .with_state(inner.clone());
        let (url, first) = serve(hub).await;
        Self { url, inner, servers: vec![first, second] }
    }

    /// Returns the requests since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a client sent the token to the storage.
    pub(crate) fn leaked(&self) -> bool {
        *self.inner.leaked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

/// Records the request, and returns the reply of a fault, if any.
fn door(inner: &Inner, line: String, headers: &HeaderMap) -> Option<Response<Body>> {
    inner.asked.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    let mut script = inner.script.lock().unwrap_or_else(PoisonError::into_inner);
    if script.down > 0 {
        script.down -= 1;
        return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let shown = headers.get(AUTHORIZATION).is_some_and(|shown| shown == &format!("Bearer {TOKEN}"));
    (script.private && !shown).then(|| StatusCode::UNAUTHORIZED.into_response())
}

async fn listing(
    State(inner): State<Arc<Inner>>,
    Params((org, name, revision)): Params<(String, String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    if let Some(no) = door(&inner, format!("GET {org}/{name} {revision}"), &headers) {
        return no;
    }
    if name == "missing" || !["main", COMMIT].contains(&revision.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let siblings: Vec<_> = inner.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
    axum::Json(serde_json::json!({"id": "org/name", "sha": COMMIT, "siblings": siblings})).into_response()
}

/// Sends small files directly, and redirects to the storage for large ones (the towers).
async fn resolve(
    State(inner): State<Arc<Inner>>,
    Params((_org, _name, commit, file)): Params<(String, String, String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    if let Some(no) = door(&inner, format!("{method} {file}"), &headers) {
        return no;
    }
    let Some(bytes) = inner.files.get(&file).filter(|_| commit == COMMIT) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let reply = Response::builder().header("x-repo-commit", COMMIT);
    let manner = inner.script.lock().unwrap_or_else(PoisonError::into_inner).manner;
    let bare = manner.is_bare();
    if manner == Manner::Circle {
        return reply.status(StatusCode::FOUND).header(LOCATION, uri.path()).body(Body::empty()).unwrap();
    }
    if matches!(manner, Manner::WithoutHead | Manner::BareWithoutHead) && method == Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if !file.starts_with("onnx/") {
        // The blob name of a small file comes from git; any forty digits are valid.
        let etag = hex::encode(&Sha256::digest(bytes)[..20]);
        if file == "config.json" && !uri.path().starts_with("/cache/") {
            // As the real hub does: to a relative location, in a reply that has a length itself.
            let to = format!("/cache{}", uri.path());
            let reply = reply.status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, to);
            return reply.body(if method == Method::HEAD { Body::empty() } else { "moved".into() }).unwrap();
        }
        if bare {
            let body = if method == Method::HEAD { Body::empty() } else { chunked(bytes.clone()) };
            return reply.body(body).unwrap();
        }
        let reply = reply.header(ETAG, format!("\"{etag}\"")).header(CONTENT_LENGTH, bytes.len());
        return reply.body(if method == Method::HEAD { Body::empty() } else { bytes.clone().into() }).unwrap();
    }
    let to = format!("{}/blob/{file}?signature=secret", inner.storage.lock().unwrap_or_else(PoisonError::into_inner));
    if bare {
        return reply.status(StatusCode::FOUND).header(LOCATION, to).body(Body::empty()).unwrap();
    }
    reply
        .status(StatusCode::FOUND)
        .header("x-linked-etag", format!("\"{}\"", hex::encode(Sha256::digest(bytes))))
        .header("x-linked-size", bytes.len())
        .header(LOCATION, to)
        .body(Body::empty())
        .unwrap()
}

fn chunked(bytes: Bytes) -> Body {
    Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(bytes)]))
}

/// The storage: ranges, and the faults.
async fn blob(
    State(inner): State<Arc<Inner>>,
    Params(file): Params<String>,
    method: Method,
    headers: HeaderMap,
) -> Response<Body> {
    if method == Method::HEAD {
        *inner.leaked.lock().unwrap_or_else(PoisonError::into_inner) |= headers.contains_key(AUTHORIZATION);
        // As a storage that signs its URLs for `GET` only.
        return StatusCode::FORBIDDEN.into_response();
    }
    let range = headers.get(RANGE).map(|range| range.to_str().unwrap().to_owned());
    let line = format!("STORAGE {file} {}", range.as_deref().unwrap_or("all"));
    inner.asked.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    *inner.leaked.lock().unwrap_or_else(PoisonError::into_inner) |= headers.contains_key(AUTHORIZATION);
    let hold =
        inner.script.lock().unwrap_or_else(PoisonError::into_inner).hold.clone().filter(|(name, _)| *name == file);
    if let Some((_, gate)) = hold {
        gate.notified().await;
    }
    let whole = inner.files[&file].clone();
    let mut script = inner.script.lock().unwrap_or_else(PoisonError::into_inner);
    let from = range
        .filter(|_| !script.no_ranges)
        .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap());
    let mut part = whole[from.unwrap_or(0)..].to_vec();
    if let Some((_, times)) = script.spoil.as_mut().filter(|(name, times)| *name == file && *times > 0) {
        *times -= 1;
        part[0] ^= 1;
    }
    let cut = script.cut.take_if(|(name, _)| *name == file).map(|(_, after)| after);
    let bare = script.manner.is_bare();
    drop(script);
    let reply = Response::builder();
    let reply = if bare { reply } else { reply.header(CONTENT_LENGTH, part.len()) };
    let reply = match from {
        Some(from) => reply
            .status(StatusCode::PARTIAL_CONTENT)
            .header(CONTENT_RANGE, format!("bytes {from}-{}/{}", whole.len() - 1, whole.len())),
        None => reply.header(ETAG, HeaderValue::from_static("\"of-the-storage\"")),
    };
    match cut {
        None if bare => reply.body(chunked(part.into())).unwrap(),
        None => reply.body(part.into()).unwrap(),
        Some(after) => {
            part.truncate(after);
            // The connection breaks before the announced length was sent.
            let sent = futures::stream::iter([Ok(Bytes::from(part))]);
            let broken = futures::stream::once(async {
                // Waits until the sent bytes have left.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("pulled the plug"))
            });
            reply.body(Body::from_stream(sent.chain(broken))).unwrap()
        }
    }
}

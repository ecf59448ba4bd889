//! A fake of the Hugging Face hub, with faults that a test chooses. Its storage is another server, which records
//! whether a client sends it the token.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as Params, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio_util::task::AbortOnDropHandle;

use crate::support::{locked, serve};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const TOKEN: &str = "hf_hush";

/// The faults; each happens once if it does not say otherwise.
#[derive(Default)]
pub(crate) struct Script {
    /// The storage breaks off after this number of bytes of this file.
    pub(crate) cut: Option<(String, usize)>,
    /// The storage sends this file with one changed byte, this number of times.
    pub(crate) corrupt: Option<(String, usize)>,
    /// The storage does not support ranges.
    pub(crate) no_ranges: bool,
    /// Only clients with the token are let in.
    pub(crate) private: bool,
    /// This number of requests are answered with 503 first.
    pub(crate) down: usize,
    /// How it differs from the real hub.
    pub(crate) mirror_kind: MirrorKind,
    /// The storage waits for this before it sends this file.
    pub(crate) hold: Option<(String, Arc<tokio::sync::Notify>)>,
}

/// How a mirror answers requests for files.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MirrorKind {
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

impl MirrorKind {
    fn is_bare(self) -> bool {
        matches!(self, Self::Bare | Self::BareWithoutHead)
    }
}

#[derive(Default)]
struct Inner {
    files: HashMap<String, Bytes>,
    script: Mutex<Script>,
    /// `METHOD path range`, of both servers.
    requests: Mutex<Vec<String>>,
    storage: Mutex<String>,
    leaked: Mutex<bool>,
}

/// The two servers; they end when this is dropped.
pub(crate) struct FakeHub {
    pub(crate) url: String,
    inner: Arc<Inner>,
    _servers: [AbortOnDropHandle<()>; 2],
}

impl FakeHub {
    /// Serves the files of `folder` and its subfolders as every repository. If it has a folder `vision` or `text`, these
    /// are the repositories with that word in their name.
    pub(crate) async fn start(folder: &Path, script: Script) -> Self {
        let mut files = HashMap::new();
        let mut folders = vec![String::new()];
        while let Some(subfolder) = folders.pop() {
            for entry in std::fs::read_dir(folder.join(&subfolder)).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{subfolder}{}", path.file_name().unwrap().to_str().unwrap());
                if path.is_file() {
                    files.insert(name, Bytes::from(std::fs::read(&path).unwrap()));
                } else {
                    folders.push(format!("{name}/"));
                }
            }
        }
        let inner = Arc::new(Inner { files, script: Mutex::new(script), ..Inner::default() });
        let (storage, second) = serve(Router::new().route("/blob/{*file}", get(blob)).with_state(inner.clone())).await;
        *locked(&inner.storage) = storage;
        let hub = Router::new()
            .route("/api/models/{org}/{name}/revision/{revision}", get(listing))
            .route("/{org}/{name}/resolve/{commit}/{*file}", get(resolve).head(resolve))
            .route("/cache/{org}/{name}/resolve/{commit}/{*file}", get(resolve).head(resolve))
            .with_state(inner.clone());
        let (url, first) = serve(hub).await;
        Self { url, inner, _servers: [first, second] }
    }

    /// Returns the requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.inner.requests))
    }

    /// Whether a client sent the token to the storage.
    pub(crate) fn leaked(&self) -> bool {
        *locked(&self.inner.leaked)
    }
}

/// Returns the folder with the files of a repository.
fn place(files: &HashMap<String, Bytes>, name: &str) -> &'static str {
    let places = [("vision", "vision/"), ("text", "text/")];
    let has = |place: &str| files.keys().any(|file| file.starts_with(place));
    places.into_iter().find(|(word, place)| name.contains(word) && has(place)).map_or("", |(_, place)| place)
}

/// Records the request, and returns the reply of a fault, if any.
fn check_request(inner: &Inner, line: String, headers: &HeaderMap) -> Option<Response<Body>> {
    locked(&inner.requests).push(line);
    let mut script = locked(&inner.script);
    if script.down > 0 {
        script.down -= 1;
        return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let has_token = headers.get(AUTHORIZATION).is_some_and(|header| header == &format!("Bearer {TOKEN}"));
    (script.private && !has_token).then(|| StatusCode::UNAUTHORIZED.into_response())
}

async fn listing(
    State(inner): State<Arc<Inner>>,
    Params((org, name, revision)): Params<(String, String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    if let Some(refusal) = check_request(&inner, format!("GET {org}/{name} {revision}"), &headers) {
        return refusal;
    }
    if name == "missing" || !["main", COMMIT].contains(&revision.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let siblings: Vec<_> = inner
        .files
        .keys()
        .filter_map(|file| file.strip_prefix(place(&inner.files, &name)))
        .map(|file| serde_json::json!({"rfilename": file}))
        .collect();
    axum::Json(serde_json::json!({"id": "org/name", "sha": COMMIT, "siblings": siblings})).into_response()
}

/// Sends small files directly, and redirects to the storage for large ones (the towers).
async fn resolve(
    State(inner): State<Arc<Inner>>,
    Params((_org, name, commit, file)): Params<(String, String, String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    if let Some(refusal) = check_request(&inner, format!("{method} {file}"), &headers) {
        return refusal;
    }
    let Some(bytes) = inner.files.get(&format!("{}{file}", place(&inner.files, &name))).filter(|_| commit == COMMIT)
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let reply = Response::builder().header("x-repo-commit", COMMIT);
    let mirror_kind = locked(&inner.script).mirror_kind;
    let bare = mirror_kind.is_bare();
    if mirror_kind == MirrorKind::Circle {
        return reply.status(StatusCode::FOUND).header(LOCATION, uri.path()).body(Body::empty()).unwrap();
    }
    if matches!(mirror_kind, MirrorKind::WithoutHead | MirrorKind::BareWithoutHead) && method == Method::HEAD {
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
    let to = format!("{}/blob/{file}?signature=secret", locked(&inner.storage));
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
        *locked(&inner.leaked) |= headers.contains_key(AUTHORIZATION);
        // As a storage that signs its URLs for `GET` only.
        return StatusCode::FORBIDDEN.into_response();
    }
    let range = headers.get(RANGE).map(|range| range.to_str().unwrap().to_owned());
    let line = format!("STORAGE {file} {}", range.as_deref().unwrap_or("all"));
    locked(&inner.requests).push(line);
    *locked(&inner.leaked) |= headers.contains_key(AUTHORIZATION);
    let hold = locked(&inner.script).hold.clone().filter(|(name, _)| *name == file);
    if let Some((_, gate)) = hold {
        gate.notified().await;
    }
    let whole = inner.files[&file].clone();
    let mut script = locked(&inner.script);
    let from = range
        .filter(|_| !script.no_ranges)
        .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap());
    let mut part = whole[from.unwrap_or(0)..].to_vec();
    if let Some((_, times)) = script.corrupt.as_mut().filter(|(name, times)| *name == file && *times > 0) {
        *times -= 1;
        part[0] ^= 1;
    }
    let cut = script.cut.take_if(|(name, _)| *name == file).map(|(_, after)| after);
    let bare = script.mirror_kind.is_bare();
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
                Err(std::io::Error::other("connection closed"))
            });
            reply.body(Body::from_stream(sent.chain(broken))).unwrap()
        }
    }
}

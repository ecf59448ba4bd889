//! The page: plain files in `page/`, embedded in the binary. Knows nothing of what it shows: the files ask the API, as any
//! client does. In a debug build they are read from the source tree, so that one may edit and reload.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "src/web/page"]
struct Page;

/// Where the files lie, but for the page itself.
pub const PREFIX: &str = "/web/";

/// No script but our files, no style but our files, no request to another host, no frame around it: whatever a key or a
/// record's metadata holds, it is text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// `/` and the files below [`PREFIX`].
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(index)).route("/web/{*path}", get(file))
}

async fn index(headers: HeaderMap) -> Response {
    reply("index.html", &headers)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    reply(&path, &headers)
}

fn reply(path: &str, headers: &HeaderMap) -> Response {
    let Some((file, kind)) = Page::get(path).zip(kind(path)) else { return StatusCode::NOT_FOUND.into_response() };
    let etag = etag(&file);
    // Asked after each time: a new version of the service never meets an old file.
    let cached = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == etag) {
        return (StatusCode::NOT_MODIFIED, cached).into_response();
    }
    let said = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (cached, said, file.data).into_response()
}

fn etag(file: &EmbeddedFile) -> HeaderValue {
    let digest = hex::encode(&file.metadata.sha256_hash()[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

fn kind(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

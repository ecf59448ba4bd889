//! The search page: static files in `page/`, embedded in the binary. The page is a client of the API like any other. A debug
//! build reads the files from the source tree, so that a reload of the page shows an edit.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "src/web/page"]
struct PageFiles;

/// Path prefix of every file except the page itself.
pub const PREFIX: &str = "/web/";

/// Allows scripts, styles and requests of this origin only, and no frame around the page: object keys and metadata come from
/// a bucket and must never run as code.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                                       connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Routes of the page and its files.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(serve_index)).route("/web/{*path}", get(serve_file))
}

async fn serve_index(headers: HeaderMap) -> Response {
    file_response("index.html", &headers)
}

async fn serve_file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    file_response(&path, &headers)
}

fn file_response(path: &str, request_headers: &HeaderMap) -> Response {
    let Some((file, content_type)) = PageFiles::get(path).zip(content_type(path)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let etag = etag(&file);
    // Browsers revalidate each file, so that the files of two versions of the service never mix.
    let cache_headers = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if request_headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == etag) {
        return (StatusCode::NOT_MODIFIED, cache_headers).into_response();
    }
    let content_headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (cache_headers, content_headers, file.data).into_response()
}

fn etag(file: &EmbeddedFile) -> HeaderValue {
    let digest = hex::encode(&file.metadata.sha256_hash()[..16]);
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

fn content_type(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

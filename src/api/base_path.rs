//! The path under which a proxy publishes the service: the path of `GLIMPSE_PUBLIC_URL`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::auth::PublicUrl;

/// A path without a slash at its end, such as `/glimpse`; empty for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

impl BasePath {
    /// Returns the path of a public URL.
    pub fn new(url: Option<&PublicUrl>) -> Self {
        Self(url.map_or("", PublicUrl::path).into())
    }

    pub(in crate::api) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the path that a client requests for this path of the service.
    pub(in crate::api) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Removes the base path from a path and its query. Returns `None` if the path does not begin with it.
    fn strip<'a>(&self, path_and_query: &'a str) -> Option<&'a str> {
        path_and_query.strip_prefix(&*self.0).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    }
}

/// Answers requests with and without the base path, since some proxies remove it. The addresses in replies always have it.
pub(super) async fn answer_under(State(base): State<BasePath>, mut request: Request, next: Next) -> Response {
    let path_and_query = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    if let Some(rest) = base.strip(path_and_query) {
        if !rest.starts_with('/') {
            // The page needs the slash, because its addresses are relative.
            return Redirect::permanent(&base.join(&format!("/{rest}"))).into_response();
        }
        let mut parts = request.uri().clone().into_parts();
        if let Ok(rest) = rest.parse() {
            parts.path_and_query = Some(rest);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
    let mut response = next.run(request).await;
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    if let Some(path) = location.filter(|location| location.starts_with('/'))
        && let Ok(location) = HeaderValue::try_from(base.join(path))
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_are_removed() {
        let url = PublicUrl::try_from("https://photos.example/a/glimpse/".to_owned()).unwrap();
        let base = BasePath::new(Some(&url));
        for (path, expected) in [
            ("/a/glimpse/jobs?limit=1", Some("/jobs?limit=1")),
            ("/a/glimpse/", Some("/")),
            ("/a/glimpse", Some("")),
            ("/a/glimpse?q=x", Some("?q=x")),
            ("/a/glimpses/jobs", None),
            ("/jobs", None),
        ] {
            assert_eq!(base.strip(path), expected, "{path}");
        }
        assert_eq!(base.join("/jobs"), "/a/glimpse/jobs");
        assert!(BasePath::new(None).is_root());
    }
}

//! The HTTP API: routes, bodies, statuses and authentication. It uses the services (`jobs`, `search`, `images`), but
//! never a provider, a store or a bucket directly.

mod access_log;
mod auth;
mod backups;
mod base_path;
mod browse_error;
mod collections;
mod embeddings;
mod filter;
mod health;
mod http;
mod images;
mod internal;
mod jobs;
mod keys;
mod metrics;
mod mirrors;
mod objects;
mod openapi;
pub mod replies;
mod search;
mod settings;
mod sign_in;
mod traces;

use std::any::Any;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;

pub use auth::CookieName;
pub use base_path::BasePath;

use crate::backup::Backups;
use crate::browse::Browse;
use crate::collections::RecallReports;
use crate::domain::CollectionName;
use crate::health::Health;
use crate::images::Images;
use crate::jobs::Jobs;
use crate::jwt::Tokens;
use crate::keys::{Audit, Keys};
use crate::mirrors::Mirrors;
use crate::search::Search;
use crate::telemetry::traces::current_trace_id;
use crate::uploads::Uploads;
use crate::web;

pub use access_log::{AccessLog, AccessLogTarget};
pub use openapi::document;
pub use settings::ApiSettings;

use http::ApiError;
use http::extract::MAX_JSON_BYTES;
use http::request_timeout::RequestTimeout;
use http::{cors, encoding, parameters};

/// The state of the handlers. Each handler extracts only the parts that it needs.
#[derive(Clone, Debug, FromRef)]
pub struct AppState {
    /// The job service.
    pub jobs: Jobs,
    /// The mirrors.
    pub mirrors: Mirrors,
    /// Direct uploads.
    pub uploads: Uploads,
    /// The search service.
    pub search: Search,
    /// The indexed images.
    pub images: Images,
    /// Lists and counts of images.
    pub browse: Browse,
    /// The recall of searches.
    pub recall: RecallReports,
    /// The backups of the data folder.
    pub backups: Backups,
    /// The state of the service.
    pub health: Health,
    /// The API keys.
    pub keys: Keys,
    /// The audit log.
    pub audit: Audit,
    /// The tokens of an identity provider.
    pub tokens: Tokens,
    /// Defaults of requests.
    pub defaults: Defaults,
}

/// Values that requests use by default, and limits of requests.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// `VECTOR_DB_COLLECTION`
    pub collection: CollectionName,
    /// `K8S_NAMESPACE`
    pub namespace: Arc<str>,
    /// `IMAGE_MAX_SIZE_MB`, in bytes.
    pub max_image_bytes: usize,
    /// `S3_BUCKET`
    pub bucket: Arc<str>,
    /// The name of `IMAGE_EMBEDDING_PROVIDER`.
    pub provider: &'static str,
    /// The path of `GLIMPSE_PUBLIC_URL`.
    pub base_path: BasePath,
    /// The name of the cookies of sessions.
    pub cookie_name: CookieName,
    /// Whether the service itself has TLS (`GLIMPSE_TLS_CERT`).
    pub has_tls: bool,
}

#[cfg(test)]
impl Defaults {
    fn for_tests() -> Self {
        Self {
            collection: CollectionName::default(),
            namespace: Arc::from(""),
            max_image_bytes: 0,
            bucket: Arc::from(""),
            provider: "local",
            base_path: BasePath::default(),
            cookie_name: CookieName::new(None, 8080, false),
            has_tls: false,
        }
    }
}

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Returns the router with every route and every layer.
pub fn router(state: AppState, settings: &ApiSettings, access_log: Option<AccessLog>) -> Router {
    let (routes, _) = openapi::routes().split_for_parts();
    let (long_routes, _) = openapi::long_routes().split_for_parts();
    let timeout = settings.glimpse_request_timeout.duration();
    let limits = RequestTimeout { timeout, jobs: state.jobs.clone() };
    let (keys, audit, tokens) = (state.keys.clone(), state.audit.clone(), state.tokens.clone());
    let cookie_name = state.defaults.cookie_name.clone();
    let authenticator = Arc::new(auth::Authenticator::new(settings, keys, audit, tokens, cookie_name.clone()));
    let parameters = Arc::new(parameters::Parameters::new(&document()));
    let base_path = state.defaults.base_path.clone();
    let router = routes
        .layer(from_fn_with_state(limits.clone(), RequestTimeout::limit_request))
        .merge(internal::routes().layer(from_fn_with_state(limits.clone(), RequestTimeout::limit_request)))
        .merge(long_routes.layer(from_fn_with_state(limits.clone(), RequestTimeout::limit_body)))
        .merge(internal::long_routes().layer(from_fn_with_state(limits, RequestTimeout::limit_body)))
        .with_state(state)
        .merge(openapi::viewer(openapi::document_under(&base_path, &cookie_name)))
        .merge(web::routes())
        .fallback(|uri: Uri| async move { ApiError::no_route(uri.path()) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            ApiError::wrong_method(method.as_str(), uri.path())
        })
        .layer(from_fn_with_state(parameters, parameters::check_query))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .layer(Extension(authenticator.clone()))
        .layer(from_fn_with_state(authenticator, auth::authenticate))
        .layer(from_fn(encoding::refuse_invalid_utf8))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::new(auth::RefusalLog::default()), auth::log_refusals))
        .layer(from_fn(http::complete_errors))
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    let router = match cors::layer(&settings.glimpse_cors_origins.as_strings()) {
        Some(layer) => router.layer(layer),
        None => router,
    };
    let router = match access_log {
        Some(log) => router.layer(from_fn_with_state(log, access_log::log_request)),
        None => router,
    };
    let router = router
        .layer(from_fn(metrics::count))
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request| {
            let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
            let trace_id = current_trace_id();
            tracing::info_span!("http", method = %request.method(), path = auth::shortened_path(request.uri().path()), request.id = id, trace_id)
        }))
        .layer(from_fn(traces::trace_request))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID.clone()))
        .layer(SetRequestIdLayer::new(REQUEST_ID.clone(), MakeRequestUuid));
    if base_path.is_root() {
        return router;
    }
    // A router matches the path before its own layers can change it.
    Router::new().fallback_service(router).layer(from_fn_with_state(base_path, base_path::answer_under))
}

#[expect(clippy::needless_pass_by_value, reason = "the layer passes the panic by value")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("(no message)"), "a handler panicked");
    ApiError::internal().into_response()
}

//! The HTTP API: routes, bodies, statuses and authentication. It uses the services (`jobs`, `search`, `images`), but
//! never a provider, a store or a bucket directly.

mod authenticator;
mod collections;
mod common_replies;
mod disposition;
mod encoding;
mod error;
mod events;
mod extract;
mod health;
mod images;
mod internal;
mod jobs;
mod metrics;
mod openapi;
mod origin;
mod originals;
mod parameters;
mod ray;
mod refusals;
pub mod replies;
mod request_timeout;
mod search;
mod sessions;
mod settings;
mod status;

use std::any::Any;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;

use crate::domain::CollectionName;
use crate::images::Images;
use crate::jobs::Jobs;
use crate::search::Search;
use crate::web;

pub use openapi::document;
pub use settings::ApiSettings;

use request_timeout::RequestTimeout;

/// The state of the handlers. Each handler extracts only the parts that it needs.
#[derive(Clone, Debug, FromRef)]
pub struct AppState {
    /// The job service.
    pub jobs: Jobs,
    /// The search service.
    pub search: Search,
    /// The indexed images.
    pub images: Images,
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
}

/// Maximum size of a JSON body in bytes.
const MAX_JSON: usize = 64 * 1024;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Returns the router with every route and every layer.
pub fn router(state: AppState, settings: &ApiSettings) -> Router {
    let (routes, _) = openapi::routes().split_for_parts();
    let (long_routes, _) = openapi::long_routes().split_for_parts();
    let timeout = settings.glimpse_request_timeout.duration();
    let limits = RequestTimeout { timeout, jobs: state.jobs.clone() };
    let authenticator = Arc::new(authenticator::Authenticator::new(settings));
    let parameters = Arc::new(parameters::Parameters::new(&document()));
    let router = routes
        .layer(from_fn_with_state(limits.clone(), RequestTimeout::whole))
        .merge(internal::routes().layer(from_fn_with_state(limits.clone(), RequestTimeout::whole)))
        .merge(long_routes.layer(from_fn_with_state(limits.clone(), RequestTimeout::body)))
        .merge(internal::long_routes().layer(from_fn_with_state(limits, RequestTimeout::body)))
        .with_state(state)
        .merge(openapi::viewer(document()))
        .merge(web::routes())
        .fallback(|uri: Uri| async move { error::ApiError::no_route(uri.path()) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            error::ApiError::wrong_method(method.as_str(), uri.path())
        })
        .layer(from_fn_with_state(parameters, parameters::refuse_unknown))
        .layer(DefaultBodyLimit::max(MAX_JSON))
        .layer(Extension(authenticator.clone()))
        .layer(from_fn_with_state(authenticator, authenticator::guard))
        .layer(from_fn(encoding::check))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::new(refusals::Refusals::default()), error::finish))
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    let router = match cors(&settings.glimpse_cors_origins.as_strings()) {
        Some(layer) => router.layer(layer),
        None => router,
    };
    router
        .layer(from_fn(metrics::count))
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request| {
            let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
            tracing::info_span!("http", method = %request.method(), path = refusals::shortened_path(request.uri().path()), request.id = id)
        }))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID.clone()))
        .layer(SetRequestIdLayer::new(REQUEST_ID.clone(), MakeRequestUuid))
}

#[expect(clippy::needless_pass_by_value, reason = "the layer passes the panic by value")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = message.unwrap_or("(no message)"), "a handler panicked");
    error::ApiError::internal().into_response()
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let layer = CorsLayer::new()
        .allow_methods(AllowMethods::list([Method::GET, Method::POST, Method::DELETE]))
        .allow_headers(AllowHeaders::list([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            HeaderName::from_static("x-api-key"),
        ]))
        .expose_headers([header::LOCATION, header::RETRY_AFTER, REQUEST_ID.clone()]);
    (!origins.is_empty()).then(|| layer.allow_origin(AllowOrigin::list(origins)))
}

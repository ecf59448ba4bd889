//! `/objects`: direct uploads.

mod error;
mod form;
mod options;
mod put;
mod reply;

use axum::extract::DefaultBodyLimit;
use axum::routing::{post, put};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::AppState;

pub use reply::{ObjectReply, ObjectsReply, UploadResultReply};

#[derive(OpenApi)]
#[openapi(paths(put::put_object, form::post_objects))]
struct Paths;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    // The handlers limit the sizes of bodies themselves.
    OpenApiRouter::with_openapi(Paths::openapi())
        // A key can contain `/`, which a parameter of OpenAPI cannot say.
        .route("/objects/{*key}", put(put::put_object))
        .route("/objects", post(form::post_objects))
        .layer(DefaultBodyLimit::disable())
}

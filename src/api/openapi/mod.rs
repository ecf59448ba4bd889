//! The OpenAPI document, and the page that shows it.

mod common_replies;
mod form_defaults;

use axum::Router;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Server};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::auth::{COMMON_NAME, RoleTable};
use super::collections::{DuplicatesReply, ExportLine};
use super::{AppState, BasePath, CookieName};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Glimpse",
        description = "Indexes the images of an S3 bucket and finds them by text or by image.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Keys),
    // The lines of these replies are not JSON documents, so no operation refers to their schemas.
    components(schemas(ExportLine, DuplicatesReply)),
    security(("bearer" = []), ("api_key" = []), ("session" = [])),
    tags(
        (name = "jobs", description = "Index a bucket and follow the progress"),
        (name = "mirrors", description = "Keep a collection in agreement with a bucket"),
        (name = "search", description = "Find images"),
        (name = "images", description = "Indexed images, and uploads"),
        (name = "collections", description = "Collections: what they have, calibration, generations, export and import"),
        (name = "keys", description = "Keys with roles, and who has changed what"),
        (name = "backups", description = "Copy the data of the service while it runs, for operators"),
        (name = "health", description = "Status, metrics and sessions, for operators")
    )
)]
struct Header;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("an API key, or a token (JWT) of the identity provider"))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("the `event_token` of a mirror"))
            .build();
        components.add_security_scheme("event_token", SecurityScheme::Http(token));
        let header = ApiKey::Header(ApiKeyValue::new("X-API-Key"));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
        components.add_security_scheme("session", session_scheme(COMMON_NAME));
    }
}

fn session_scheme(cookie: &str) -> SecurityScheme {
    let description = "set by `POST /session`: the name ends with the port of the service or with a hash of its public URL, and begins \
                       with `__Host-` if the page was loaded over TLS and has no path";
    SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(cookie, description)))
}

/// Returns the routes with a timeout, and their descriptions.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Header::openapi())
        .merge(super::jobs::routes())
        .merge(super::mirrors::routes())
        .merge(super::objects::routes())
        .merge(super::search::routes())
        .merge(super::embeddings::routes())
        .merge(super::images::routes())
        .merge(super::collections::routes())
        .merge(super::backups::routes())
        .merge(super::health::routes())
        .merge(super::keys::routes())
        .merge(super::sign_in::routes())
        .merge(super::metrics::routes())
}

/// Returns the routes without a timeout, and their descriptions.
pub(super) fn long_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(super::collections::long_routes()).merge(super::backups::long_routes())
}

/// Returns the OpenAPI document, as served at `/openapi.json`.
pub fn document() -> Document {
    let mut document = routes().merge(long_routes()).split_for_parts().1;
    common_replies::add_common_replies(&mut document);
    form_defaults::remove_form_defaults(&mut document);
    RoleTable::new().describe(&mut document);
    document
}

/// Returns the document of a service that a proxy may publish under a path, with the name of its cookies.
pub(super) fn document_under(base_path: &BasePath, cookie: &CookieName) -> Document {
    let mut document = document();
    document.components.get_or_insert_default().add_security_scheme("session", session_scheme(cookie.as_str()));
    if !base_path.is_root() {
        document.servers = Some(vec![Server::new(base_path.join(""))]);
    }
    document
}

/// Serves `/openapi.json` and `/docs` from this binary. The page sends no request to another host.
pub(super) fn viewer(document: Document) -> Router {
    // By default the viewer sends the document to a validator on another host.
    // The address is relative, because a proxy can publish the service under a path.
    let config = Config::from("../openapi.json").validator_url("none");
    SwaggerUi::new("/docs").url("/openapi.json", document).config(config).into()
}

//! Removes default values that generated clients must not send.

use utoipa::openapi::schema::Schema;
use utoipa::openapi::{OpenApi, RefOr};

/// Removes the defaults of the query parameters of each operation that takes JSON in place of a form. Such an operation refuses
/// query parameters beside JSON, and generated clients send a parameter that has a default.
pub(super) fn remove_form_defaults(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let Some(operation) = &mut item.post else { continue };
        let takes = |kind: &str| operation.request_body.as_ref().is_some_and(|body| body.content.contains_key(kind));
        if !takes("application/json") || !takes("multipart/form-data") {
            continue;
        }
        for parameter in operation.parameters.iter_mut().flatten() {
            match &mut parameter.schema {
                Some(RefOr::T(Schema::Object(schema))) => schema.default = None,
                Some(RefOr::T(Schema::OneOf(schema))) => schema.default = None,
                _ => {}
            }
        }
    }
}

//! Adds the common error replies to each operation of the OpenAPI document. Replies that only one route has are
//! declared at its handler.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

/// Adds the common replies and their headers.
pub(super) fn add_common_replies(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let operations =
            [(&mut item.get, true), (&mut item.post, false), (&mut item.put, false), (&mut item.delete, false)];
        for (operation, safe) in operations {
            if let Some(operation) = operation {
                add_errors(operation, path, safe);
                add_headers(operation);
            }
        }
    }
}

fn add_errors(operation: &mut Operation, path: &str, safe: bool) {
    let health = operation.tags.iter().flatten().any(|tag| tag == "health");
    // Routes that need no key have an empty security requirement.
    let open = operation.security.is_some();
    let common = [
        (400, "the request cannot be read", true),
        (401, "the API key, the session or the token is missing or not valid", !open),
        (
            403,
            "a page of another site sent the request (`cross_origin`), the role of the key is too low (`role_too_low`), or the request is not allowed",
            true,
        ),
        (404, "an object that the path or the query names does not exist", path.contains('{')),
        (408, "the body of the request did not arrive in time", operation.request_body.is_some()),
        (413, "the body is too large", operation.request_body.is_some()),
        (415, "the content type of the body is not supported", operation.request_body.is_some()),
        (422, "a value or a parameter is not allowed; the message names it", true),
        (429, "too many requests or jobs; retry after the seconds in `Retry-After`", !health || !open),
        (500, "an internal error; search the log for the request id", true),
        (502, "a dependency failed or refused the request; the message names it", !health),
        (
            503,
            "a dependency or the service is not available; retry after the seconds in `Retry-After`",
            !health || !safe || !open,
        ),
        (504, "a dependency or the service did not answer in time", true),
    ];
    for (status, description, applies) in common {
        let replies = &mut operation.responses.responses;
        if applies {
            let reply = replies.entry(status.to_string()).or_insert_with(|| RefOr::T(error(description)));
            if let RefOr::T(reply) = reply
                && reply.description.is_empty()
            {
                description.clone_into(&mut reply.description);
            }
        }
    }
}

fn error(description: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorReply"))).build();
    ResponseBuilder::new().description(description).content("application/json", body).build()
}

/// Adds the header `Location` to 202, and `Retry-After` to 429 and 503.
fn add_headers(operation: &mut Operation) {
    for (status, reply) in &mut operation.responses.responses {
        let RefOr::T(reply) = reply else { continue };
        let (name, kind, description) = match status.as_str() {
            "202" => ("Location", Type::String, "the path of the job"),
            "429" | "503" => ("Retry-After", Type::Integer, "seconds after which a retry may succeed, if known"),
            _ => continue,
        };
        let header = HeaderBuilder::new().schema(ObjectBuilder::new().schema_type(kind)).description(Some(description));
        reply.headers.insert(name.to_owned(), header.build());
    }
}

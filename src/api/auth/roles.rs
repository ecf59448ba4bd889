//! Which role each operation needs: the only place that says so.
//!
//! `GET` includes `HEAD`. An operation that is not in these lists needs the role admin, so that a new one is not open by mistake; a
//! test compares the lists with the OpenAPI document and with `docs/api.md`.

use std::collections::{HashMap, HashSet};

use axum::http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;

use crate::api::{internal, mirrors};
use crate::domain::Role;
use crate::web;

/// Operations that need no key: health checks and the sign-in.
const PUBLIC: [&str; 5] = ["GET /healthz", "GET /readyz", "GET /session", "POST /session", "DELETE /session"];

/// Operations that only read.
const READ: [&str; 31] = [
    "GET /collections",
    "GET /collections/{name}",
    "GET /collections/{name}/calibration",
    "GET /collections/{name}/duplicates",
    "GET /collections/{name}/export",
    "GET /collections/{name}/facets",
    "GET /collections/{name}/generations",
    "GET /collections/{name}/removed-images",
    "GET /images",
    "GET /images/{id}",
    "GET /images/{id}/original",
    "GET /images/{id}/preview",
    "GET /images/{id}/thumbnail",
    "GET /jobs",
    "GET /jobs/{id}",
    "GET /jobs/{id}/failures",
    "GET /jobs/{id}/logs",
    "GET /jobs/{id}/throughput",
    "GET /metrics",
    "GET /mirrors",
    "GET /mirrors/{name}",
    "GET /ray/jobs/{id}",
    "GET /ray/jobs/{id}/logs",
    "GET /search/images",
    "POST /search/images",
    "GET /status",
    // It costs as much as a search, and changes nothing.
    "POST /v1/embeddings",
    // Not in the OpenAPI document: the document itself, and the page that shows it.
    "GET /docs",
    "GET /docs/",
    "GET /docs/{rest}",
    "GET /openapi.json",
];

/// Operations that change images and what indexes them. A verification is one of them, because no job starts meanwhile; with
/// `repair` it needs the role admin.
const WRITE: [&str; 21] = [
    "PUT /collections/{name}/calibration",
    "DELETE /collections/{name}/calibration",
    "DELETE /collections/{name}/removed-images/{id}",
    "POST /collections/{name}/verify",
    "DELETE /images/{id}",
    "POST /jobs/images",
    "DELETE /jobs/{id}",
    "POST /jobs/{id}/executor",
    "POST /jobs/{id}/pause",
    "POST /jobs/{id}/resume",
    "POST /jobs/{id}/retry",
    "PUT /mirrors/{name}",
    "DELETE /mirrors/{name}",
    "POST /mirrors/{name}/pause",
    "POST /mirrors/{name}/resume",
    "POST /mirrors/{name}/run",
    "POST /mirrors/{name}/token",
    "POST /objects",
    "PUT /objects/{key}",
    "POST /ray/jobs/images",
    "DELETE /ray/jobs/{id}",
];

/// Operations on whole collections, on records of the past, and on keys.
const ADMIN: [&str; 18] = [
    "GET /audit",
    "POST /backups",
    "GET /backups/{id}",
    "DELETE /backups/{id}",
    "GET /backups/{id}/files",
    "GET /backups/{id}/chunks",
    "GET /backups/{id}/content",
    "DELETE /collections/{name}",
    "DELETE /collections/{name}/generations/{number}",
    "POST /collections/{name}/adopt",
    "POST /collections/{name}/import",
    "POST /collections/{name}/rebuild",
    "POST /collections/{name}/rollback",
    "POST /collections/{name}/switch",
    "POST /jobs/prune",
    "GET /keys",
    "POST /keys",
    "DELETE /keys/{name}",
];

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Access {
    /// Nothing.
    Public,
    /// A token of its own, which its handler checks.
    OwnToken,
    /// A key, a session or a user with this role.
    Role(Role),
}

impl Access {
    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::OwnToken => "token",
            Self::Role(role) => role.as_str(),
        }
    }
}

/// The lists as a table.
#[derive(Debug)]
pub(in crate::api) struct RoleTable {
    operations: HashMap<String, Access>,
    paths: HashSet<&'static str>,
}

impl RoleTable {
    pub(in crate::api) fn new() -> Self {
        let lists = [
            (&PUBLIC[..], Access::Public),
            (&READ, Access::Role(Role::Read)),
            (&WRITE, Access::Role(Role::Write)),
            (&ADMIN, Access::Role(Role::Admin)),
        ];
        let rows = || lists.iter().flat_map(|(list, access)| list.iter().map(|operation| (*operation, *access)));
        Self {
            operations: rows().map(|(operation, access)| (operation.to_owned(), access)).collect(),
            paths: rows().filter_map(|(operation, _)| Some(operation.split_once(' ')?.1)).collect(),
        }
    }

    /// Returns what a request needs; `route` is the template of its route, if it has one.
    pub(in crate::api) fn access(&self, method: &Method, route: Option<&str>, path: &str) -> Access {
        if path == "/" || path.starts_with(web::PREFIX) {
            return Access::Public;
        }
        if path == mirrors::EVENTS_PATH || path.starts_with(internal::PREFIX) {
            return Access::OwnToken;
        }
        // The reply is 404, but not for clients without a key.
        let Some(route) = route else { return Access::Role(Role::Read) };
        // The last parameter of a route can contain `/`, which OpenAPI cannot say.
        let route = route.replace("{*", "{");
        let method = if method == Method::HEAD { &Method::GET } else { method };
        match self.operations.get(&format!("{method} {route}")) {
            Some(access) => *access,
            // The path does not have this method: the reply is 405.
            None if self.paths.contains(route.as_str()) => Access::Role(Role::Read),
            None => Access::Role(Role::Admin),
        }
    }

    /// Adds to each operation of the document which role it needs, as `x-role` and in its description.
    pub(in crate::api) fn describe(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in [
                (Method::GET, &mut item.get),
                (Method::POST, &mut item.post),
                (Method::PUT, &mut item.put),
                (Method::DELETE, &mut item.delete),
            ] {
                if let Some(operation) = operation {
                    add_role(operation, self.access(&method, Some(path), path));
                }
            }
        }
    }
}

/// Returns the route that begins with this path of a public URL: a request for it could not be distinguished from one for
/// another route under the public URL.
pub(in crate::api) fn conflicting_route(path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.is_empty() {
        return None;
    }
    let begins = |route: &&str| {
        let mut parts = route.split('/').skip(1);
        for segment in &segments {
            match parts.next() {
                Some(part) if part.starts_with("{*") => return true,
                Some(part) if part.starts_with('{') || part == *segment => {}
                _ => return false,
            }
        }
        true
    };
    let listed =
        PUBLIC.iter().chain(&READ).chain(&WRITE).chain(&ADMIN).filter_map(|operation| operation.split(' ').nth(1));
    // The last parameter of some of them can contain `/`.
    ["/web/{*path}", "/internal/{*path}", "/docs/{*path}", "/objects/{*key}", mirrors::EVENTS_PATH]
        .into_iter()
        .chain(listed)
        .find(begins)
}

fn add_role(operation: &mut Operation, access: Access) {
    operation.extensions.get_or_insert_default().insert("x-role".to_owned(), access.as_str().into());
    if let Access::Role(role) = access {
        let text = operation.description.take().map(|text| text + "\n\n").unwrap_or_default();
        operation.description = Some(format!("{text}Role: `{role}`."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(method: &str, route: Option<&str>, path: &str) -> Access {
        RoleTable::new().access(&method.parse().unwrap(), route, path)
    }

    #[test]
    fn each_request_needs_what_the_lists_say() {
        let role = Access::Role;
        for (method, route, path, expected) in [
            ("GET", Some("/jobs/{id}"), "/jobs/1", role(Role::Read)),
            ("HEAD", Some("/jobs/{id}"), "/jobs/1", role(Role::Read)),
            ("DELETE", Some("/jobs/{id}"), "/jobs/1", role(Role::Write)),
            ("PUT", Some("/objects/{*key}"), "/objects/a/b", role(Role::Write)),
            ("DELETE", Some("/collections/{name}"), "/collections/a", role(Role::Admin)),
            ("PATCH", Some("/jobs/{id}"), "/jobs/1", role(Role::Read)),
            ("GET", Some("/new-route"), "/new-route", role(Role::Admin)),
            ("GET", None, "/nowhere", role(Role::Read)),
            ("GET", Some("/healthz"), "/healthz", Access::Public),
            ("GET", None, "/healthz/x", role(Role::Read)),
            ("GET", Some("/"), "/", Access::Public),
            ("GET", Some("/web/{*path}"), "/web/main.js", Access::Public),
            ("POST", Some("/events/s3"), "/events/s3", Access::OwnToken),
            ("POST", Some("/internal/jobs/{id}/leases"), "/internal/jobs/1/leases", Access::OwnToken),
        ] {
            assert_eq!(access(method, route, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_public_path_must_not_be_the_beginning_of_a_route() {
        for (path, expected) in [
            ("/jobs", Some("/jobs")),
            ("/healthz", Some("/healthz")),
            ("/web", Some("/web/{*path}")),
            ("/web/a/b", Some("/web/{*path}")),
            ("/docs/a", Some("/docs/{*path}")),
            ("/events", Some("/events/s3")),
            ("/v1", Some("/v1/embeddings")),
            ("/internal/x/y", Some("/internal/{*path}")),
            ("/objects/a/b/c", Some("/objects/{*key}")),
            ("/collections/birds", Some("/collections/{name}")),
            ("/glimpse", None),
            ("/glimpse/jobs", None),
            ("/jobs2", None),
            ("/v1/photos", None),
            ("", None),
        ] {
            let found = conflicting_route(path);
            assert_eq!(found.is_some(), expected.is_some(), "{path}: {found:?}");
            assert!(
                found.zip(expected).is_none_or(|(found, expected)| found.starts_with(expected)),
                "{path}: {found:?}"
            );
        }
    }

    #[test]
    fn no_operation_has_two_roles() {
        let all = PUBLIC.len() + READ.len() + WRITE.len() + ADMIN.len();
        assert_eq!(RoleTable::new().operations.len(), all);
    }
}

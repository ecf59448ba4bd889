//! Refuses query parameters that the OpenAPI document does not allow. Otherwise a filter with a wrong name would be
//! ignored without a message.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn};

use super::allowed::{check_parameter, is_list, unknown_name};
use super::error::ApiError;

/// Parameters with this prefix are filters by metadata, on the paths [`META_FILTER_PATHS`].
pub(in crate::api) const META_PREFIX: &str = "meta.";

/// The paths whose operations accept `meta.KEY` for any key.
const META_FILTER_PATHS: [&str; 3] = ["/search/images", "/images", "/collections/{name}/facets"];

/// The query string as pairs, for parameters with names that are not fixed (`meta.KEY`).
pub(in crate::api) type Pairs = Vec<(String, String)>;

/// The query parameters of each operation of the OpenAPI document, with their schemas.
#[derive(Debug)]
pub(in crate::api) struct Parameters(HashMap<(Method, String), Vec<(String, Value)>>);

impl Parameters {
    pub(in crate::api) fn new(document: &OpenApi) -> Self {
        let mut all = HashMap::new();
        for (path, item) in &document.paths.paths {
            let methods = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in methods {
                if let Some(operation) = operation {
                    all.insert((method, path.clone()), query_parameters(operation));
                }
            }
        }
        Self(all)
    }

    fn check(&self, method: &Method, path: &str, query: &str) -> Result<(), ApiError> {
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        // The last parameter of a route can contain `/`, which OpenAPI cannot say.
        let Some(parameters) = self.0.get(&(method, path.replace("{*", "{"))) else { return Ok(()) };
        let mut given = HashSet::new();
        for (name, text) in url::form_urlencoded::parse(query.as_bytes()) {
            match parameters.iter().find(|(known, _)| *known == name) {
                Some((_, schema)) if is_list(schema) => {
                    check_parameter(&name, &text, &schema["items"])?;
                    continue;
                }
                Some((_, schema)) => check_parameter(&name, &text, schema)?,
                None if META_FILTER_PATHS.contains(&path) && name.starts_with(META_PREFIX) => continue,
                None => {
                    let known = parameters.iter().map(|(known, _)| known.as_str());
                    return Err(refused("unknown_parameter", unknown_name("query parameter", &name, known)));
                }
            }
            if given.contains(&name) {
                let name: String = name.chars().take(100).collect();
                return Err(refused("invalid_query", format!("{name}: is given more than once; send it once")));
            }
            given.insert(name);
        }
        Ok(())
    }
}

/// 422 for a query string.
fn refused(code: &str, message: String) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}

fn query_parameters(operation: &Operation) -> Vec<(String, Value)> {
    let parameters = operation.parameters.iter().flatten().filter(|one| one.parameter_in == ParameterIn::Query);
    parameters.map(|one| (one.name.clone(), serde_json::to_value(&one.schema).unwrap_or_default())).collect()
}

/// Middleware that refuses requests with a query parameter that is unknown, repeated or not valid.
pub(in crate::api) async fn check_query(
    State(parameters): State<Arc<Parameters>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if let (Some(path), Some(query)) = (path, request.uri().query())
        && let Err(refused) = parameters.check(request.method(), path, query)
    {
        return refused.into_response();
    }
    next.run(request).await
}

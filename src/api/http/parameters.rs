//! Refuses unknown query parameters: otherwise a filter with a wrong name would be ignored without a message.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn};

use super::error::ApiError;
use crate::domain::nearest;

/// Parameters with this prefix are filters by metadata, on the path [`META_FILTER_PATH`].
pub(in crate::api) const META_PREFIX: &str = "meta.";

/// The path whose operations accept `meta.KEY` for any key.
const META_FILTER_PATH: &str = "/search/images";

/// The names of the query parameters of each operation of the OpenAPI document.
#[derive(Debug)]
pub(in crate::api) struct Parameters(HashMap<(Method, String), Vec<String>>);

impl Parameters {
    pub(in crate::api) fn new(document: &OpenApi) -> Self {
        let mut names = HashMap::new();
        for (path, item) in &document.paths.paths {
            let methods = [(Method::GET, &item.get), (Method::POST, &item.post), (Method::DELETE, &item.delete)];
            for (method, operation) in methods {
                if let Some(operation) = operation {
                    names.insert((method, path.clone()), query_names(operation));
                }
            }
        }
        Self(names)
    }

    fn check(&self, method: &Method, path: &str, query: &str) -> Result<(), ApiError> {
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        let Some(names) = self.0.get(&(method, path.to_owned())) else { return Ok(()) };
        for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_meta_filter = path == META_FILTER_PATH && name.starts_with(META_PREFIX);
            if !is_meta_filter && !names.iter().any(|known| *known == name) {
                let names = names.iter().map(String::as_str);
                return Err(unknown_parameter(&name, nearest(&name, names.clone()), names));
            }
        }
        Ok(())
    }
}

/// 422 for a query parameter that the route does not have.
fn unknown_parameter<'a>(name: &str, nearest: Option<&str>, names: impl Iterator<Item = &'a str>) -> ApiError {
    let name: String = name.chars().take(100).collect();
    let names = names.collect::<Vec<_>>().join(", ");
    let advice = match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if names.is_empty() => "this route has no query parameters".to_owned(),
        None => format!("the parameters of this route are: {names}"),
    };
    let message = format!("the query parameter `{name}` is not known; {advice}");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_parameter", message)
}

fn query_names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    parameters.filter(|one| one.parameter_in == ParameterIn::Query).map(|one| one.name.clone()).collect()
}

/// Middleware that refuses requests with an unknown query parameter.
pub(in crate::api) async fn refuse_unknown(
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

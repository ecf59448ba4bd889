//! `GET /collections/{name}/facets`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::filter::{FilterParams, FilterRequest};
use crate::api::http::parameters::Pairs;
use crate::api::http::{ApiError, ErrorReply, Path, Query};
use crate::browse::{Browse, BrowseTarget};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(count_values))
}

/// The query parameters of a facet, without those of its filter.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FacetParams {
    /// What to count: `format`, `folder`, `camera`, `taken_month` (months of years), or `meta.KEY` for a metadata key.
    #[serde(default)]
    #[param(required = true, pattern = "^(format|folder|camera|taken_month|meta\\..+)$")]
    field: String,
    /// Number of values, 1 to 1,000.
    #[serde(default = "default_limit")]
    #[param(default = 20, minimum = 1, maximum = 1000)]
    limit: usize,
    /// The store; the first configured store by default. `all` is the first one that has the collection.
    provider: Option<String>,
}

fn default_limit() -> usize {
    20
}

/// The most frequent values of a field.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FacetsReply {
    /// The field.
    pub field: String,
    /// The store whose images were counted.
    pub provider: String,
    /// The values, the most frequent first; equally frequent ones in the order of their text.
    pub values: Vec<FacetValueReply>,
    /// Number of values in this reply.
    pub count: usize,
    /// Whether there may be other values. They are not more frequent.
    pub has_more: bool,
}

/// A value of a field.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FacetValueReply {
    /// The value.
    pub value: String,
    /// Number of images with this value.
    pub count: u64,
}

/// Count the images of a collection for each value of a field, among those that match the filter.
#[utoipa::path(get, path = "/collections/{name}/facets", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"), FacetParams, FilterParams),
    responses((status = 200, body = FacetsReply), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn count_values(
    State(browse): State<Browse>,
    Path(name): Path<String>,
    Query(params): Query<FacetParams>,
    Query(pairs): Query<Pairs>,
) -> Result<axum::Json<FacetsReply>, ApiError> {
    let FacetParams { field, limit, provider } = params;
    let filter = FilterRequest::from_pairs(&pairs)?.into_filter()?;
    let target = BrowseTarget { collection: name, provider, filter };
    let (provider, facets) = browse.facets(target, &field, limit).await?;
    let values: Vec<_> = facets.values.into_iter().map(|(value, count)| FacetValueReply { value, count }).collect();
    let (count, has_more) = (values.len(), facets.has_more);
    Ok(axum::Json(FacetsReply { field, provider: provider.to_owned(), values, count, has_more }))
}

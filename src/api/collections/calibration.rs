//! `/collections/{name}/calibration`.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::bounded_json::first_objects;
use crate::api::http::{ApiError, ErrorReply, Path, parse_described, read_up_to};
use crate::domain::UnknownLanguage;
use crate::search::{LabelledQuery, MAX_LABELLED_QUERIES, Refit, Search};

/// Maximum size of the body: 33,000 answers with long keys.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_calibration, delete_calibration))
}

/// Routes without a timeout: the time depends on the number of queries.
pub(super) fn long_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(put_calibration))
}

/// Queries with known answers, for the relevance of a collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CalibrationRequest {
    /// At least 20 queries. Among their first hits must be at least 10 right answers and 10 other images.
    #[serde(deserialize_with = "first_queries")]
    #[schema(inline, min_items = 20, max_items = 1000)]
    pub queries: Vec<LabelledQueryRequest>,
}

/// A query with all its right answers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelledQueryRequest {
    /// The text; 1 to 1,000 characters after trimming.
    #[schema(max_length = 1000)]
    pub text: String,
    /// Language of the text, for models that need to know it (nllb-clip), as in a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "de", pattern = "^([A-Za-z]{2,3}([_-][A-Za-z0-9]{1,8})*)?$")]
    pub lang: Option<String>,
    /// The keys of the images that are right answers, or the ends of the keys: `b/cat.jpg` means `x/b/cat.jpg`. Empty for
    /// a text that fits no image.
    pub answers: Vec<String>,
}

impl LabelledQueryRequest {
    fn labelled(self, position: usize) -> Result<LabelledQuery, ApiError> {
        let unknown = |error: UnknownLanguage| {
            let message = format!("queries[{position}].lang: {error}");
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_queries", message)
        };
        let language = self.lang.as_deref().filter(|text| !text.is_empty());
        let language = language.map(|text| text.parse().map_err(unknown)).transpose()?;
        Ok(LabelledQuery { text: self.text, language, answers: self.answers })
    }
}

/// Reads queries. One more than the maximum is read, so that a longer list is refused.
fn first_queries<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<LabelledQueryRequest>, D::Error> {
    first_objects::<{ MAX_LABELLED_QUERIES + 1 }, LabelledQueryRequest, D>(json)
}

/// How the relevance of a collection is calibrated.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CalibrationReply {
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// `model`: by the calibration of the model; `answers`: also by the answers of users.
    #[schema(value_type = CalibrationSource)]
    pub source: String,
    /// The fit to the answers of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<FitReply>,
}

/// The values of `source`, for the OpenAPI document.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the values to readers of the API")]
enum CalibrationSource {
    Model,
    Answers,
}

/// A fit of the relevance to the answers of users.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FitReply {
    /// The name of the vector space. The fit is not used for another one.
    pub space: String,
    /// `relevance = 1 / (1 + exp(-(slope * x + intercept)))`, with `x = ln(r / (1 - r))` of the model's own relevance `r`.
    pub slope: f64,
    /// See `slope`.
    pub intercept: f64,
    /// Number of queries.
    pub queries: usize,
    /// Number of their first hits that were compared with the answers.
    pub hits: usize,
    /// Number of these hits that are right answers.
    pub right: usize,
    /// Mean difference of relevance and share of right answers, with the model's own relevance (expected calibration
    /// error, 0 to 1).
    pub error_before: f64,
    /// The same with the fit, for queries that were left out of it (five-fold cross-validation).
    pub error_after: f64,
    /// Number of queries with a good match (no `no_good_match`), with the model's own relevance. Missing in a fit of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_matches_before: Option<usize>,
    /// The same with the fit. If it is much smaller, the queries probably do not list all their right answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good_matches_after: Option<usize>,
    /// When it was measured.
    #[schema(format = DateTime)]
    pub measured_at: String,
}

impl CalibrationReply {
    fn new(collection: &impl ToString, refit: Option<Refit>) -> Self {
        let source = if refit.is_some() { "answers" } else { "model" };
        let fit = refit.map(|refit| FitReply {
            space: refit.space.name(),
            slope: refit.platt.slope,
            intercept: refit.platt.intercept,
            queries: refit.queries,
            hits: refit.hits,
            right: refit.right,
            error_before: refit.error_before,
            error_after: refit.error_after,
            good_matches_before: refit.good_matches.map(|matches| matches.before),
            good_matches_after: refit.good_matches.map(|matches| matches.after),
            measured_at: refit.measured_at.to_string(),
        });
        Self { collection: collection.to_string(), source: source.to_owned(), fit }
    }
}

/// Return how the relevance of a collection is calibrated.
#[utoipa::path(get, path = "/collections/{name}/calibration", tag = "collections", params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    responses((status = 200, body = CalibrationReply), (status = 404, body = ErrorReply)))]
async fn get_calibration(
    State(search): State<Search>,
    Path(name): Path<String>,
) -> Result<axum::Json<CalibrationReply>, ApiError> {
    let (collection, refit) = search.stored_refit(&name).await?;
    Ok(axum::Json(CalibrationReply::new(&collection, refit)))
}

/// Fit the relevance of a collection to your own answers.
///
/// Searches for each query, compares the first hits with the answers, and fits the relevance of text searches to them. The
/// fit replaces an earlier one, stays until it is deleted or the collection is dropped, and is used in every store.
#[utoipa::path(put, path = "/collections/{name}/calibration", tag = "collections", params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    request_body = CalibrationRequest,
    responses((status = 200, body = CalibrationReply), (status = 400, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply)))]
async fn put_calibration(
    State(search): State<Search>,
    Path(name): Path<String>,
    request: Request,
) -> Result<axum::Json<CalibrationReply>, ApiError> {
    let permit = search.admit_refit()?;
    let (headers, body) = read_up_to(request, MAX_BODY_BYTES, &mut ()).await?;
    let request: CalibrationRequest = parse_described(&headers, &body)?;
    drop(body);
    let queries = request.queries.into_iter().enumerate().map(|(position, query)| query.labelled(position));
    let refit = search.refit(permit, &name, queries.collect::<Result<_, _>>()?).await?;
    Ok(axum::Json(CalibrationReply::new(&name, Some(refit))))
}

/// Delete the fit of a collection: the calibration of the model is used again.
#[utoipa::path(delete, path = "/collections/{name}/calibration", tag = "collections", params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    responses((status = 200, body = CalibrationReply), (status = 404, body = ErrorReply)))]
async fn delete_calibration(
    State(search): State<Search>,
    Path(name): Path<String>,
) -> Result<axum::Json<CalibrationReply>, ApiError> {
    let collection = search.remove_refit(&name).await?;
    Ok(axum::Json(CalibrationReply::new(&collection, None)))
}

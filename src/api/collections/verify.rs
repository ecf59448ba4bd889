//! `/collections/{name}/verify`.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::auth::Identity;
use crate::api::http::bounded_json::or_default;
use crate::api::http::whole_number::optional_whole_number;
use crate::api::http::{ApiError, ErrorReply, MaybeJson, Path};
use crate::collections::{Difference, DifferenceKind, MAX_SAMPLED, VerifyOptions, VerifyReport};
use crate::domain::Role;
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(verify_collection))
}

/// The options of the check. Every field is optional, and so is the body.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyRequest {
    /// Repair differences: copy records from a store that has them, without embedding images again.
    #[serde(deserialize_with = "or_default")]
    #[schema(value_type = Option<bool>)]
    pub repair: bool,
    /// Number of records to read and compare, of those that every store has; 0 to 1,000,000.
    #[serde(deserialize_with = "read_sample")]
    #[schema(value_type = Option<u64>, maximum = 1_000_000)]
    pub sample: u64,
}

impl Default for VerifyRequest {
    fn default() -> Self {
        Self { repair: false, sample: 1_000 }
    }
}

fn read_sample<'de, D: Deserializer<'de>>(json: D) -> Result<u64, D::Error> {
    Ok(optional_whole_number(json)?.unwrap_or_else(|| VerifyRequest::default().sample))
}

/// The result of the check.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerifyReply {
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// Whether there are no differences, or all of them were repaired.
    pub agrees: bool,
    /// Number of images in each store.
    pub stores: BTreeMap<String, u64>,
    /// Number of objects in the ledger.
    pub ledger: u64,
    /// Number of records that were read and compared.
    pub compared: u64,
    /// Number of differences.
    pub total: u64,
    /// Number of repaired differences.
    pub repaired: u64,
    /// The first 1,000 differences.
    pub differences: Vec<DifferenceReply>,
}

/// One difference.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DifferenceReply {
    /// The id of the image.
    #[schema(format = Uuid)]
    pub id: String,
    /// The URI of the image: `s3://bucket/key`.
    pub s3_uri: Option<String>,
    /// `missing`: these stores lack a record that another store has. `unequal`: their vector or payload differs from
    /// that of the newest record. `unknown`: they have a record that is not in the ledger. `lost`: the record is in the
    /// ledger, but in no store; after the repair, the next job indexes the image again.
    #[schema(value_type = DifferenceKind)]
    pub kind: String,
    /// The stores that have the difference.
    pub stores: Vec<String>,
    /// Whether the difference was repaired.
    pub repaired: bool,
}

impl From<VerifyReport> for VerifyReply {
    fn from(report: VerifyReport) -> Self {
        Self {
            collection: report.collection.to_string(),
            agrees: report.total == report.repaired,
            stores: report.stores.into_iter().map(|(store, count)| (store.to_owned(), count)).collect(),
            ledger: report.ledger,
            compared: report.compared,
            total: report.total,
            repaired: report.repaired,
            differences: report.differences.into_iter().map(DifferenceReply::from).collect(),
        }
    }
}

impl From<Difference> for DifferenceReply {
    fn from(difference: Difference) -> Self {
        let kind = match difference.kind {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Unequal => "unequal",
            DifferenceKind::Unknown => "unknown",
            DifferenceKind::Lost => "lost",
        };
        Self {
            id: difference.id.to_string(),
            s3_uri: difference.uri.map(|uri| uri.to_string()),
            kind: kind.to_owned(),
            stores: difference.stores.into_iter().map(str::to_owned).collect(),
            repaired: difference.repaired,
        }
    }
}

/// Check whether the stores and the ledger agree.
///
/// Compares every id, and the vector and the payload of a sample of the records. With `repair`, records that differ are
/// copied from a store that has them; this needs the role `admin`. This can take long for a large collection. Meanwhile no job starts on it.
#[utoipa::path(post, path = "/collections/{name}/verify", tag = "collections", params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    request_body = Option<VerifyRequest>,
    responses((status = 200, body = VerifyReply), (status = 400, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn verify_collection(
    State(jobs): State<Jobs>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    MaybeJson(request): MaybeJson<VerifyRequest>,
) -> Result<axum::Json<VerifyReply>, ApiError> {
    let VerifyRequest { repair, sample } = request;
    if repair {
        identity.require(Role::Admin)?;
    }
    if sample > MAX_SAMPLED {
        return Err(ApiError::invalid(
            "sample",
            format!("must be a whole number from 0 to {MAX_SAMPLED}, not {sample}"),
        ));
    }
    Ok(axum::Json(jobs.verify(&name, VerifyOptions { repair, sample }).await?.into()))
}

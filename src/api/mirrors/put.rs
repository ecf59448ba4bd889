//! `PUT /mirrors/{name}`

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::reply::MirrorReply;
use crate::api::http::bounded_json::or_default;
use crate::api::http::whole_number::optional_whole_number;
use crate::api::http::{ApiError, ErrorReply, Json, Path};
use crate::api::jobs::parse_executor;
use crate::api::{AppState, Defaults};
use crate::domain::{CollectionName, Executor, MirrorSpec, TopicArn};
use crate::jobs::JobsError;
use crate::mirrors::Mirrors;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(put_mirror))
}

/// The fields of a mirror. Those with the names of fields of `POST /jobs/images` mean the same for each run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorRequest {
    /// The bucket; `S3_BUCKET` by default. It must be `S3_BUCKET` or one of `S3_ALLOWED_BUCKETS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    pub s3_bucket: Option<String>,
    /// Only keys that start with this prefix; all keys by default.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub s3_prefix: String,
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: Option<String>,
    /// When runs start: a cron expression with five fields (minute, hour, day of month, month, day of week), such as
    /// `0,30 * * * *`, or `@hourly`. A run starts up to 60 s later, and at most a tenth of the time to the next run.
    /// Without it, only events and `POST /mirrors/{name}/run` keep the collection up to date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub schedule: Option<String>,
    /// The IANA time zone of the schedule, such as `Europe/Berlin`; `UTC` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub timezone: Option<String>,
    /// Also remove the images that are no longer in the bucket.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<bool>)]
    pub sync: bool,
    /// With `sync`: if a run would remove more than this percentage of the images, it removes nothing and the mirror is
    /// stopped. 0 to 100; 10 by default.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole_number")]
    #[schema(maximum = 100)]
    pub max_delete_percent: Option<u8>,
    /// Globs of keys that are not indexed, instead of those of `S3_EXCLUDE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// The key of a metadata file in the same bucket, which each run joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"\.(csv|ndjson|jsonl)$")]
    pub metadata_key: Option<String>,
    /// What executes the runs: `local` (the default), `workers` or `ray`. Events are always processed by the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Executor>)]
    pub executor: Option<String>,
    /// Whether events of the bucket are processed (`POST /events/s3`); `true` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<bool>,
    /// The ARN of a topic of SNS, such as `arn:aws:sns:eu-central-1:123456789012:images`: its messages are accepted without the
    /// event token if their signature is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 350)]
    pub sns_topic_arn: Option<String>,
}

/// Create a mirror, or replace the fields of an existing one.
///
/// A new mirror, or one with another bucket, prefix or collection than before, has a first run at once. The reply to a new
/// mirror has the token of its events, which is returned only once.
#[utoipa::path(put, path = "/mirrors/{name}", tag = "mirrors", request_body = MirrorRequest,
    params(("name" = String, Path, description = "1 to 64 letters, digits, `_` or `-`, the first a letter or a digit")),
    responses((status = 200, body = MirrorReply), (status = 201, body = MirrorReply), (status = 400, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 409, body = ErrorReply), (status = 422, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn put_mirror(
    State(mirrors): State<Mirrors>,
    State(defaults): State<Defaults>,
    Path(name): Path<String>,
    Json(request): Json<MirrorRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], axum::Json<MirrorReply>), ApiError> {
    let collection = match request.collection {
        Some(name) => CollectionName::parse(&name).map_err(JobsError::from)?,
        None => defaults.collection,
    };
    let sns_topic_arn = request.sns_topic_arn.as_deref().map(TopicArn::parse).transpose();
    let sns_topic_arn = sns_topic_arn.map_err(|error| ApiError::invalid("sns_topic_arn", error.to_string()))?;
    let spec = MirrorSpec {
        bucket: request.s3_bucket.unwrap_or_else(|| defaults.bucket.to_string()),
        prefix: request.s3_prefix,
        collection,
        schedule: request.schedule,
        timezone: request.timezone.unwrap_or_else(|| "UTC".to_owned()),
        sync: request.sync,
        max_delete_percent: request.max_delete_percent,
        exclude: request.exclude,
        metadata_key: request.metadata_key,
        executor: parse_executor(request.executor.as_deref())?,
        events: request.events.unwrap_or(true),
        sns_topic_arn,
    };
    let stored = mirrors.put(&name, spec).await?;
    let status = if stored.event_token.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let event_token = stored.event_token.map(|token| token.reveal().to_owned());
    let reply = MirrorReply { event_token, ..MirrorReply::from(stored.view) };
    Ok((status, [(header::LOCATION, format!("/mirrors/{name}"))], axum::Json(reply)))
}

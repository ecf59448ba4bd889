//! `/jobs/images` and `/jobs/{id}/retry`.

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::http::bounded_json::or_default;
use crate::api::http::whole_number::{MAX_WHOLE_NUMBER, optional_whole_number, whole_number};
use crate::api::http::{ApiError, ErrorReply, Json, Path};
use crate::api::{AppState, Defaults};
use crate::domain::{Executor, JobRecord, Refresh};
use crate::jobs::{Jobs, Submission};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(submit_images_job)).routes(routes!(retry_job))
}

/// A new job.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The bucket; `S3_BUCKET` by default. It must be `S3_BUCKET` or one of `S3_ALLOWED_BUCKETS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    pub s3_bucket: Option<String>,
    /// Index only keys that start with this prefix; all keys by default.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub s3_prefix: String,
    /// The collection for the vectors; `VECTOR_DB_COLLECTION` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: Option<String>,
    /// Index at most this many new or changed images.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole_number")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub image_max_items: Option<u64>,
    /// Accepted for compatibility with older clients, but without effect: the bucket decides the size of the pages.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole_number")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub image_page_size: Option<u64>,
    /// Also read keys without an image extension; the first bytes of the object decide whether it is an image.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<bool>)]
    pub any_extension: bool,
    /// The job fails if more images than this fail: a number, or a percentage of the processed images, such as `"5%"`.
    /// A percentage is checked after 100 images. No limit by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = max_failures_schema)]
    pub max_failures: Option<MaxFailures>,
    /// The key of a CSV or NDJSON object in the same bucket (`.csv`, `.ndjson`, `.jsonl`; at most 256 MB) with a column
    /// `s3_key`. The other columns are stored with the record of that image, and can be searched with
    /// `meta.COLUMN=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"\.(csv|ndjson|jsonl)$")]
    pub metadata_key: Option<String>,
    /// What runs the job: `local` (the service itself, the default), `workers` (`glimpse worker` processes that you
    /// start) or `ray` (workers that the service starts on the cluster of `RAY_ADDRESS`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Executor>)]
    pub executor: Option<String>,
    /// Also remove from every store the images of this bucket and prefix that are no longer in the bucket. It cannot be
    /// combined with `image_max_items`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<bool>)]
    pub sync: bool,
    /// Globs of keys that are not indexed, instead of those of `S3_EXCLUDE`; an empty list or `["none"]` excludes nothing. A pattern
    /// without `/` matches the name of a file or folder at any depth. A pattern that ends with `/` matches only
    /// folders. A pattern with `/` elsewhere is matched from the beginning of the key. With `sync`, records of excluded
    /// keys are removed. At most 100 patterns of at most 256 bytes each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// `facts`: index nothing, but read the images again whose record is of an earlier version, and complete these records.
    /// Their vectors and metadata stay; `counts.done` is their number. It cannot be combined with `sync` and
    /// `metadata_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Refresh>)]
    pub refresh: Option<String>,
    /// Only report what would be done (`plan`); change nothing.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<bool>)]
    pub dry_run: bool,
    /// With `sync`: the job fails and removes nothing if more than this percentage of the indexed images of the prefix
    /// is no longer in the bucket. 0 to 100; 10 by default.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole_number")]
    #[schema(maximum = 100)]
    pub max_delete_percent: Option<u8>,
}

/// Returns the schema: a whole number, or a percentage from 0 to 100.
fn max_failures_schema() -> impl Into<RefOr<Schema>> {
    let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(MAX_WHOLE_NUMBER));
    let share = ObjectBuilder::new()
        .title(Some("a percentage from 0% to 100%"))
        .schema_type(Type::String)
        .pattern(Some(r"^(100|[0-9]{1,2}(\.[0-9]{1,2})?)%$"));
    OneOfBuilder::new().item(count).item(share).item(ObjectBuilder::new().schema_type(Type::Null))
}

/// A number of images, or a percentage such as `"5%"`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum MaxFailures {
    /// A number of images.
    Count(#[serde(deserialize_with = "whole_number")] u64),
    /// A percentage of the processed images.
    Share(String),
}

/// A job that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SubmitReply {
    /// The id of the job; its status is at `/jobs/{job_id}`.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// `submitted`
    pub status: String,
    /// `K8S_NAMESPACE`
    pub namespace: String,
    /// The bucket.
    pub s3_bucket: String,
    /// The prefix.
    pub s3_prefix: String,
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The value of the request.
    pub image_max_items: Option<u64>,
    /// When the job was submitted, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub submitted_at: String,
    /// With the executor `workers`: the token of the workers (`GLIMPSE_WORKER_TOKEN`). It is returned only once, and is
    /// valid until the end of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_token: Option<String>,
}

/// Index the images of a bucket.
///
/// The job runs in the background: follow it at the `Location` of the reply. Images that the collection already has,
/// and that have not changed, are not read again.
#[utoipa::path(post, path = "/jobs/images", tag = "jobs", request_body = SubmitRequest,
    responses((status = 202, body = SubmitReply), (status = 400, body = ErrorReply), (status = 403, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn submit_images_job(
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Json(request): Json<SubmitRequest>,
) -> Result<Accepted, ApiError> {
    let executor = parse_executor(request.executor.as_deref())?;
    let job = jobs
        .submit(Submission {
            bucket: request.s3_bucket,
            prefix: request.s3_prefix,
            collection: request.collection.unwrap_or_else(|| defaults.collection.to_string()),
            max_items: request.image_max_items,
            any_extension: request.any_extension,
            max_failures: request.max_failures.map(|limit| match limit {
                MaxFailures::Count(max) => max.to_string(),
                MaxFailures::Share(share) => share,
            }),
            metadata_key: request.metadata_key,
            executor,
            sync: request.sync,
            refresh: parse_refresh(request.refresh.as_deref())?,
            dry_run: request.dry_run,
            max_delete_percent: request.max_delete_percent,
            exclude: request.exclude,
            mirror: None,
        })
        .await?;
    accepted_reply(&jobs, job, &defaults).await
}

pub(in crate::api) type Accepted = (StatusCode, [(HeaderName, String); 1], axum::Json<SubmitReply>);

pub(in crate::api) async fn accepted_reply(
    jobs: &Jobs,
    job: JobRecord,
    defaults: &Defaults,
) -> Result<Accepted, ApiError> {
    let worker_token = match job.spec.executor {
        Executor::Local | Executor::Ray => None,
        Executor::Workers => Some(jobs.new_worker_token(job.id).await?.reveal().to_owned()),
    };
    let reply = SubmitReply {
        job_id: job.id.to_string(),
        status: "submitted".to_owned(),
        namespace: defaults.namespace.to_string(),
        collection: job.spec.visible_collection().to_string(),
        s3_bucket: job.spec.bucket,
        s3_prefix: job.spec.prefix,
        image_max_items: job.spec.max_items,
        submitted_at: job.submitted_at.to_string(),
        worker_token,
    };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/jobs/{}", job.id))], axum::Json(reply)))
}

/// Index the failed images of a finished job again, in a new job with the same options.
///
/// If the job failed before it was complete (`FAILED`, with images left), the new job continues it: it does the rest of
/// the work, including the listing.
#[utoipa::path(post, path = "/jobs/{id}/retry", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 202, body = SubmitReply), (status = 403, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn retry_job(
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
) -> Result<Accepted, ApiError> {
    let job = jobs.retry(&id).await?;
    accepted_reply(&jobs, job, &defaults).await
}

pub(in crate::api) fn parse_executor(name: Option<&str>) -> Result<Executor, ApiError> {
    match name {
        None => Ok(Executor::default()),
        Some(name) => Executor::from_name(name)
            .ok_or_else(|| ApiError::invalid("executor", format!("must be `local`, `workers` or `ray`, not `{name}`"))),
    }
}

fn parse_refresh(name: Option<&str>) -> Result<Option<Refresh>, ApiError> {
    let parse = |name: &str| {
        Refresh::from_name(name).ok_or_else(|| ApiError::invalid("refresh", format!("must be `facts`, not `{name}`")))
    };
    name.map(parse).transpose()
}

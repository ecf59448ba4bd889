//! Bodies that submit jobs, and that forget them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};

use super::number::{MAX_WHOLE, maybe_whole, whole};
use crate::domain::Executor;

/// What to index.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The bucket; `S3_BUCKET` where it is left out. Must be one of `S3_ALLOWED_BUCKETS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_bucket: Option<String>,
    /// Only keys that begin so; all where it is left out.
    #[serde(default)]
    pub s3_prefix: String,
    /// Where vectors go; `VECTOR_DB_COLLECTION` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: Option<String>,
    /// Index no more than this many new or changed images.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_whole")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub image_max_items: Option<u64>,
    /// Accepted for the sake of older callers; pages are as large as the bucket gives them.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_whole")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub image_page_size: Option<u64>,
    /// Take keys of any extension: the magic bytes decide.
    #[serde(default)]
    pub any_extension: bool,
    /// More failed images than this fail the job: a number, or a share of those dealt with, such as `"5%"`, which is told
    /// from 100 images on; no limit where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = max_failures_schema)]
    pub max_failures: Option<MaxFailures>,
    /// A CSV or NDJSON object in the same bucket (`.csv`, `.ndjson`, `.jsonl`; 256 MB at most) with a column `s3_key`: its other
    /// columns are kept with that image's record and found by `meta.COLUMN=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"\.(csv|ndjson|jsonl)$")]
    pub metadata_key: Option<String>,
    /// Who works: `local` (the service itself, where it is left out), `workers` (`glimpse worker`, wherever it runs) or `ray`
    /// (workers that the service places on the cluster of `RAY_ADDRESS`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Executor>)]
    pub executor: Option<String>,
    /// Remove from every store what this bucket and prefix have in the collection and what has vanished from the bucket. Not
    /// together with `image_max_items`.
    #[serde(default)]
    pub sync: bool,
    /// Globs of keys that are not indexed, in place of those of `S3_EXCLUDE`; an empty list excludes nothing. A pattern without `/`
    /// matches the name of a file or folder at any depth, one that ends in `/` folders only, one with a `/` elsewhere from the
    /// beginning of the key. With `sync`, records of excluded keys are removed. At most 100 patterns of 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// Say what would be done (`plan`), and touch nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// With `sync`: where more than this share of what the prefix has in the collection has vanished, the job fails and
    /// removes nothing. 0 to 100; 10 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_whole")]
    #[schema(maximum = 100)]
    pub max_delete_percent: Option<u8>,
}

/// What to index on Ray: the original's body.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RaySubmitRequest {
    /// The bucket. Must be one of `S3_ALLOWED_BUCKETS`.
    pub s3_bucket: String,
    /// Only keys that begin so; all where it is left out.
    #[serde(default)]
    pub s3_prefix: String,
    /// Where vectors go.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// Index no more than this many new or changed images.
    #[serde(default, deserialize_with = "maybe_whole")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub image_max_items: Option<u64>,
    /// Accepted for the sake of older callers; pages are as large as the bucket gives them.
    #[serde(default, deserialize_with = "maybe_whole")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub image_page_size: Option<u64>,
}

/// Who is to go on with a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// `local`, `workers` or `ray`.
    #[schema(value_type = Executor)]
    pub executor: String,
}

/// A job goes on with another executor.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MoveReply {
    /// Its id.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// Who goes on with it.
    #[schema(value_type = Executor)]
    pub executor: String,
    /// With `workers`: what they show (`GLIMPSE_WORKER_TOKEN`). Told once; that of the workers before is worth nothing now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_token: Option<String>,
}

/// A whole number, or a share from 0 to 100 percent.
fn max_failures_schema() -> impl Into<RefOr<Schema>> {
    let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(MAX_WHOLE));
    let share = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^(100|[0-9]{1,2}(\.[0-9]{1,2})?)%$"));
    OneOfBuilder::new().item(count).item(share).item(ObjectBuilder::new().schema_type(Type::Null))
}

/// A number of images, or a share such as `"5%"`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum MaxFailures {
    /// So many.
    Count(#[serde(deserialize_with = "whole")] u64),
    /// A share of the images that were dealt with.
    Share(String),
}

/// Which finished jobs to forget.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneRequest {
    /// How many of the newest finished jobs are kept; 0 forgets all of them.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub keep: u64,
}

/// Finished jobs that were forgotten, with their logs and failures.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct PruneReply {
    /// How many.
    pub removed: u64,
}

/// A job was accepted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SubmitReply {
    /// Ask for it at `/jobs/{job_id}`.
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
    /// As it was asked for.
    pub image_max_items: Option<u64>,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub submitted_at: String,
    /// With `executor: workers`: what its workers show (`GLIMPSE_WORKER_TOKEN`). Told once, and worth nothing after the
    /// job's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_token: Option<String>,
}

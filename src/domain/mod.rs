//! The types of the domain: images, embeddings, spaces, records, collections, jobs.
//!
//! This module has no I/O and no async code, and imports no other module of the crate. All other modules use its types.

mod answer;
pub mod api_key;
pub(crate) mod browse;
pub mod collection;
pub mod dependency;
pub mod embedding;
pub mod endpoint;
pub mod exclude;
pub mod exif;
pub(crate) mod facets;
pub mod failure;
pub mod failure_limit;
pub mod filter;
pub mod filter_value;
mod first_items;
pub mod generation;
pub mod group_roles;
pub mod image;
pub mod image_format;
pub mod job;
pub mod job_plan;
pub(crate) mod key_order;
pub mod language;
pub(crate) mod location;
pub(crate) mod metadata_row;
pub mod mirror;
pub mod model_record;
mod nearest;
pub mod normal_form;
pub mod object_version;
mod recall;
pub mod record;
pub mod secret;
pub mod setting;
mod signature;
pub mod space;
pub mod store_set;
pub mod task;
pub mod timestamp;
pub mod topic_arn;
mod trusted_files;
mod typed_value;
pub mod wire;

pub(crate) use answer::is_answer;
pub use api_key::{AuditEntry, InvalidKeyName, InvalidRole, KeyDigest, KeyName, KeyRecord, Role, SignIn};
pub use browse::{BrowsePage, BrowseQuery, PageStart, StoredImage};
pub use collection::{CollectionInfo, CollectionName, InvalidCollectionName};
pub use dependency::{DependencyError, FailureAttribution, FailureKind, OperatorError, with_causes};
pub use embedding::{Embedding, InvalidEmbedding};
pub use endpoint::Endpoint;
pub use exclude::{Excludes, InvalidExclude};
pub use exif::{BoundingBox, Circle, ExifFacts, ExifLevel, Position, TakenAt, TakenMonth};
pub(crate) use facets::FacetCounts;
pub use facets::{CollectionSummary, FacetField, FacetQuery, Facets};
pub use failure::{FailureClass, ItemFailure};
pub use failure_limit::{FailureLimit, InvalidFailureLimit};
pub use filter::{Condition, Filter, MetaValue, ValueRange};
pub use filter_value::{InvalidFilterValue, MAX_FILTER_VALUES, parse_times};
pub(crate) use first_items::FirstItems;
pub use generation::{Generation, GenerationState, Rebuild};
pub use group_roles::GroupRoles;
pub use image::{ImageId, ImageMeta, ImageRef, ImageUri, InvalidUri};
pub use image_format::ImageFormat;
pub use job::{Executor, JobCounts, JobId, JobRecord, JobSpec, JobState, Refresh};
pub use job_plan::{JobPlan, PlanExamples};
pub use language::{Language, UnknownLanguage};
pub(crate) use metadata_row::MetadataRow;
pub use mirror::{InvalidMirrorName, Mirror, MirrorName, MirrorSpec, MirrorState};
pub use model_record::{DEFAULT_PROVIDER, InvalidModel, ModelRecord, ModelRequest};
pub use nearest::nearest;
pub use recall::{RECALL_HITS, RecallReport, RecallSample};
pub use record::{Hit, ImageRecord, PAYLOAD_VERSION, Payload, SearchEffort, SearchQuery};
pub use secret::Secret;
pub use setting::{ByteSize, InvalidSetting, Seconds};
pub use signature::{MIN_COPY_COSINE, SIGNATURE_SIDE, Signature};
pub use space::{Probe, Space, SpaceMismatch};
pub use store_set::StoreSet;
pub use task::{Indexed, ItemOutcome, Task, TaskOutcome};
pub use timestamp::Timestamp;
pub use topic_arn::{InvalidTopicArn, TopicArn};
pub use trusted_files::TrustedFiles;
pub(crate) use typed_value::{parse_date, parse_number};

/// Splits a comma-separated list, as settings contain it, into its items. The items are trimmed, and empty ones are
/// dropped.
pub fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

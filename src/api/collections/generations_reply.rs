//! The replies of `/collections/{name}/generations`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::collections::{GenerationView, GenerationsView, MissingImage, Switched};
use crate::domain::{GenerationState, ModelRecord};
use crate::search::{Compared, Comparison, GenerationResults};

/// The generations of a collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GenerationsReply {
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The number of the generation that searches use.
    pub current: u32,
    /// The generations, in the order of their numbers.
    pub generations: Vec<GenerationReply>,
    /// How the results of another generation differ from those of the current one; absent if there is none to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonReply>,
    /// Whether a comparison is being made.
    #[serde(default)]
    pub comparing: bool,
    /// Why the generations could not be compared, or why some searches of the comparison failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One generation of a collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GenerationReply {
    /// The number.
    pub generation: u32,
    /// What it is used for.
    #[schema(value_type = GenerationState)]
    pub state: String,
    /// The name of the configured provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The precision of the model.
    pub precision: String,
    /// How images are resized.
    pub resize: String,
    /// Number of images in each store that has the generation.
    pub stores: BTreeMap<String, u64>,
    /// Size of all objects in bytes; `null` if the store cannot add them up.
    pub total_bytes: Option<u64>,
    /// The share of the images of the current generation that it has, in percent.
    pub coverage_percent: f64,
    /// Number of images of the current generation that it lacks.
    pub missing: u64,
    /// The first of them, with the reason if the rebuild has one; at most 100.
    pub missing_images: Vec<MissingImageReply>,
    /// Number of images that have changed and are still outdated in it.
    pub due: u64,
    /// The last job that has built it.
    #[schema(format = Uuid)]
    pub job_id: Option<String>,
    /// When it was created, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub created_at: Option<String>,
    /// When it became the current one, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub switched_at: Option<String>,
    /// When it is removed, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// An image that a generation lacks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MissingImageReply {
    /// `s3://bucket/key`
    pub s3_uri: String,
    /// The class of the failure.
    pub class: Option<String>,
    /// What failed.
    pub message: Option<String>,
}

/// How the results of two generations differ.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ComparisonReply {
    /// The number of the generation that is compared with the current one.
    pub generation: u32,
    /// Number of built-in texts that both were searched for.
    pub texts: usize,
    /// Number of images of the collection that both were searched for.
    pub images: usize,
    /// Number of queries that one of the two could not answer. They are left out.
    pub failed: usize,
    /// The mean share of the ten best results that both have, 0 to 1.
    pub overlap_at_10: Option<f64>,
    /// The mean rank correlation (Spearman) of the results that both have among their best 100, -1 to 1.
    pub rank_correlation: Option<f64>,
    /// The results of the current generation.
    pub current: ResultsReply,
    /// The results of the other generation.
    pub other: ResultsReply,
}

/// The results of one generation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResultsReply {
    /// The 5, 25, 50, 75 and 95 % quantiles of the scores of the ten best results of texts.
    pub text_scores: Option<Vec<f64>>,
    /// The same for searches by images.
    pub image_scores: Option<Vec<f64>>,
    /// The same of the relevance of the results of texts; `null` while the model is being calibrated.
    pub text_relevance: Option<Vec<f64>>,
    /// The median time of a search in the stores, in milliseconds.
    pub search_ms: Option<f64>,
}

/// The generation that a collection uses from now on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SwitchReply {
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The number of the current generation.
    pub generation: u32,
    /// The number of the generation that was the current one.
    pub before: u32,
    /// What the generation that was the current one is used for now: `previous`, `ready`, or `dropping` if it is not kept.
    #[schema(value_type = GenerationState)]
    pub state: String,
    /// When it is removed, in RFC 3339 format; `null` if it stays.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// What is missing after a forced switch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl GenerationsReply {
    pub(super) fn new(view: GenerationsView, comparison: Option<(u32, Compared)>) -> Self {
        let (comparison, comparing, warning) = match comparison {
            None => (None, false, None),
            Some((_, Compared::Running)) => (None, true, None),
            Some((generation, Compared::Done(comparison))) => {
                let warning = comparison.failure.as_ref().map(|reason| {
                    format!("{} searches of the comparison failed, the first one with: {reason}", comparison.failed)
                });
                (Some(ComparisonReply::new(generation, &comparison)), false, warning)
            }
            Some((generation, Compared::Failed(reason))) => {
                (None, false, Some(format!("generation {generation} cannot be compared: {reason}")))
            }
        };
        Self {
            collection: view.collection.to_string(),
            current: view.current,
            generations: view.generations.into_iter().map(GenerationReply::from).collect(),
            comparison,
            comparing,
            warnings: view
                .unavailable_stores
                .into_iter()
                .map(|store| format!("{store} does not answer; its numbers of images are missing"))
                .chain(warning)
                .collect(),
        }
    }
}

impl From<GenerationView> for GenerationReply {
    fn from(view: GenerationView) -> Self {
        let ModelRecord { provider, model, precision, resize, .. } = view.model;
        Self {
            generation: view.number,
            state: view.state.as_str().to_owned(),
            provider,
            model,
            precision,
            resize,
            stores: view.stores.into_iter().map(|(store, count)| (store.to_owned(), count)).collect(),
            total_bytes: view.total_bytes,
            coverage_percent: rounded(view.coverage_percent),
            missing: view.missing,
            missing_images: view.missing_images.into_iter().map(MissingImageReply::from).collect(),
            due: view.due,
            job_id: view.job.map(|id| id.to_string()),
            created_at: view.created_at.map(|time| time.to_string()),
            switched_at: view.switched_at.map(|time| time.to_string()),
            expires_at: view.expires_at.map(|time| time.to_string()),
        }
    }
}

impl From<MissingImage> for MissingImageReply {
    fn from(MissingImage { uri, failure }: MissingImage) -> Self {
        let (class, message) = failure.unzip();
        Self { s3_uri: uri.to_string(), class: class.map(str::to_owned), message }
    }
}

impl ComparisonReply {
    fn new(generation: u32, comparison: &Comparison) -> Self {
        Self {
            generation,
            texts: comparison.texts,
            images: comparison.images,
            failed: comparison.failed,
            overlap_at_10: comparison.overlap_at_10.map(rounded),
            rank_correlation: comparison.rank_correlation.map(rounded),
            current: (&comparison.one).into(),
            other: (&comparison.other).into(),
        }
    }
}

impl From<&GenerationResults> for ResultsReply {
    fn from(results: &GenerationResults) -> Self {
        let list = |numbers: Option<[f64; 5]>| numbers.map(|numbers| numbers.map(rounded).to_vec());
        Self {
            text_scores: list(results.text_scores),
            image_scores: list(results.image_scores),
            text_relevance: list(results.text_relevance),
            search_ms: results.search_ms.map(rounded),
        }
    }
}

impl From<Switched> for SwitchReply {
    fn from(switched: Switched) -> Self {
        let Switched { collection, generation, before, state, expires_at, missing, removed } = switched;
        let missing = (missing > 0).then(|| {
            format!(
                "{missing} images of generation {before} are missing in generation {generation}; a job over their keys indexes \
                 those that exist and can be decoded"
            )
        });
        let removed = removed.map(|removed| {
            format!("generation {removed}, which was the previous one, is removed: one previous generation is kept")
        });
        Self {
            collection: collection.to_string(),
            generation,
            before,
            state: state.as_str().to_owned(),
            expires_at: expires_at.map(|time| time.to_string()),
            warnings: missing.into_iter().chain(removed).collect(),
        }
    }
}

fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

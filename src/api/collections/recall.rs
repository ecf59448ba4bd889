//! `recall_at_10` of collections.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{RecallReport, RecallSample};

/// The result of the last self-test of a store: how many of the best ten results of an exact search the usual search finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecallReply {
    /// Searches by a text; `null` if the model has no vectors of texts.
    pub text: Option<RecallSampleReply>,
    /// Searches by an image of the collection.
    pub image: Option<RecallSampleReply>,
    /// The effort of searches that was chosen, in the unit of the store; `null` for its default.
    pub level: Option<u32>,
    /// The median time of a search in the store, in milliseconds.
    pub p50_ms: f64,
    /// The median time of an exact search in the store, in milliseconds.
    pub exact_p50_ms: f64,
    /// Whether a higher level takes longer than `VECTOR_DB_RECALL_MAX_MS`.
    pub limited: bool,
    /// Number of images of the collection when it was tested.
    pub records: u64,
    /// When the test ended, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub tested_at: String,
}

/// The recall of one kind of searches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecallSampleReply {
    /// The share of the best ten results that were found, 0 to 1: the mean over the queries.
    pub recall: f64,
    /// Number of queries.
    pub queries: usize,
}

impl From<RecallReport> for RecallReply {
    fn from(report: RecallReport) -> Self {
        let RecallReport { records, level, text, image, p50_ms, exact_p50_ms, max_ms: _, is_limited, tested_at } =
            report;
        let sample = |RecallSample { recall, queries }| RecallSampleReply { recall: rounded(recall), queries };
        Self {
            text: text.map(sample),
            image: image.map(sample),
            level,
            p50_ms: rounded(p50_ms),
            exact_p50_ms: rounded(exact_p50_ms),
            limited: is_limited,
            records,
            tested_at: tested_at.to_string(),
        }
    }
}

fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

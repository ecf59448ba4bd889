//! What the self-test of a store has measured in a collection.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The number of best records that a test compares.
pub const RECALL_HITS: usize = 10;

/// The result of a self-test: how many of the best ten records of the exact search the usual search finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecallReport {
    /// The number of records of the collection at the time of the test.
    pub records: u64,
    /// The effort of searches since then; `None` for the default of the store.
    pub level: Option<u32>,
    /// The recall of searches by a text; `None` if the model has no vectors of texts.
    pub text: Option<RecallSample>,
    /// The recall of searches by an image of the collection.
    pub image: Option<RecallSample>,
    /// The median time of these searches, in milliseconds.
    pub p50_ms: f64,
    /// The median time of the exact searches, in milliseconds.
    pub exact_p50_ms: f64,
    /// The limit of the median time for which the level was chosen, in milliseconds.
    pub max_ms: u32,
    /// Whether a higher level was not chosen because of that limit.
    pub is_limited: bool,
    /// When the test ended.
    pub tested_at: Timestamp,
}

/// The recall of one kind of searches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecallSample {
    /// The share of the best ten records that were found, 0 to 1: the mean over all queries.
    pub recall: f64,
    /// The number of queries.
    pub queries: usize,
}

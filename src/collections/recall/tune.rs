//! Compares searches with exact searches, and raises the effort until they agree.

use std::time::Duration;

use tokio::time::Instant;

use super::queries::{Kind, Query};
use crate::domain::{CollectionName, Filter, RECALL_HITS, RecallSample, SearchEffort, SearchQuery};
use crate::index::{ImageIndex, IndexError};

/// The recall that is sufficient.
const SUFFICIENT_RECALL: f64 = 0.99;
/// The difference of scores up to which they are the same, because stores add numbers in different orders.
const SAME_SCORE: f32 = 1e-6;
/// The pause after a search, in times of its duration, so that searches of users are not delayed.
const PAUSE_FACTOR: u32 = 3;
/// The shortest pause.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// The effort that was chosen, and what it gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tuned {
    pub(super) level: Option<u32>,
    pub(super) measured: Measured,
    pub(super) exact_p50: Duration,
    /// Whether a higher level takes too long.
    pub(super) is_limited: bool,
}

/// The recall and the median time of searches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) text: Option<RecallSample>,
    pub(super) image: Option<RecallSample>,
    pub(super) p50: Duration,
}

impl Measured {
    fn is_sufficient(&self) -> bool {
        [self.text, self.image].into_iter().flatten().all(|sample| sample.recall >= SUFFICIENT_RECALL)
    }
}

/// A query and the score of its last exact result.
struct Answered<'a> {
    query: &'a Query,
    found: usize,
    worst: f32,
}

/// Finds the lowest effort with a sufficient recall. Begins with the level `first`, or with the default of the store. A
/// level with a median time above `max` is not used; then the result is the effort before.
///
/// # Errors
/// The error of the store if an exact search or the first effort fails.
pub(super) async fn tune(
    index: &dyn ImageIndex,
    collection: &CollectionName,
    queries: &[Query],
    first: Option<u32>,
    max: Duration,
) -> Result<Tuned, IndexError> {
    let (mut answered, mut times) = (Vec::with_capacity(queries.len()), Vec::with_capacity(queries.len()));
    for query in queries {
        let (scores, took) = search(index, collection, query, SearchEffort::Exact).await?;
        if let Some(&worst) = scores.last() {
            answered.push(Answered { query, found: scores.len(), worst });
        }
        times.push(took);
    }
    let exact_p50 = median(times);
    index.set_level(collection, first).await?;
    let measured = measure(index, collection, &answered, effort(first)).await?;
    let mut tuned = Tuned { level: first, measured, exact_p50, is_limited: false };
    let mut last_set = first;
    for &level in index.levels().iter().filter(|level| first.is_none_or(|first| **level > first)) {
        if tuned.measured.is_sufficient() {
            break;
        }
        last_set = Some(level);
        // A server can have a limit for the effort.
        let measured = match index.set_level(collection, last_set).await {
            Ok(()) => measure(index, collection, &answered, SearchEffort::Level(level)).await,
            Err(error) => Err(error),
        };
        match measured {
            Ok(measured) if measured.p50 > max => {
                tuned.is_limited = true;
                break;
            }
            Ok(measured) => tuned = Tuned { level: last_set, measured, ..tuned },
            Err(error) => {
                tracing::info!(%collection, store = index.name(), level, %error, "a level of effort cannot be used");
                break;
            }
        }
    }
    if last_set != tuned.level {
        index.set_level(collection, tuned.level).await?;
    }
    Ok(tuned)
}

fn effort(level: Option<u32>) -> SearchEffort {
    level.map_or(SearchEffort::Default, SearchEffort::Level)
}

/// Searches for each query with this effort, and compares the results with the exact ones.
async fn measure(
    index: &dyn ImageIndex,
    collection: &CollectionName,
    answered: &[Answered<'_>],
    effort: SearchEffort,
) -> Result<Measured, IndexError> {
    let (mut texts, mut images, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for Answered { query, found, worst } in answered {
        let (scores, took) = search(index, collection, query, effort).await?;
        // Of records with equal scores, any is right.
        let right = scores.iter().filter(|score| **score >= worst - SAME_SCORE).count().min(*found);
        let recall = share(right, *found);
        match query.kind {
            Kind::Text => texts.push(recall),
            Kind::Image => images.push(recall),
        }
        times.push(took);
    }
    Ok(Measured { text: sample(&texts), image: sample(&images), p50: median(times) })
}

/// Returns the scores of the best results, best first, and how long the search took. Then pauses.
async fn search(
    index: &dyn ImageIndex,
    collection: &CollectionName,
    query: &Query,
    effort: SearchEffort,
) -> Result<(Vec<f32>, Duration), IndexError> {
    let limit = RECALL_HITS + usize::from(query.excluded.is_some());
    let request = SearchQuery { embedding: query.vector.clone(), limit, offset: 0, filter: Filter::default(), effort };
    let start = Instant::now();
    let hits = index.search(collection, &request).await?;
    let took = start.elapsed();
    let others = hits.into_iter().filter(|hit| Some(hit.id) != query.excluded);
    let scores = others.map(|hit| hit.score).take(RECALL_HITS).collect();
    tokio::time::sleep((took * PAUSE_FACTOR).max(MIN_PAUSE)).await;
    Ok((scores, took))
}

fn sample(recalls: &[f64]) -> Option<RecallSample> {
    let queries = recalls.len();
    #[expect(clippy::cast_precision_loss, reason = "there are about a hundred queries")]
    let mean = recalls.iter().sum::<f64>() / queries as f64;
    (queries > 0).then_some(RecallSample { recall: mean, queries })
}

#[expect(clippy::cast_precision_loss, reason = "both are at most ten")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
#[path = "tune_tests.rs"]
mod tests;

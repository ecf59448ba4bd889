//! Compares two generations of a collection by searching both for the same queries: the built-in texts, and images of the
//! collection.

mod kept;
mod measures;

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::sync::watch;

use super::{Collapse, MAX_HITS, QueryInput, Search, SearchError, SearchOptions, SearchResults};
use crate::calibration::NoRelevance;
use crate::domain::{BrowseQuery, CollectionName, Filter, ImageId, PageStart, Space};
use crate::index::several_stores::Merged;

pub(super) use kept::Comparisons;
use kept::State;
use measures::{Measured, mean, median, quantiles, rank_correlation};

/// Maximum number of built-in texts, and of images of the collection, that are searched for.
const MAX_TEXTS: usize = 50;
const MAX_IMAGES: usize = 50;
/// Searches at the same time.
const CONCURRENCY: usize = 4;
/// The results of which the overlap is measured.
const TOP: usize = 10;
/// How long a request waits for a comparison.
const SHORT_WAIT: Duration = Duration::from_secs(2);

/// The state of a comparison.
#[derive(Clone, Debug)]
pub enum Compared {
    /// It is being made.
    Running,
    /// Its result.
    Done(Arc<Comparison>),
    /// Why no query could be searched for, for a client.
    Failed(String),
}

/// How the results of two generations differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Number of texts and of images that both generations were searched for.
    pub texts: usize,
    /// Number of images.
    pub images: usize,
    /// Number of queries that a generation could not answer; they are left out.
    pub failed: usize,
    /// Why the first of them failed, for a client.
    pub failure: Option<String>,
    /// The mean share of the ten best results that both have, 0 to 1; `None` without queries.
    pub overlap_at_10: Option<f64>,
    /// The mean rank correlation (Spearman) of the results that both have among their best 100, -1 to 1; `None` if no query
    /// has two such results.
    pub rank_correlation: Option<f64>,
    /// The generation that was compared with, usually the current one.
    pub one: GenerationResults,
    /// The other generation.
    pub other: GenerationResults,
}

/// The results of one generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationResults {
    /// The scores of the ten best results of all texts: their 5, 25, 50, 75 and 95 % quantiles.
    pub text_scores: Option<[f64; 5]>,
    /// The same for the searches by images.
    pub image_scores: Option<[f64; 5]>,
    /// The quantiles of the relevance of the results of texts, if it is known.
    pub text_relevance: Option<[f64; 5]>,
    /// The median time of a search in the stores, in milliseconds.
    pub search_ms: Option<f64>,
}

/// One query, and what both generations found.
struct Pair {
    is_text: bool,
    /// The results, or the reason of the failure for a client.
    results: Result<[SearchResults; 2], String>,
}

impl Search {
    /// Sets the texts that generations are compared with.
    #[must_use]
    pub fn with_sample_texts(self, texts: Vec<String>) -> Self {
        Self { sample_texts: texts.into(), ..self }
    }

    /// Compares two generations of a collection in the background, and waits a moment for the result. It is kept until a generation
    /// or `images` changes, the number of their images. If it lacks relevance because a model was being calibrated, it is made
    /// again after the calibration.
    ///
    /// # Errors
    /// [`SearchError::Collection`] if the name is malformed.
    pub async fn compare(&self, name: &str, generations: [u32; 2], images: u64) -> Result<Compared, SearchError> {
        let name = CollectionName::parse(name)?;
        let [one, other] = generations;
        let key = (name.clone(), one, other, self.stores.generations().version(), images);
        let is_calibrated = |space: &Space| self.calibration.is_known(space);
        let mut state = self.comparisons.get_or_begin(key, is_calibrated, || self.begin_comparison(name, generations));
        let done = state.wait_for(|state| !matches!(state.compared, Compared::Running));
        match tokio::time::timeout(SHORT_WAIT, done).await {
            Ok(Ok(state)) => Ok(state.compared.clone()),
            Ok(Err(_)) | Err(_) => Ok(Compared::Running),
        }
    }

    fn begin_comparison(&self, name: CollectionName, generations: [u32; 2]) -> watch::Receiver<State> {
        let (sender, state) = watch::channel(State::default());
        let search = self.clone();
        // Ends when each of its searches, which have time limits, has ended.
        #[expect(clippy::disallowed_methods, reason = "nothing is lost if the process ends in the middle of it")]
        tokio::spawn(async move {
            let _alone = search.comparisons.running.lock().await;
            sender.send_replace(match search.compare_now(&name, generations).await {
                Ok((comparison, uncalibrated)) => {
                    State { compared: Compared::Done(Arc::new(comparison)), uncalibrated }
                }
                Err(error) => State { compared: Compared::Failed(error.for_client()), uncalibrated: Vec::new() },
            });
        });
        state
    }

    /// Returns the comparison, and the spaces of the models whose calibration had not ended.
    async fn compare_now(
        &self,
        name: &CollectionName,
        [one, other]: [u32; 2],
    ) -> Result<(Comparison, Vec<Arc<Space>>), SearchError> {
        let images = self.sample_images(name, one, other).await?;
        let texts = self.sample_texts.iter().take(MAX_TEXTS).cloned();
        let queries: Vec<(bool, String)> =
            texts.map(|text| (true, text)).chain(images.into_iter().map(|id| (false, id.to_string()))).collect();
        let pairs: Vec<Pair> = stream::iter(queries)
            .map(|(is_text, query)| async move {
                let results = self.search_both(name, is_text, query, [one, other]).await;
                Pair { is_text, results: results.map_err(|error| error.for_client()) }
            })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let mut uncalibrated = Vec::new();
        for (at, number) in [one, other].into_iter().enumerate() {
            if lacks_calibration(&pairs, at) {
                let collection = self.stores.generations().resolve(name, Some(number))?.physical;
                uncalibrated.extend(self.models.for_search(&collection).await.map(|(_, space)| space));
            }
        }
        Ok((summarize(&pairs), uncalibrated))
    }

    /// Returns images that both generations have.
    async fn sample_images(&self, name: &CollectionName, one: u32, other: u32) -> Result<Vec<ImageId>, SearchError> {
        let resolve = |number| self.stores.generations().resolve(name, Some(number));
        let (one, other) = (resolve(one)?.physical, resolve(other)?.physical);
        let start = PageStart::Random { first: ImageId(uuid::Uuid::new_v4()), after: None };
        let query = BrowseQuery { filter: Filter::default(), start, limit: MAX_IMAGES };
        let Merged { value: page, .. } = self.stores.browse(&one, &query).await?;
        let ids: Vec<ImageId> = page.images.into_iter().map(|image| image.id).collect();
        let (ids, other) = (&ids, &other);
        let (_, both) = self.stores.first_reply(|store| async move { store.payloads(other, ids).await }).await?;
        Ok(both.into_iter().map(|image| image.id).collect())
    }

    async fn search_both(
        &self,
        name: &CollectionName,
        is_text: bool,
        query: String,
        generations: [u32; 2],
    ) -> Result<[SearchResults; 2], SearchError> {
        let search = |generation| {
            let (text, like) = if is_text { (Some(query.clone()), None) } else { (None, Some(query.clone())) };
            let input = QueryInput::new(text, None, like);
            self.search(input, options(name, generation))
        };
        let [one, other] = generations;
        // One after the other, so that their times can be compared.
        Ok([search(one).await?, search(other).await?])
    }
}

fn options(name: &CollectionName, generation: u32) -> SearchOptions {
    SearchOptions {
        limit: MAX_HITS,
        offset: 0,
        provider: None,
        collection: name.to_string(),
        generation: Some(generation),
        filter: Filter::default(),
        min_score: None,
        min_relevance: None,
        collapse: Collapse::None,
        copies_only: false,
        exact: false,
    }
}

/// Whether the relevance of the results of a generation is not known yet, but may be later.
fn lacks_calibration(pairs: &[Pair], at: usize) -> bool {
    pairs.iter().filter_map(|pair| pair.results.as_ref().ok()).any(|results| match &results[at].scale {
        Err(NoRelevance::Running | NoRelevance::Failed(_)) => true,
        Ok(_) | Err(NoRelevance::Off | NoRelevance::NoTexts | NoRelevance::SeveralParts) => false,
    })
}

fn summarize(pairs: &[Pair]) -> Comparison {
    let answered: Vec<(bool, &[SearchResults; 2])> =
        pairs.iter().filter_map(|pair| Some((pair.is_text, pair.results.as_ref().ok()?))).collect();
    let mut overlaps = Vec::new();
    let mut correlations = Vec::new();
    for (_, [one, other]) in &answered {
        let [one, other] = [one, other].map(ids);
        let best = one.len().min(other.len()).min(TOP);
        if best > 0 {
            let common = one[..best].iter().filter(|id| other[..best].contains(id)).count();
            overlaps.push(share(common, best));
        }
        correlations.extend(rank_correlation(&one, &other));
    }
    let texts = answered.iter().filter(|(is_text, _)| *is_text).count();
    let results = |at: usize| {
        let mut measured = Measured::default();
        for (is_text, results) in &answered {
            measured.add(*is_text, &results[at], TOP);
        }
        GenerationResults {
            text_scores: quantiles(measured.text_scores),
            image_scores: quantiles(measured.image_scores),
            text_relevance: quantiles(measured.text_relevance),
            search_ms: median(measured.search_ms),
        }
    };
    Comparison {
        texts,
        images: answered.len() - texts,
        failed: pairs.len() - answered.len(),
        failure: pairs.iter().find_map(|pair| pair.results.as_ref().err().cloned()),
        overlap_at_10: mean(&overlaps),
        rank_correlation: mean(&correlations),
        one: results(0),
        other: results(1),
    }
}

fn ids(results: &SearchResults) -> Vec<ImageId> {
    results.hits.iter().map(|group| group.found.hit.id).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}

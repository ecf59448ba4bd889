//! Fits the relevance of a collection to the answers that its users expect.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::{Collapse, MAX_HITS, QueryInput, Search, SearchError, SearchOptions, Term, TermInput};
use crate::calibration::{LabelledHits, Refit};
use crate::domain::{CollectionName, Filter, Language, is_answer};
use crate::index::IndexError;
use crate::index::several_stores::Resolved;

/// A text and the keys of the images that are right answers, or the ends of these keys. A text that fits no image has no
/// answer.
#[derive(Clone, Debug)]
pub struct LabelledQuery {
    /// The text.
    pub text: String,
    /// Its language, for models that need to know it.
    pub language: Option<Language>,
    /// The keys, or their ends.
    pub answers: Vec<String>,
}

/// The maximum number of queries of a fit.
pub const MAX_LABELLED_QUERIES: usize = 1_000;
/// Number of hits of a query that are compared, beside as many as it has answers.
const HITS: usize = 10;
/// Number of concurrent searches.
const CONCURRENCY: usize = 4;

/// The permit to fit the relevance of a collection.
#[derive(Debug)]
#[must_use = "hold it until the fit is stored"]
pub struct RefitPermit {
    _one: OwnedSemaphorePermit,
}

impl Search {
    /// Returns the permit for a fit. One fit runs at a time. Take it before the queries are read, so that waiting requests
    /// use no memory.
    ///
    /// # Errors
    /// [`SearchError::Busy`] if another fit runs.
    pub fn admit_refit(&self) -> Result<RefitPermit, SearchError> {
        let permit = self.refits.clone().try_acquire_owned().map_err(|_| SearchError::Busy)?;
        Ok(RefitPermit { _one: permit })
    }

    /// Searches for each query in the first store, compares the hits with the answers, and stores the fit.
    ///
    /// # Errors
    /// [`SearchError::Invalid`] if there are too few answers, and the errors of [`Search::search`].
    pub async fn refit(
        &self,
        _permit: RefitPermit,
        collection: &str,
        queries: Vec<LabelledQuery>,
    ) -> Result<Refit, SearchError> {
        let resolved = self.resolve(collection)?;
        let invalid = |message| SearchError::Invalid { field: "queries", message };
        if queries.len() > MAX_LABELLED_QUERIES {
            return Err(invalid(format!("must have at most {MAX_LABELLED_QUERIES} queries")));
        }
        let (_, space) = self.models.for_search(&resolved.physical).await?;
        let labelled: Vec<LabelledHits> = stream::iter(queries.into_iter().enumerate())
            .map(|(position, query)| self.label(&resolved, position, query))
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        // It may have been dropped meanwhile.
        self.check_collection(&resolved.physical).await?;
        let refit = self.calibration.refit(resolved.physical, (*space).clone(), &labelled);
        refit.map_err(|error| invalid(error.to_string()))?.map_err(SearchError::Files)
    }

    /// Returns the fit of a collection, if there is one.
    ///
    /// # Errors
    /// [`SearchError`] if the collection does not exist, or if no store answers.
    pub async fn stored_refit(&self, collection: &str) -> Result<(CollectionName, Option<Refit>), SearchError> {
        let Resolved { name, physical, .. } = self.resolve(collection)?;
        self.check_collection(&physical).await?;
        let refit = self.calibration.stored_refit(&physical);
        Ok((name, refit))
    }

    /// Removes the fit of a collection. It is not an error if there is none.
    ///
    /// # Errors
    /// As [`Search::stored_refit`].
    pub async fn remove_refit(&self, collection: &str) -> Result<CollectionName, SearchError> {
        let Resolved { name, physical, .. } = self.resolve(collection)?;
        self.check_collection(&physical).await?;
        self.calibration.remove_refit(&physical).map_err(SearchError::Files)?;
        Ok(name)
    }

    /// Returns the current generation of a collection: a fit is that of one generation.
    fn resolve(&self, collection: &str) -> Result<Resolved, SearchError> {
        Ok(self.stores.generations().resolve(&CollectionName::parse(collection)?, None)?)
    }

    /// Searches for a query and compares its first hits with its answers.
    async fn label(
        &self,
        collection: &Resolved,
        position: usize,
        query: LabelledQuery,
    ) -> Result<LabelledHits, SearchError> {
        let options = SearchOptions {
            limit: (query.answers.len() + HITS).min(MAX_HITS),
            offset: 0,
            provider: None,
            collection: collection.name.to_string(),
            generation: Some(collection.number),
            filter: Filter::default(),
            min_score: None,
            min_relevance: None,
            collapse: Collapse::None,
            copies_only: false,
            exact: false,
        };
        let term = Term { input: TermInput::Text(query.text), weight: 1.0, field: "queries", position: Some(position) };
        let found = self.search(QueryInput { terms: vec![term], language: query.language }, options).await?;
        let scale = found.scale.map_err(|reason| SearchError::CannotFit(reason.to_string()))?;
        let hits = found.hits.iter().map(|group| {
            let found = &group.found;
            let is_right = query.answers.iter().any(|answer| is_answer(&found.hit.payload.s3_key, answer));
            let logit = scale.model_logit(found.hit.score);
            let useless = || SearchError::CannotFit("the model cannot tell the built-in images apart".to_owned());
            Ok((logit.ok_or_else(useless)?, is_right))
        });
        hits.collect()
    }

    /// Fails if no store has the collection.
    async fn check_collection(&self, collection: &CollectionName) -> Result<(), SearchError> {
        let mut failure = None;
        for store in self.stores.iter() {
            match store.describe(collection).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        let unknown = || IndexError::UnknownCollection(collection.clone());
        Err(failure.unwrap_or_else(unknown).into())
    }
}

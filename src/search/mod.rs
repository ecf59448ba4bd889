//! Words and/or a picture → a vector → hits. Knows the ports by their traits; knows nothing of HTTP.

mod error;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::domain::{CollectionInfo, CollectionName, Embedding, Filter, Hit, SearchQuery, Space};
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::imaging::{self, Limits};
use crate::index::stores::KNOWN;
use crate::index::{ImageIndex, IndexError, Stores};

pub use error::{Refusal, SearchError};

/// The search. Clones share it.
#[derive(Clone)]
pub struct Search {
    provider: Arc<dyn ImageEmbeddingProvider>,
    stores: Stores,
    limits: Limits,
    /// One a core: pictures of searches are decoded beside those of jobs, never behind them.
    cores: Arc<Semaphore>,
    /// Searches that are let in at once.
    door: Arc<Semaphore>,
    /// Pictures that may be on their way in at once: each may have as many bytes as a picture may.
    uploads: Arc<Semaphore>,
}

/// Leave to send a picture; given back when dropped.
#[derive(Debug)]
#[must_use = "hold it until the picture is no longer needed"]
pub struct Upload {
    _permit: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("stores", &self.stores).finish_non_exhaustive()
    }
}

/// What to be near to.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Words.
    pub text: Option<String>,
    /// The bytes of a picture.
    pub image: Option<Bytes>,
}

/// Where and how much.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Hits, 1 to [`MOST_HITS`].
    pub limit: usize,
    /// Hits to leave out; with `limit` at most [`MOST_DEEP`].
    pub offset: usize,
    /// Which store; `None` for the default.
    pub provider: Option<String>,
    /// Which collection.
    pub collection: String,
    /// Which records may answer.
    pub filter: Filter,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The store that was asked.
    pub provider: &'static str,
    /// The collection that was searched.
    pub collection: CollectionName,
    /// The model that made the query's vector.
    pub model: String,
    /// Best first.
    pub hits: Vec<Hit>,
    /// Time for the query's vector, decoding included.
    pub embed: Duration,
    /// Time in the store.
    pub search: Duration,
}

/// Most hits in one reply.
pub const MOST_HITS: usize = 100;
/// How deep a page may lie.
pub const MOST_DEEP: usize = 10_000;
/// Most characters of a query.
pub const MOST_CHARACTERS: usize = 1_000;
/// Searches at once; one more is told to come back.
const AT_ONCE: usize = 64;
/// Pictures on their way in at once.
const UPLOADS: usize = 16;
/// How long one may wait to be let in.
const UPLOAD_WAIT: Duration = Duration::from_secs(2);
/// How long a search that was refused for fullness should wait.
pub const RETRY_WHEN_BUSY: Duration = Duration::from_secs(1);

impl Search {
    /// A search from its parts.
    pub fn new(provider: Arc<dyn ImageEmbeddingProvider>, stores: Stores, limits: Limits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            provider,
            stores,
            limits,
            cores: Arc::new(Semaphore::new(cores)),
            door: Arc::new(Semaphore::new(AT_ONCE)),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
        }
    }

    /// Asks to send a picture, before the first of its bytes is read.
    ///
    /// # Errors
    /// [`SearchError::Busy`] where there is no room for a while.
    pub async fn admit(&self) -> Result<Upload, SearchError> {
        match tokio::time::timeout(UPLOAD_WAIT, self.uploads.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Upload { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(SearchError::Busy),
        }
    }

    /// The nearest images to a question.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn search(&self, question: Question, options: SearchOptions) -> Result<Answer, SearchError> {
        check(&question, &options)?;
        let _inside = self.door.try_acquire().map_err(|_| SearchError::Busy)?;
        let collection = CollectionName::parse(&options.collection)?;
        let store = self.store(options.provider.as_deref())?;
        let info = store.describe(&collection).await?;
        let info = info.ok_or_else(|| IndexError::UnknownCollection(collection.clone()))?;
        let space = self.provider.space().await?;
        info.space.admits(&space)?;
        let begun = Instant::now();
        let embedding = self.embed(question, &space).await?;
        let embed = begun.elapsed();
        let query = SearchQuery { embedding, limit: options.limit, offset: options.offset, filter: options.filter };
        let begun = Instant::now();
        let hits = store.search(&collection, &query).await?;
        let search = begun.elapsed();
        Ok(Answer { provider: store.name(), collection, model: space.model.clone(), hits, embed, search })
    }

    /// Every collection of the default store.
    ///
    /// # Errors
    /// [`IndexError`]
    pub async fn collections(&self) -> Result<(&'static str, Vec<CollectionInfo>), SearchError> {
        let store = self.stores.default_store();
        Ok((store.name(), store.collections().await?))
    }

    /// Whether searches can be answered: both towers have passed their probe and are not known to be down, every store
    /// is there.
    ///
    /// # Errors
    /// [`SearchError`] with the first that is not.
    pub async fn ready(&self) -> Result<Arc<Space>, SearchError> {
        let space = self.provider.space().await?;
        self.provider.reachable()?;
        for store in self.stores.iter() {
            store.ready().await?;
        }
        Ok(space)
    }

    fn store(&self, named: Option<&str>) -> Result<&Arc<dyn ImageIndex>, SearchError> {
        let name = match named {
            None => return Ok(self.stores.default_store()),
            // All of one is that one.
            Some("all") if self.stores.iter().count() == 1 => return Ok(self.stores.default_store()),
            Some(name) => name,
        };
        let wrong = |message| SearchError::Invalid { field: "provider", message };
        self.stores.named(name).ok_or_else(|| {
            let here = self.stores.names();
            if KNOWN.contains(&name) {
                wrong(format!("`{name}` is not configured here; configured: {here} (VECTOR_DB_PROVIDER)"))
            } else {
                wrong(format!("`{name}` is no store; known: {}; configured: {here}", KNOWN.join(", ")))
            }
        })
    }

    /// Words and a picture together lie between the two: the sum of both unit vectors.
    async fn embed(&self, question: Question, space: &Space) -> Result<Embedding, SearchError> {
        let image = match question.image {
            Some(bytes) => Some(self.embed_image(bytes).await?),
            None => None,
        };
        let text = match question.text.as_deref().map(str::trim) {
            Some(text) => Some(self.provider.embed_text(text).await?),
            None => None,
        };
        match (image, text) {
            (Some(image), Some(text)) => {
                let sum = image.as_slice().iter().zip(text.as_slice()).map(|(a, b)| a + b).collect();
                Ok(Embedding::normalised(sum, space.dimension).map_err(EmbedError::Invalid)?)
            }
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) => Err(nothing_asked()),
        }
    }

    async fn embed_image(&self, bytes: Bytes) -> Result<Embedding, SearchError> {
        let (limits, preprocessing) = (self.limits, self.provider.preprocessing());
        let core = self.cores.clone().acquire_owned().await;
        let prepared = tokio::task::spawn_blocking(move || {
            let _core = core;
            imaging::prepare(&bytes, &limits, &preprocessing)
        });
        let prepared = prepared.await.map_err(|panic| {
            tracing::error!(%panic, "decoder panicked over a search's picture");
            SearchError::Panicked
        })??;
        Ok(self.provider.embed_image(&prepared.image).await?)
    }
}

fn nothing_asked() -> SearchError {
    SearchError::Invalid {
        field: "q",
        message: "say what to look for: words in `q`, or a picture in `file`".to_owned(),
    }
}

fn check(question: &Question, options: &SearchOptions) -> Result<(), SearchError> {
    let invalid = |field, message| Err(SearchError::Invalid { field, message });
    if let Some(text) = &question.text {
        let characters = text.trim().chars().count();
        if !(1..=MOST_CHARACTERS).contains(&characters) {
            return invalid(
                "q",
                format!("must have 1 to {MOST_CHARACTERS} characters after trimming, not {characters}"),
            );
        }
    } else if question.image.is_none() {
        return Err(nothing_asked());
    }
    if !(1..=MOST_HITS).contains(&options.limit) {
        return invalid("limit", format!("must be 1 to {MOST_HITS}, not {}", options.limit));
    }
    if options.offset.saturating_add(options.limit) > MOST_DEEP {
        return invalid("offset", format!("offset and limit together may be {MOST_DEEP} at most"));
    }
    match &options.filter.s3_prefix {
        Some(prefix) if !prefix.ends_with('/') => invalid("s3_prefix", format!("must end in `/`, not `{prefix}`")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SearchOptions {
        SearchOptions { limit: 10, offset: 0, provider: None, collection: "c".into(), filter: Filter::default() }
    }

    fn refused(question: &Question, options: &SearchOptions) -> String {
        check(question, options).unwrap_err().to_string()
    }

    #[test]
    fn each_option_out_of_range_is_named() {
        let words = |text: &str| Question { text: Some(text.to_owned()), image: None };
        check(&words("a cat"), &options()).unwrap();
        check(&words(&"ä".repeat(1000)), &options()).unwrap();
        assert!(refused(&words(" \n "), &options()).starts_with("q:"));
        assert!(refused(&words(&"a".repeat(1001)), &options()).starts_with("q:"));
        assert!(refused(&Question::default(), &options()).starts_with("q:"));
        assert!(refused(&words("a"), &SearchOptions { limit: 0, ..options() }).starts_with("limit:"));
        assert!(refused(&words("a"), &SearchOptions { limit: 101, ..options() }).starts_with("limit:"));
        assert!(refused(&words("a"), &SearchOptions { offset: 9_991, ..options() }).starts_with("offset:"));
        let filter = Filter { s3_prefix: Some("images".into()), ..Filter::default() };
        assert!(refused(&words("a"), &SearchOptions { filter, ..options() }).starts_with("s3_prefix:"));
    }
}

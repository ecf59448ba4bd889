//! Words and/or a image → a vector → hits. Knows the ports by their traits; knows nothing of HTTP.

mod error;
mod observe;
mod question;
mod vector;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::domain::{CollectionInfo, CollectionName, Hit, ImageRecord, SearchQuery, Space};
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::imaging::Limits;
use crate::index::Stores;
use crate::index::stores::{ALL, Answered, Answers, KNOWN, Merged};
use crate::pipeline::budget::{BudgetPermit, ByteBudget};

pub use crate::index::stores::Found;
pub use error::{Refusal, SearchError};
use question::check;
pub use question::{MAX_CHARACTERS, MAX_DEEP, MAX_HITS, Question, SearchOptions};

/// The search. Clones share it.
#[derive(Clone)]
pub struct Search {
    provider: Arc<dyn ImageEmbeddingProvider>,
    stores: Stores,
    limits: Limits,
    /// One a core: images of searches are decoded beside those of jobs, never behind them.
    cores: Arc<Semaphore>,
    /// Searches that are let in at once.
    door: Arc<Semaphore>,
    /// Bytes of images that may be on their way in at once.
    uploads: Arc<ByteBudget>,
}

/// WriteLease to send a image; given back when dropped.
#[derive(Debug)]
#[must_use = "hold it until the image is no longer needed"]
pub struct Upload {
    _bytes: BudgetPermit,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("stores", &self.stores).finish_non_exhaustive()
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The store that was asked, or `all`.
    pub provider: &'static str,
    /// The collection that was searched.
    pub collection: CollectionName,
    /// The model that made the query's vector.
    pub model: String,
    /// Best first.
    pub hits: Vec<Found>,
    /// SHA-256 of the image that hits were to be like.
    pub same_as: Option<String>,
    /// Stores that were asked and are left out, and why.
    pub warnings: Vec<String>,
    /// Time for the query's vector, decoding included.
    pub embed: Duration,
    /// Time in the store.
    pub search: Duration,
}

/// What is in the stores.
#[derive(Clone, Debug)]
pub struct Collections {
    /// The store that was asked, or `all`.
    pub provider: &'static str,
    /// By name, each with its stores and how many records each has; what else is said of it is the first store's.
    pub collections: Vec<(CollectionInfo, Vec<(&'static str, u64)>)>,
    /// Stores that did not answer.
    pub warnings: Vec<String>,
}

/// What a search is made with.
#[derive(Clone, Debug)]
pub struct Status {
    /// The space of the provider's vectors; or what is wrong with it, in words for a client.
    pub provider: Result<Arc<Space>, String>,
    /// What each store has; or what is wrong with it.
    pub stores: Answered<Vec<CollectionInfo>>,
}

/// What the stores gave, and what it took.
struct Asked {
    space: Arc<Space>,
    /// The image that hits are to be like.
    like: Option<ImageRecord>,
    query: SearchQuery,
    nearest: Answers<Vec<Hit>>,
    embed: Duration,
    search: Duration,
}

/// Searches at once; one more is told to come back.
const AT_ONCE: usize = 64;
/// Bytes of images on their way in at once; one alone may have as many as a image may.
const UPLOADS: u64 = 128 * MIN_UPLOAD;
/// However small a image is, it costs the pixels that it is made into.
const MIN_UPLOAD: u64 = 1024 * 1024;
/// How long one may wait to be let in.
const UPLOAD_WAIT: Duration = Duration::from_secs(2);
/// How long a status waits for anybody.
const STATUS_WAIT: Duration = Duration::from_secs(3);
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
            uploads: Arc::new(ByteBudget::new(UPLOADS.max(limits.max_bytes))),
        }
    }

    /// Asks to send a image of so many bytes, before the first of them is read; where nobody says how many, of as many as
    /// a image may have.
    ///
    /// # Errors
    /// [`SearchError::Busy`] where there is no room for a while.
    pub async fn admit(&self, bytes: Option<u64>) -> Result<Upload, SearchError> {
        let most = self.limits.max_bytes;
        let share = bytes.map_or(most, |bytes| bytes.min(most)).max(MIN_UPLOAD);
        let taken = tokio::time::timeout(UPLOAD_WAIT, self.uploads.take(share)).await;
        taken.map(|bytes| Upload { _bytes: bytes }).map_err(|_| SearchError::Busy)
    }

    /// The nearest images to a question. Stores are asked what their collection is while the query's vector is made and the
    /// search runs: that a collection is of another space is known before the answer is given.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn search(&self, question: Question, options: SearchOptions) -> Result<Answer, SearchError> {
        check(&question, &options)?;
        let _inside = self.door.try_acquire().map_err(|_| SearchError::Busy)?;
        let collection = CollectionName::parse(&options.collection)?;
        let stores = self.choose(options.provider.as_deref())?;
        let (spaces, asked) = self.look(&stores, &collection, question, &options).await?;
        let Merged { answer: mut hits, warnings } = stores.merge(spaces, asked.nearest, &asked.space, &asked.query)?;
        if let Some(like) = &asked.like {
            hits.retain(|found| found.hit.id != like.id);
            hits.drain(..options.offset.min(hits.len()));
            hits.truncate(options.limit);
        }
        if let Some(least) = options.min_score {
            hits.retain(|found| found.hit.score >= least);
        }
        let same_as = asked.like.map(|like| like.payload.content_sha256);
        let (provider, model) = (stores.name(), asked.space.model.clone());
        Ok(Answer { provider, collection, model, hits, same_as, warnings, embed: asked.embed, search: asked.search })
    }

    /// What each store's collection is, and what is nearest in it.
    async fn look(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        question: Question,
        options: &SearchOptions,
    ) -> Result<(Answers<Space>, Asked), SearchError> {
        let known = std::pin::pin!(stores.spaces(collection));
        let asked = std::pin::pin!(self.ask(stores, collection, question, options));
        // An unknown collection needs no vector; and it is unknown, whatever else fails.
        Ok(match select(known, asked).await {
            Either::Left((known, asked)) => (known?, asked.await?),
            Either::Right((asked, known)) => (known.await?, asked?),
        })
    }

    async fn ask(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        question: Question,
        options: &SearchOptions,
    ) -> Result<Asked, SearchError> {
        let space = self.provider.space().await?;
        let begun = Instant::now();
        let like = match &question.like {
            Some(id) => Some(self.known(collection, id).await?),
            None => None,
        };
        let embedding = self.embed(question, like.as_ref(), &space).await?;
        let embed = begun.elapsed();
        // The image itself is left out of the hits, wherever it stands: pages are cut afterwards.
        let (limit, offset) =
            if like.is_some() { (options.offset + options.limit + 1, 0) } else { (options.limit, options.offset) };
        let query = SearchQuery { embedding, limit, offset, filter: options.filter.clone() };
        let begun = Instant::now();
        let nearest = stores.nearest(collection, &query).await;
        Ok(Asked { space, like, query, nearest, embed, search: begun.elapsed() })
    }

    /// Every collection of every store.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn collections(&self) -> Result<Collections, SearchError> {
        let Merged { answer: collections, warnings } = self.stores.collections().await?;
        Ok(Collections { provider: self.stores.name(), collections, warnings })
    }

    /// Whether searches can be answered: both towers have passed their probe and are not known to be down, a store is there.
    /// With the space, and with what is to be known of stores that are not.
    ///
    /// # Errors
    /// [`SearchError`] with the first that is not.
    pub async fn ready(&self) -> Result<(Arc<Space>, Vec<String>), SearchError> {
        let space = self.provider.space().await?;
        self.provider.reachable()?;
        Ok((space, self.stores.ready().await?))
    }

    /// What searches are made with, and whether it is there.
    pub async fn status(&self) -> Status {
        let provider = async {
            let space = tokio::time::timeout(STATUS_WAIT, self.provider.space()).await;
            let space = space.map_err(|_| "does not answer in time".to_owned())?;
            let reachable = space.and_then(|space| self.provider.reachable().map(|()| space));
            reachable.map_err(|error| match error {
                EmbedError::Dependency(down) => format!("{} {}", down.dependency, down.trouble),
                other => other.to_string(),
            })
        };
        let (provider, stores) = tokio::join!(provider, self.stores.look(STATUS_WAIT));
        Status { provider, stores }
    }

    /// The stores that a word means.
    fn choose(&self, named: Option<&str>) -> Result<Stores, SearchError> {
        let name = match named {
            None => return Ok(Stores::only(self.stores.default_store())),
            Some(ALL) => return Ok(self.stores.clone()),
            Some(name) => name,
        };
        let wrong = |message| SearchError::Invalid { field: "provider", message };
        self.stores.named(name).map(Stores::only).ok_or_else(|| {
            let here = self.stores.names();
            if KNOWN.contains(&name) {
                wrong(format!("`{name}` is not configured here; configured: {here} (VECTOR_DB_PROVIDER)"))
            } else {
                wrong(format!("`{name}` is no store; known: {}; configured: {here}", KNOWN.join(", ")))
            }
        })
    }
}

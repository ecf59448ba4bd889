//! Relevance: what a cosine of one model means. The cosine of "a cat" and a rocket is 0.007 with one model and 0.2 with
//! another, so a score alone does not say whether a hit is of any use. This module converts it to a number from 0 to 1,
//! where 0.5 and more is relevant.
//!
//! [`Calibration`] measures each space once with the built-in images and texts (`fit`), takes a sample of each
//! collection (`backgrounds`), and gives each query its [`Scale`]. Users can fit the relevance of a collection to their
//! own answers ([`Refit`]).

mod backgrounds;
mod calibrated;
mod demo_check;
pub(crate) mod file;
mod fit;
mod inputs;
mod logistic;
mod refit;
mod refits;
mod scale;
mod vectors;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{CollectionName, Embedding, Space, Timestamp};
use crate::embed::ImageEmbeddingProvider;
use crate::index::Stores;
use crate::lock::lock;

use backgrounds::Backgrounds;
use calibrated::Calibrated;
pub use calibrated::measured_file;
pub use demo_check::DemoCheck;
pub(crate) use refit::LabelledHits;
pub use refit::{GoodMatches, Platt, Refit, RefitError};
use refits::Refits;
pub use scale::{RELEVANT, Scale};

/// How long the calibration waits before it tries again after a failure.
const RETRY_DELAY: Duration = Duration::from_mins(1);
/// The best weight of an image beside a text, in units of the ratio of the deviations of their cosines (ADR 0014).
const IMAGE_SHARE: f64 = 0.6;
/// The factor that this gives for the built-in model; used until a model is calibrated.
const DEFAULT_IMAGE_FACTOR: f64 = 0.22;
/// How long it waits for a provider that is not usable.
const PROVIDER_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Why the relevance of hits is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRelevance {
    /// The calibration has not ended.
    #[error("the model is being calibrated; try again later")]
    Running,
    /// The calibration failed.
    #[error("the calibration of the model failed, and is repeated later: {0}")]
    Failed(String),
    /// Calibration is off, and no result is stored.
    #[error("the model is not calibrated, because GLIMPSE_CALIBRATE is false")]
    Off,
    /// The model has no text tower.
    #[error("the model has no vectors of texts")]
    NoTexts,
    /// A query of several parts has no relevance.
    #[error("a query of several parts has no relevance; use min_score")]
    SeveralParts,
}

/// What a query consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// One text.
    Text,
    /// One image.
    Image,
    /// Several texts or images.
    Several,
}

/// The calibration of the provider in use. Clones share it.
#[derive(Clone)]
pub struct Calibration(Arc<Shared>);

struct Shared {
    provider: Arc<dyn ImageEmbeddingProvider>,
    folder: PathBuf,
    is_on: bool,
    state: Mutex<State>,
    /// Notified if a search finds that the space of the provider is another one.
    changed: Notify,
    backgrounds: Backgrounds,
    refits: Refits,
}

/// The space that was calibrated last, and the result.
struct State {
    space: Option<Arc<Space>>,
    outcome: Result<Arc<Calibrated>, NoRelevance>,
}

impl std::fmt::Debug for Calibration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calibration").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

impl Calibration {
    /// Creates the calibration of a provider. Its results are stored in `folder`. If `is_on` is false, only stored
    /// results are used.
    pub fn new(provider: Arc<dyn ImageEmbeddingProvider>, folder: PathBuf, is_on: bool) -> Self {
        Self(Arc::new(Shared {
            provider,
            refits: Refits::load(&folder),
            folder,
            is_on,
            state: Mutex::new(State { space: None, outcome: Err(NoRelevance::Running) }),
            changed: Notify::new(),
            backgrounds: Backgrounds::default(),
        }))
    }

    /// Calibrates each space of the provider when it is first used, until `end`.
    pub async fn keep(&self, end: CancellationToken) {
        let keep = async {
            loop {
                let Ok(space) = self.0.provider.space().await else {
                    tokio::time::sleep(PROVIDER_RETRY_DELAY).await;
                    continue;
                };
                // The calibration of another space is not valid while this one is measured.
                *lock(&self.0.state) = State { space: Some(space.clone()), outcome: Err(NoRelevance::Running) };
                let outcome = self.calibrate(&space).await;
                let is_failure = matches!(outcome, Err(NoRelevance::Failed(_)));
                lock(&self.0.state).outcome = outcome;
                let changed = self.0.changed.notified();
                let delay = if is_failure { RETRY_DELAY } else { Duration::MAX };
                tokio::time::timeout(delay, changed).await.ok();
            }
        };
        end.run_until_cancelled(keep).await;
    }

    /// Loads the calibration of a space, or measures it.
    async fn calibrate(&self, space: &Space) -> Result<Arc<Calibrated>, NoRelevance> {
        if let Some(stored) = Calibrated::load(&self.0.folder, space) {
            return Ok(Arc::new(stored));
        }
        if !self.0.is_on {
            return Err(NoRelevance::Off);
        }
        let start = Instant::now();
        let measured = Calibrated::measure(&*self.0.provider, space).await.map_err(|error| {
            tracing::error!(%error, space = space.name(), "the calibration of the model failed; it is repeated in a minute");
            NoRelevance::Failed(error.for_client())
        })?;
        let is_usable = measured.text.as_ref().is_none_or(|text| text.usable) && measured.image.usable;
        let seconds = start.elapsed().as_secs_f64();
        tracing::info!(space = space.name(), is_usable, seconds, "the model is calibrated");
        if let Err(error) = measured.store(&self.0.folder) {
            tracing::warn!(%error, "the calibration cannot be stored; the next start repeats it");
        }
        Ok(Arc::new(measured))
    }

    /// Returns the calibration of `space`, or why there is none.
    fn current(&self, space: &Space) -> Result<Arc<Calibrated>, NoRelevance> {
        let state = lock(&self.0.state);
        if state.space.as_ref().is_some_and(|known| known.admits(space).is_ok()) {
            return state.outcome.clone();
        }
        self.0.changed.notify_one();
        Err(NoRelevance::Running)
    }

    /// Returns what the weight of an image is multiplied by in a query that also has texts. The cosines of images with each
    /// other differ more than those with texts, so that an image would outweigh every text.
    #[expect(clippy::cast_possible_truncation, reason = "a number near 0.2")]
    pub fn image_factor(&self, space: &Space) -> f32 {
        let factor = |calibrated: Arc<Calibrated>| {
            let texts = calibrated.text.as_ref()?.mismatch_deviation;
            Some(IMAGE_SHARE * texts / calibrated.image.mismatch_deviation).filter(|factor| factor.is_normal())
        };
        self.current(space).ok().and_then(factor).unwrap_or(DEFAULT_IMAGE_FACTOR).min(1.0) as f32
    }

    /// Prepares the scale of a query in a collection. The first query of a collection takes a sample of it.
    ///
    /// # Errors
    /// [`NoRelevance`] if the relevance of this query is not known.
    pub async fn prepare(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        space: &Space,
        kind: QueryKind,
    ) -> Result<PreparedScale, NoRelevance> {
        let calibrated = self.current(space)?;
        match kind {
            QueryKind::Several => Err(NoRelevance::SeveralParts),
            QueryKind::Image => Ok(PreparedScale { calibrated, background: None, fit: None }),
            QueryKind::Text => {
                let fit = calibrated.text.as_ref().ok_or(NoRelevance::NoTexts)?;
                let background = if fit.usable {
                    Some(self.0.backgrounds.get(stores, collection, &calibrated, fit).await)
                } else {
                    None
                };
                Ok(PreparedScale { calibrated, background, fit: self.0.refits.platt(collection, space) })
            }
        }
    }

    /// Reports how many records a collection has now. If it has twice or half as many as before, the next search takes
    /// another sample.
    pub fn report_size(&self, stores: &Stores, collection: &CollectionName, records: u64) {
        self.0.backgrounds.report_size(stores, collection, records);
    }

    /// Fits the relevance of a collection to the hits of labelled queries, and stores the fit.
    ///
    /// # Errors
    /// [`RefitError`] if there are not enough answers, and the error of the file system if the fit cannot be stored.
    pub(crate) fn refit(
        &self,
        collection: CollectionName,
        space: Space,
        queries: &[LabelledHits],
    ) -> Result<io::Result<Refit>, RefitError> {
        let platt = refit::fit(queries)?;
        let (error_before, error_after) = refit::errors(queries, platt);
        let hits = || queries.iter().flatten();
        let refit = Refit {
            collection,
            space,
            platt,
            queries: queries.len(),
            hits: hits().count(),
            right: hits().filter(|(_, is_right)| *is_right).count(),
            error_before,
            error_after,
            good_matches: Some(refit::good_matches(queries, platt)),
            measured_at: Timestamp::now(),
        };
        Ok(self.0.refits.put(refit.clone()).map(|()| refit))
    }

    /// Returns the fit of a collection to the answers of its users, if there is one.
    pub fn stored_refit(&self, collection: &CollectionName) -> Option<Refit> {
        self.0.refits.get(collection)
    }

    /// Removes the fit of a collection: the model's own relevance is used again.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn remove_refit(&self, collection: &CollectionName) -> io::Result<()> {
        self.0.refits.remove(collection)
    }

    /// Removes what is stored about a dropped collection.
    pub fn forget_collection(&self, collection: &CollectionName) {
        if let Err(error) = self.remove_refit(collection) {
            tracing::warn!(%collection, %error, "the calibration of a dropped collection cannot be removed");
        }
    }
}

/// A scale that needs the cosine of the best hit.
#[derive(Clone, Debug)]
pub struct PreparedScale {
    calibrated: Arc<Calibrated>,
    background: Option<Arc<scale::Background>>,
    fit: Option<Platt>,
}

impl PreparedScale {
    /// Returns the scale of a query. `best` is the cosine of the best hit of the whole search, not only of its page.
    pub fn with_best(&self, kind: QueryKind, query: &Embedding, best: f32) -> Scale {
        match (kind, &self.calibrated.text, &self.background) {
            (QueryKind::Text, Some(fit), Some(background)) => {
                Scale::for_text(fit, background, query.as_slice(), f64::from(best)).with_fit(self.fit)
            }
            (QueryKind::Text, _, _) => Scale::Constant(fit::TEXT_PRIOR),
            (QueryKind::Image | QueryKind::Several, _, _) => Scale::for_image(&self.calibrated.image),
        }
    }
}

#[cfg(test)]
mod tests;

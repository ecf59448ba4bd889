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
mod prepared;
mod refit;
mod refits;
mod scale;
mod spaces;
mod vectors;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{CollectionName, Space, Timestamp};
use crate::embed::ImageEmbeddingProvider;
use crate::index::Stores;
use crate::lock::lock;

use backgrounds::Backgrounds;
use calibrated::Calibrated;
pub use calibrated::measured_file;
pub use demo_check::DemoCheck;
pub use prepared::PreparedScale;
pub(crate) use refit::LabelledHits;
pub use refit::{GoodMatches, Platt, Refit, RefitError};
use refits::Refits;
pub use scale::{RELEVANT, Scale};
use spaces::{Next, Spaces};

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

/// The calibration of the models in use. Clones share it.
#[derive(Clone)]
pub struct Calibration(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    is_on: bool,
    spaces: Mutex<Spaces>,
    /// Notified when a model is to be calibrated.
    wanted: Notify,
    backgrounds: Backgrounds,
    refits: Refits,
}

impl std::fmt::Debug for Calibration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calibration").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

impl Calibration {
    /// Creates the calibration, and begins with the model of this provider. Results are stored in `folder`. If `is_on` is
    /// false, only stored results are used.
    pub fn new(provider: &Arc<dyn ImageEmbeddingProvider>, folder: PathBuf, is_on: bool) -> Self {
        Self(Arc::new(Shared {
            refits: Refits::load(&folder),
            folder,
            is_on,
            spaces: Mutex::new(Spaces::new(provider)),
            wanted: Notify::new(),
            backgrounds: Backgrounds::default(),
        }))
    }

    /// Calibrates each space when it is first used, one after the other, until `end`.
    pub async fn keep(&self, end: CancellationToken) {
        let keep = async {
            loop {
                let provider = self.next().await;
                let Ok(space) = provider.space().await else {
                    lock(&self.0.spaces).want(&provider);
                    tokio::time::sleep(PROVIDER_RETRY_DELAY).await;
                    continue;
                };
                lock(&self.0.spaces).set(&space, Err(NoRelevance::Running), None);
                let outcome = self.calibrate(&*provider, &space).await;
                let retry = matches!(outcome, Err(NoRelevance::Failed(_))).then(|| (&provider, RETRY_DELAY));
                lock(&self.0.spaces).set(&space, outcome, retry);
            }
        };
        end.run_until_cancelled(keep).await;
    }

    /// Waits for a model that is to be calibrated.
    async fn next(&self) -> Arc<dyn ImageEmbeddingProvider> {
        loop {
            let wanted = self.0.wanted.notified();
            let delay = match lock(&self.0.spaces).next() {
                Next::Provider(provider) => return provider,
                Next::Wait(delay) => delay,
            };
            tokio::time::timeout(delay, wanted).await.ok();
        }
    }

    /// Calibrates a model with this space, unless it is known already.
    pub fn use_model(&self, provider: &Arc<dyn ImageEmbeddingProvider>, space: &Space) {
        let mut spaces = lock(&self.0.spaces);
        if spaces.outcome(space).is_none() {
            spaces.want(provider);
            self.0.wanted.notify_one();
        }
    }

    /// Loads the calibration of a space, or measures it.
    async fn calibrate(
        &self,
        provider: &dyn ImageEmbeddingProvider,
        space: &Space,
    ) -> Result<Arc<Calibrated>, NoRelevance> {
        if let Some(stored) = Calibrated::load(&self.0.folder, space) {
            return Ok(Arc::new(stored));
        }
        if !self.0.is_on {
            return Err(NoRelevance::Off);
        }
        let start = Instant::now();
        let measured = Calibrated::measure(provider, space).await.map_err(|error| {
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
        lock(&self.0.spaces).outcome(space).unwrap_or(Err(NoRelevance::Running))
    }

    /// Whether a space is calibrated.
    pub fn is_known(&self, space: &Space) -> bool {
        self.current(space).is_ok()
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

#[cfg(test)]
mod tests;

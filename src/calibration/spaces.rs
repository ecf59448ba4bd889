//! The spaces that are calibrated, and the models whose calibration is still to do.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::NoRelevance;
use super::calibrated::Calibrated;
use crate::domain::Space;
use crate::embed::ImageEmbeddingProvider;

/// Maximum number of spaces that are kept; each has about a megabyte. One that was left out is read from its file again.
const MAX_SPACES: usize = 8;
/// Maximum number of models that wait for their calibration.
const MAX_WANTED: usize = 16;

/// Models are not kept in memory for their calibration.
type Provider = Weak<dyn ImageEmbeddingProvider>;
type Outcome = Result<Arc<Calibrated>, NoRelevance>;

/// The results of the calibration of several spaces.
pub(super) struct Spaces {
    /// The one that was calibrated last is the last.
    known: VecDeque<Known>,
    wanted: VecDeque<Provider>,
}

struct Known {
    space: Arc<Space>,
    outcome: Outcome,
    /// When a failed calibration is repeated.
    retry: Option<(Provider, Instant)>,
}

/// What the calibration does next.
pub(super) enum Next {
    /// Calibrates the model of this provider.
    Provider(Arc<dyn ImageEmbeddingProvider>),
    /// Waits for a model, for at most this time.
    Wait(Duration),
}

impl Spaces {
    /// Begins with the model of this provider.
    pub(super) fn new(provider: &Arc<dyn ImageEmbeddingProvider>) -> Self {
        Self { known: VecDeque::new(), wanted: VecDeque::from([Arc::downgrade(provider)]) }
    }

    /// Returns the result of a space; `None` if it is to be calibrated.
    pub(super) fn outcome(&self, space: &Space) -> Option<Outcome> {
        let known = self.known.iter().find(|known| known.space.admits(space).is_ok());
        known.map(|known| known.outcome.clone())
    }

    /// Adds a model to those that wait for their calibration.
    pub(super) fn want(&mut self, provider: &Arc<dyn ImageEmbeddingProvider>) {
        let provider = Arc::downgrade(provider);
        let waits = self.wanted.iter().any(|wanted| wanted.ptr_eq(&provider));
        if !waits && self.wanted.len() < MAX_WANTED {
            self.wanted.push_back(provider);
        }
    }

    /// Sets the result of a space. A failed calibration is repeated after a delay, if the model is still in memory then.
    pub(super) fn set(
        &mut self,
        space: &Arc<Space>,
        outcome: Outcome,
        retry: Option<(&Arc<dyn ImageEmbeddingProvider>, Duration)>,
    ) {
        self.known.retain(|known| known.space.admits(space).is_err());
        if self.known.len() == MAX_SPACES {
            self.known.pop_front();
        }
        let retry = retry.map(|(provider, delay)| (Arc::downgrade(provider), Instant::now() + delay));
        self.known.push_back(Known { space: space.clone(), outcome, retry });
    }

    /// Returns what to do next.
    pub(super) fn next(&mut self) -> Next {
        while let Some(wanted) = self.wanted.pop_front() {
            if let Some(provider) = wanted.upgrade() {
                return Next::Provider(provider);
            }
        }
        // The next search with a model that was dropped has its space calibrated.
        self.known.retain(|known| known.retry.as_ref().is_none_or(|(provider, _)| provider.strong_count() > 0));
        let now = Instant::now();
        let failed = self.known.iter_mut().filter_map(|known| known.retry.as_ref().map(|(_, at)| *at).zip(Some(known)));
        let Some((at, first)) = failed.min_by_key(|(at, _)| *at) else { return Next::Wait(Duration::MAX) };
        if at > now {
            return Next::Wait(at - now);
        }
        // Taken, because the provider may have another space now.
        match first.retry.take().and_then(|(provider, _)| provider.upgrade()) {
            Some(provider) => Next::Provider(provider),
            None => Next::Wait(Duration::ZERO),
        }
    }
}

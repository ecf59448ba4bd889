//! The last comparisons, and when they are made again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Compared;
use crate::domain::{CollectionName, Space};
use crate::lock::lock;

/// Maximum number of comparisons that are kept.
const MAX_KEPT: usize = 64;
/// How long a comparison with failed searches is kept.
const FAILURE_TTL: Duration = Duration::from_secs(30);

/// Two generations, the version of all generations, and the numbers of their images when they were compared.
pub(super) type Key = (CollectionName, u32, u32, u64, u64);

/// The last comparisons.
#[derive(Debug, Default)]
pub(in crate::search) struct Comparisons {
    kept: Mutex<HashMap<Key, Kept>>,
    /// One comparison runs at a time.
    pub(super) running: tokio::sync::Mutex<()>,
}

/// What the task of a comparison sends.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) compared: Compared,
    /// The spaces of the models whose calibration had not ended, so that their relevance is missing.
    pub(super) uncalibrated: Vec<Arc<Space>>,
}

impl Default for State {
    fn default() -> Self {
        Self { compared: Compared::Running, uncalibrated: Vec::new() }
    }
}

#[derive(Clone, Debug)]
struct Kept {
    begun: Instant,
    /// The receiver of what the task sends. It is `Running` until then.
    state: watch::Receiver<State>,
}

impl Kept {
    /// Whether the comparison is to be made again: the task has panicked, searches have failed a while ago, or the models are
    /// calibrated since.
    fn is_outdated(&self, is_calibrated: impl Fn(&Space) -> bool) -> bool {
        let state = self.state.borrow();
        let is_failure = match &state.compared {
            Compared::Running => return self.state.has_changed().is_err(),
            Compared::Done(comparison) => comparison.failed > 0,
            Compared::Failed(_) => true,
        };
        let gets_relevance =
            !state.uncalibrated.is_empty() && state.uncalibrated.iter().all(|space| is_calibrated(space));
        gets_relevance || (is_failure && self.begun.elapsed() > FAILURE_TTL)
    }
}

impl Comparisons {
    /// Returns the state of a comparison. If there is none, or if it is outdated, `begin` begins it.
    pub(super) fn get_or_begin(
        &self,
        key: Key,
        is_calibrated: impl Fn(&Space) -> bool,
        begin: impl FnOnce() -> watch::Receiver<State>,
    ) -> watch::Receiver<State> {
        let mut kept = lock(&self.kept);
        if let Some(kept) = kept.get(&key).filter(|kept| !kept.is_outdated(is_calibrated)) {
            return kept.state.clone();
        }
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        let state = begin();
        kept.insert(key, Kept { begun: Instant::now(), state: state.clone() });
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Comparison, GenerationResults};

    fn space(model: &str) -> Arc<Space> {
        Arc::new(Space { model: model.to_owned(), dimension: 2, preprocessing: "p".to_owned(), probes: Vec::new() })
    }

    fn done(failed: usize) -> Compared {
        Compared::Done(Arc::new(Comparison {
            texts: 1,
            images: 1,
            failed,
            failure: None,
            overlap_at_10: None,
            rank_correlation: None,
            one: GenerationResults::default(),
            other: GenerationResults::default(),
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_comparison_without_relevance_is_made_again_once_after_the_calibration() {
        let comparisons = Comparisons::default();
        let key: Key = (CollectionName::parse("c").unwrap(), 1, 2, 0, 5);
        let begun = std::cell::Cell::new(0);
        let get = |calibrated: &[&str], next: State| {
            let begin = || {
                begun.set(begun.get() + 1);
                watch::channel(next).1
            };
            comparisons.get_or_begin(key.clone(), |space| calibrated.contains(&space.model.as_str()), begin);
            begun.get()
        };
        let without = || State { compared: done(0), uncalibrated: vec![space("a"), space("b")] };
        assert_eq!(get(&[], without()), 1);
        tokio::time::advance(FAILURE_TTL * 2).await;
        assert_eq!(get(&[], without()), 1);
        assert_eq!(get(&["a"], without()), 1, "the other is still being calibrated");
        assert_eq!(get(&["a", "b"], State { compared: done(0), uncalibrated: Vec::new() }), 2);
        tokio::time::advance(FAILURE_TTL * 2).await;
        assert_eq!(get(&["a", "b"], without()), 2, "it has the relevance");
    }

    #[tokio::test(start_paused = true)]
    async fn a_comparison_with_failures_is_made_again_after_a_while() {
        let comparisons = Comparisons::default();
        let key: Key = (CollectionName::parse("c").unwrap(), 1, 2, 0, 5);
        let begin = || watch::channel(State { compared: done(1), uncalibrated: Vec::new() }).1;
        let is_same = |first: &watch::Receiver<State>| {
            first.same_channel(&comparisons.get_or_begin(key.clone(), |_| true, begin))
        };
        let first = comparisons.get_or_begin(key.clone(), |_| true, begin);
        assert!(is_same(&first));
        tokio::time::advance(FAILURE_TTL * 2).await;
        assert!(!is_same(&first));
    }
}

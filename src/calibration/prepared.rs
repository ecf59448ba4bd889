//! The scale of a query before its best hit is known.

use std::sync::Arc;

use super::calibrated::Calibrated;
use super::refit::Platt;
use super::scale::{Background, Scale};
use super::{QueryKind, fit};
use crate::domain::Embedding;

/// A scale that needs the cosine of the best hit.
#[derive(Clone, Debug)]
pub struct PreparedScale {
    pub(super) calibrated: Arc<Calibrated>,
    pub(super) background: Option<Arc<Background>>,
    pub(super) fit: Option<Platt>,
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

//! Leaves the copies of one indexed image among the hits.

use crate::domain::{Hit, MIN_COPY_COSINE, Payload, Signature};
use crate::imaging::is_copy;

use super::MergedHit;

/// The number of nearest images that are compared with the image of the query.
pub(super) const MAX_COPY_CANDIDATES: usize = 400;

/// What the copies of an indexed image are recognised by.
#[derive(Clone, Debug)]
pub(super) struct Original {
    /// Empty if the record has no hash.
    pub(super) content_sha256: String,
    signature: Option<Signature>,
}

impl Original {
    pub(super) fn new(payload: Payload) -> Self {
        Self { content_sha256: payload.content_sha256, signature: payload.hashes }
    }

    /// Removes the hits that are not copies. Compares signatures, so it must not run on a thread of the async runtime.
    pub(super) fn retain_copies(&self, hits: &mut Vec<MergedHit>) {
        hits.retain(|found| self.has_same_content(&found.hit) || self.looks_same(&found.hit));
    }

    fn has_same_content(&self, hit: &Hit) -> bool {
        !self.content_sha256.is_empty() && hit.payload.content_sha256 == self.content_sha256
    }

    fn looks_same(&self, hit: &Hit) -> bool {
        match (&self.signature, &hit.payload.hashes) {
            (Some(own), Some(other)) => hit.score >= MIN_COPY_COSINE && is_copy(own, other),
            _ => false,
        }
    }
}

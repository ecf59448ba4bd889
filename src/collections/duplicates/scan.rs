//! One search for duplicates.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc::Sender;

use super::facts::Facts;
use super::groups::read_group;
use super::sets::Sets;
use super::{DuplicateGroup, DuplicateKind};
use crate::domain::{CollectionName, FailureKind, MIN_COPY_COSINE};
use crate::imaging::is_copy;
use crate::index::{ImageIndex, IndexError, NearPairs};
use crate::jobs::error::JobsError;
use crate::resilience::cores;

/// Each image is compared with this many others, the nearest ones. A copy is nearly always the nearest of all.
const MAX_COMPARED_PER_IMAGE: usize = 8;
/// Pairs that are compared by one task.
const PAIRS_PER_TASK: usize = 512;

pub(super) struct Scan<'a> {
    pub(super) store: Arc<dyn ImageIndex>,
    pub(super) collection: CollectionName,
    pub(super) groups: &'a Sender<Result<DuplicateGroup, JobsError>>,
}

impl Scan<'_> {
    pub(super) async fn run(&self, kind: DuplicateKind) -> Result<(), IndexError> {
        let facts = Arc::new(Facts::read(self.store.as_ref(), &self.collection, kind).await?);
        let by_content = facts.by_content();
        match kind {
            DuplicateKind::Identical => {
                let groups = by_content.chunk_by(|a, b| facts.same_content(*a, *b));
                for group in groups.filter(|group| group.len() > 1) {
                    self.send(&facts, group, kind).await?;
                }
            }
            DuplicateKind::Similar => {
                let members = self.similar(&facts, &by_content).await?.members();
                for set in members.chunk_by(|a, b| a.0 == b.0).filter(|set| set.len() > 1) {
                    let group: Vec<u32> = set.iter().map(|(_, member)| *member).collect();
                    self.send(&facts, &group, kind).await?;
                }
            }
        }
        Ok(())
    }

    /// Joins the images that are identical or copies of each other.
    async fn similar(&self, facts: &Arc<Facts>, by_content: &[u32]) -> Result<Sets, IndexError> {
        let mut sets = Sets::new(facts.ids.len());
        // Of identical images, only the first is compared: the nearest images of the others would be their copies.
        let mut without = HashSet::new();
        for group in by_content.chunk_by(|a, b| facts.same_content(*a, *b)) {
            for other in &group[1..] {
                sets.join(group[0], *other);
                without.insert(facts.ids[*other as usize]);
            }
        }
        let options = NearPairs {
            max_per_record: MAX_COMPARED_PER_IMAGE,
            min_score: MIN_COPY_COSINE,
            without: Arc::new(without),
        };
        let pairs =
            self.store.near_pairs(&self.collection, options).try_chunks(PAIRS_PER_TASK).map_err(|error| error.1);
        let compared = pairs.map_ok(|pairs| {
            let facts = Arc::clone(facts);
            let compare = move || {
                let positions = pairs.iter().filter_map(|(a, b)| Some((facts.position(*a)?, facts.position(*b)?)));
                let same = positions.filter(|(a, b)| match (facts.signature(*a), facts.signature(*b)) {
                    (Some(a), Some(b)) => is_copy(a, b),
                    _ => false,
                });
                same.collect::<Vec<_>>()
            };
            async move { tokio::task::spawn_blocking(compare).await.map_err(|panic| self.failed(&panic)) }
        });
        let mut compared = compared.try_buffer_unordered(cores().get()).boxed();
        while let Some(same) = compared.try_next().await? {
            for (a, b) in same {
                sets.join(number(a), number(b));
            }
        }
        Ok(sets)
    }

    /// Reads the records of a group and sends them. A client that does not read stops the search here.
    async fn send(&self, facts: &Facts, positions: &[u32], kind: DuplicateKind) -> Result<(), IndexError> {
        let ids: Vec<_> = positions.iter().map(|at| facts.ids[*at as usize]).collect();
        if let Some(group) = read_group(self.store.as_ref(), &self.collection, &ids, kind).await? {
            // Sending fails if the client has gone away; then the search is stopped.
            drop(self.groups.send(Ok(group)).await);
        }
        Ok(())
    }

    fn failed(&self, panic: &tokio::task::JoinError) -> IndexError {
        let (dependency, failure) = (self.store.name().to_owned(), FailureKind::Failed);
        crate::domain::DependencyError { dependency, failure, detail: panic.to_string() }.into()
    }
}

/// Returns a position as a number of [`Sets`].
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

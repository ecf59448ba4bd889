//! Finds images that a collection has several times: objects with the same bytes, or copies of the same image.

mod facts;
mod groups;
mod scan;
mod sets;

use std::sync::Arc;

use futures::stream::Stream;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::domain::{CollectionName, StoredImage};
use crate::index::{ImageIndex, IndexError, Stores};
use crate::jobs::error::JobsError;
use crate::jobs::service::Jobs;
use scan::Scan;

/// What is the same in the images of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum DuplicateKind {
    /// The bytes.
    #[default]
    Identical,
    /// The image: one file is a resized, recompressed or mirrored copy of the other, or is cropped by at most 20 % of
    /// each side. Identical images are included.
    Similar,
}

impl DuplicateKind {
    /// Returns the kind with this name in requests.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Identical, Self::Similar].into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name in requests and replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Similar => "similar",
        }
    }
}

/// Images that are the same.
#[derive(Clone, Debug)]
pub struct DuplicateGroup {
    /// The number of images.
    pub total: usize,
    /// The images, the largest first; at most [`MAX_LISTED`].
    pub images: Vec<StoredImage>,
}

/// The maximum number of images that are listed of one group.
pub const MAX_LISTED: usize = 1_000;
/// The maximum number of records in which similar images are searched for: the time grows with its square, and their
/// signatures are in memory.
const MAX_COMPARED_RECORDS: u64 = 1_000_000;
/// Groups that are found while the client is still reading.
const GROUPS_AHEAD: usize = 4;

/// A search for duplicates uses every core, so that only one runs at a time.
static SCANS: Semaphore = Semaphore::const_new(1);

impl Jobs {
    /// Returns the groups of duplicates in one store, by default in the first one that has the collection. The search
    /// begins at once, and stops when the stream is dropped.
    ///
    /// # Errors
    /// [`JobsError::Index`] if the collection does not exist or the store does not answer; [`JobsError::Invalid`] if the
    /// store is not known or the collection has too many records; [`JobsError::DuplicatesBusy`] if another search runs.
    pub async fn duplicates(
        &self,
        name: &str,
        kind: DuplicateKind,
        provider: Option<&str>,
    ) -> Result<impl Stream<Item = Result<DuplicateGroup, JobsError>> + Send + use<>, JobsError> {
        let collection = self.0.resolve(&CollectionName::parse(name)?)?.physical;
        let (store, count) = find_store(&self.0.stores, &collection, provider).await?;
        if kind == DuplicateKind::Similar && count > MAX_COMPARED_RECORDS {
            let message = format!(
                "`similar` compares at most {MAX_COMPARED_RECORDS} images, and the collection has {count}; use `identical`"
            );
            return Err(JobsError::Invalid("kind", message));
        }
        let permit = SCANS.try_acquire().map_err(|_| JobsError::DuplicatesBusy)?;
        let (groups, received) = mpsc::channel(GROUPS_AHEAD);
        let closing = self.closing();
        self.0.tasks.spawn(async move {
            let _permit = permit;
            let scan = Scan { store, collection, groups: &groups };
            let outcome = tokio::select! {
                outcome = scan.run(kind) => outcome.map_err(JobsError::Index),
                () = groups.closed() => return,
                () = closing => Err(JobsError::Draining),
            };
            if let Err(error) = outcome {
                // Sending fails if the client has gone away.
                drop(groups.send(Err(error)).await);
            }
        });
        Ok(ReceiverStream::new(received))
    }
}

/// Returns the store that `provider` names, or the first one that has the collection, and the number of its records.
pub(in crate::collections) async fn find_store(
    stores: &Stores,
    collection: &CollectionName,
    provider: Option<&str>,
) -> Result<(Arc<dyn ImageIndex>, u64), JobsError> {
    let candidates: Vec<_> = match provider {
        None => stores.iter().collect(),
        Some(name) => stores.named(name).into_iter().collect(),
    };
    if candidates.is_empty() {
        let (name, names) = (provider.unwrap_or_default(), stores.names());
        return Err(JobsError::Invalid("provider", format!("must be one of {names}, not `{name}`")));
    }
    for store in candidates {
        if let Some(info) = store.describe(collection).await? {
            return Ok((store.clone(), info.count));
        }
    }
    Err(IndexError::UnknownCollection(collection.clone()).into())
}

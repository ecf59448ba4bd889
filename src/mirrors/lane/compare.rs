//! Compares keys with the bucket: an object that is new or changed is indexed, one that is gone is removed.
//!
//! Each key is listed as a prefix, and not requested with `HEAD`: the version and the size then are those that the listing
//! of a job compares with (services can give others in a reply to a request for the object), and an object that is missing
//! in a listing does not exist, whereas 404 and 403 can also be an answer to wrong credentials.

use std::num::NonZeroUsize;

use futures::stream::{self, StreamExt};

use super::batch::{Batch, Target};
use crate::domain::{ImageRef, ImageUri, MirrorSpec};
use crate::ledger::events::PendingKey;
use crate::ledger::objects::{self, ObjectRow};
use crate::ledger::{LedgerError, events, tombstones};
use crate::resilience::Concurrently;
use crate::source::SourceError;

/// Maximum number of keys that are requested at the same time.
const CONCURRENT_REQUESTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// What has to be done with the keys of a batch.
#[derive(Default)]
pub(super) struct Compared {
    /// The stores agree with the bucket.
    pub(super) unchanged: Vec<PendingKey>,
    /// The image was removed permanently.
    pub(super) kept_away: Vec<PendingKey>,
    /// A job may be writing the record now.
    pub(super) busy: Vec<PendingKey>,
    /// The bucket could not be read.
    pub(super) failed: Vec<(PendingKey, SourceError)>,
    /// The object does not exist; with what the ledger knows of it.
    pub(super) removed: Vec<(PendingKey, Option<ObjectRow>)>,
    /// The object is new or changed.
    pub(super) changed: Vec<Changed>,
}

/// An object that is new or changed.
#[derive(Clone)]
pub(super) struct Changed {
    pub(super) key: PendingKey,
    pub(super) image: ImageRef,
    /// What the ledger knows of it.
    pub(super) before: Option<ObjectRow>,
    /// An object whose bytes are possibly the same.
    pub(super) possible_copy: Option<ImageUri>,
}

impl Batch<'_> {
    pub(super) async fn compare(&self, target: &Target, keys: Vec<PendingKey>) -> Result<Compared, LedgerError> {
        let mut compared = Compared::default();
        // The mirror can have got another scope since the event arrived.
        let in_scope = |key: &PendingKey| {
            let in_mirror =
                |spec: &MirrorSpec| key.uri.bucket() == spec.bucket && key.uri.key().starts_with(&spec.prefix);
            target.mirror.as_ref().is_none_or(in_mirror)
        };
        let (keys, outside): (Vec<_>, Vec<_>) = keys.into_iter().partition(in_scope);
        compared.unchanged = outside;
        let source = self.service.jobs.0.pipeline.source().clone();
        let find = move |key: PendingKey| {
            let source = source.clone();
            async move {
                let found = source.find(&key.uri).await;
                (key, found)
            }
        };
        let found: Vec<_> = stream::iter(keys).concurrently(CONCURRENT_REQUESTS, find).collect().await;
        let mut listed = Vec::with_capacity(found.len());
        for (key, found) in found {
            match found {
                Ok(found) => listed.push((key, found)),
                Err(error) => compared.failed.push((key, error)),
            }
        }
        let (collection, space, running) = (target.collection.clone(), target.space.name(), self.running());
        let stores = self.service.jobs.0.pipeline.stores().name_set();
        let sync = target.mirror.as_ref().is_some_and(|spec| spec.sync);
        let sort = move |db: &rusqlite::Connection| {
            for (key, found) in listed {
                if tombstones::exists(db, &collection, &key.uri)? {
                    compared.kept_away.push(key);
                    continue;
                }
                let before = events::object(db, &collection, &key.uri)?;
                if events::is_leased(db, &running, &collection, &key.uri)? {
                    compared.busy.push(key);
                    continue;
                }
                match found {
                    // The ledger can say what the stores have only if no earlier attempt was interrupted.
                    Some(image)
                        if !key.is_started
                            && before
                                .as_ref()
                                .is_some_and(|known| events::is_current(known, &image, &space, &stores)) =>
                    {
                        compared.unchanged.push(key);
                    }
                    Some(image) => {
                        let possible_copy = objects::possible_copy(db, &collection, &space, &image)?;
                        compared.changed.push(Changed { key, image, before, possible_copy });
                    }
                    None if sync => compared.removed.push((key, before)),
                    None => compared.unchanged.push(key),
                }
            }
            Ok(compared)
        };
        self.service.ledger.read(sort).await
    }
}

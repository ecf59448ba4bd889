//! What the search for duplicates keeps in memory about each record.

use futures::{StreamExt, TryStreamExt};

use super::DuplicateKind;
use crate::domain::{CollectionName, ImageId, Signature, StoredImage};
use crate::index::{ImageIndex, IndexError};

/// Records that are read in one call.
pub(super) const CHUNK: usize = 256;
/// Calls at the same time.
const CONCURRENT_READS: usize = 4;
/// The hexadecimal digits of a hash that are compared: 64 bits. The listed records are compared by the whole hash.
const PREFIX_DIGITS: usize = 16;

/// The records of a collection in ascending order of their ids.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) ids: Vec<ImageId>,
    /// The beginning of the hash of each record's bytes; `None` if the record has no hash.
    contents: Vec<Option<u64>>,
    /// Empty if only identical images are searched for.
    signatures: Vec<Option<Signature>>,
}

impl Facts {
    /// Reads all records.
    pub(super) async fn read(
        store: &dyn ImageIndex,
        collection: &CollectionName,
        kind: DuplicateKind,
    ) -> Result<Self, IndexError> {
        let ids = store.scan(collection).try_chunks(CHUNK).map_err(|error| error.1);
        let reads = ids.map_ok(|ids| async move { store.payloads(collection, &ids).await });
        let mut reads = reads.try_buffered(CONCURRENT_READS).boxed();
        let mut facts = Self::default();
        while let Some(mut records) = reads.try_next().await? {
            records.sort_by_key(|record| record.id);
            for record in records {
                facts.add(record, kind);
            }
        }
        Ok(facts)
    }

    fn add(&mut self, record: StoredImage, kind: DuplicateKind) {
        let prefix = record.payload.content_sha256.get(..PREFIX_DIGITS);
        self.ids.push(record.id);
        self.contents.push(prefix.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        if kind == DuplicateKind::Similar {
            self.signatures.push(record.payload.hashes);
        }
    }

    /// Returns the position of a record.
    pub(super) fn position(&self, id: ImageId) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    pub(super) fn signature(&self, position: usize) -> Option<&Signature> {
        self.signatures.get(position)?.as_ref()
    }

    /// Returns the positions of the records that have the same bytes as others, ordered by their bytes and then by their
    /// position. Groups are not separated.
    pub(super) fn by_content(&self) -> Vec<u32> {
        let mut positions: Vec<u32> = (0..).zip(&self.contents).filter_map(|(at, hash)| hash.map(|_| at)).collect();
        positions.sort_unstable_by_key(|at| (self.contents[*at as usize], *at));
        positions
    }

    /// Whether two records have the same bytes.
    pub(super) fn same_content(&self, a: u32, b: u32) -> bool {
        self.contents[a as usize].is_some() && self.contents[a as usize] == self.contents[b as usize]
    }
}

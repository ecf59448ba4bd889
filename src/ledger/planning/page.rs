//! A page of a listing.

use std::collections::{BTreeMap, HashSet};

use crate::domain::{ImageRef, ImageUri};
use crate::ledger::planning::listing::Cursor;

/// A page of a listing, with its keys classified.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// The last key of the page: an interrupted job continues its listing after it.
    pub(crate) listed_through: Option<String>,
    /// Number of keys in the page.
    pub(crate) listed: u64,
    /// Number of keys whose name does not look like an image.
    pub(crate) skipped: u64,
    /// The skipped keys, if they are needed: a job with `sync` removes the records of keys that are not listed.
    pub(crate) others: Vec<ImageUri>,
    /// The images in the page.
    pub(crate) images: Vec<ImageRef>,
    /// The images that are in an archive, with the message of their failure: they fail without being read.
    pub(crate) archived: BTreeMap<ImageUri, String>,
    /// For a job that completes records: the images whose record is of an earlier version. All others are unchanged.
    pub(crate) outdated: Option<HashSet<ImageUri>>,
    /// Number of skipped keys that are not UTF-8.
    pub(crate) unreadable: u64,
    /// Where an interrupted job continues its listing; `None` if it continues after the last key.
    pub(crate) next: Option<Cursor>,
    /// For a listing in several ranges: the range of the page, by its [`KeyRange::after`](super::ranges::KeyRange).
    pub(crate) range: Option<String>,
}

impl Page {
    /// Splits off the part of the page after `key`. Only for jobs with `sync`, whose pages contain every key.
    pub(super) fn split_after(&mut self, key: String) -> Self {
        let images = self.images.partition_point(|image| image.uri.key() <= key.as_str());
        let others = self.others.partition_point(|uri| uri.key() <= key.as_str());
        let (images, others) = (self.images.split_off(images), self.others.split_off(others));
        let skipped = others.len() as u64;
        let listed = images.len() as u64 + skipped;
        self.listed -= listed;
        self.skipped -= skipped;
        let listed_through = self.listed_through.replace(key);
        let unmoved = self.next.is_some().then_some(Cursor::Unmoved);
        let next = std::mem::replace(&mut self.next, unmoved);
        // Keys that are not UTF-8 stay in the first part, which has counted them.
        let (archived, outdated, range) = (self.archived.clone(), self.outdated.clone(), self.range.clone());
        Self { listed_through, listed, skipped, others, images, archived, outdated, unreadable: 0, next, range }
    }
}

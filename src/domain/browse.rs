//! Lists of records without a query.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};

use super::{Filter, ImageId, ImageRecord, Payload, TakenAt, Timestamp};

/// The place in an order of records where a page begins: at the first record, or after the last one of the page before.
/// Records with equal values are in the order of their ids, so that no page repeats or leaves out a record that does not
/// change in the meantime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum PageStart {
    /// The latest `indexed_at` first.
    Newest {
        /// The last record of the page before.
        after: Option<(Timestamp, ImageId)>,
    },
    /// The latest `taken_at` first; after them the records without one.
    Taken {
        /// The last record of the page before.
        after: Option<(Option<Timestamp>, ImageId)>,
    },
    /// By `s3_key`, byte by byte.
    Key {
        /// The last record of the page before.
        after: Option<(String, ImageId)>,
    },
    /// By id from `first` on; after the last id, from the lowest id up to `first`. Ids are hashes (UUID v5), so a page is a
    /// random sample, and another `first` is another sample.
    Random {
        /// The id at which the order begins. No record needs to have it.
        first: ImageId,
        /// The last record of the page before.
        after: Option<ImageId>,
    },
}

/// A page of records.
#[derive(Clone, Debug, PartialEq)]
pub struct BrowseQuery {
    /// Conditions that a record must fulfil.
    pub filter: Filter,
    /// The order, and where the page begins in it.
    pub start: PageStart,
    /// Maximum number of records.
    pub limit: usize,
}

/// A record without its vector.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredImage {
    /// Id of the image.
    pub id: ImageId,
    /// Payload of the record, as stored.
    pub payload: Payload,
}

impl From<ImageRecord> for StoredImage {
    fn from(ImageRecord { id, payload, .. }: ImageRecord) -> Self {
        Self { id, payload }
    }
}

/// Records of one page, and where the next page begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrowsePage {
    /// The records in order, at most as many as requested.
    pub images: Vec<StoredImage>,
    /// The start of the next page; `None` after the last one.
    pub next: Option<PageStart>,
}

/// The place of a record in an order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    Newest(Reverse<Timestamp>, ImageId),
    Taken(Reverse<Option<Timestamp>>, ImageId),
    Key(String, ImageId),
    Random { wrapped: bool, id: ImageId },
}

impl PageStart {
    /// Returns the name of the order, as in requests.
    pub fn order(&self) -> &'static str {
        match self {
            Self::Newest { .. } => "newest",
            Self::Taken { .. } => "taken",
            Self::Key { .. } => "key",
            Self::Random { .. } => "random",
        }
    }

    /// Compares two records in this order.
    pub fn compare(&self, a: &StoredImage, b: &StoredImage) -> Ordering {
        self.position_of(a).cmp(&self.position_of(b))
    }

    /// Whether a record is on the page that begins here, or on a later one.
    pub fn includes(&self, image: &StoredImage) -> bool {
        self.position().is_none_or(|start| self.position_of(image) > start)
    }

    /// Returns the start of the page that follows `last`.
    #[must_use]
    pub fn following(&self, last: &StoredImage) -> Self {
        match self {
            Self::Newest { .. } => Self::Newest { after: Some((last.payload.indexed_at, last.id)) },
            Self::Taken { .. } => Self::Taken { after: Some((taken_moment(&last.payload), last.id)) },
            Self::Key { .. } => Self::Key { after: Some((last.payload.s3_key.clone(), last.id)) },
            Self::Random { first, .. } => Self::Random { first: *first, after: Some(last.id) },
        }
    }

    fn position(&self) -> Option<Position> {
        Some(match self {
            Self::Newest { after } => after.map(|(moment, id)| Position::Newest(Reverse(moment), id))?,
            Self::Taken { after } => after.map(|(moment, id)| Position::Taken(Reverse(moment), id))?,
            Self::Key { after } => after.clone().map(|(key, id)| Position::Key(key, id))?,
            Self::Random { first, after } => after.map(|id| Position::Random { wrapped: id < *first, id })?,
        })
    }

    fn position_of(&self, StoredImage { id, payload }: &StoredImage) -> Position {
        match self {
            Self::Newest { .. } => Position::Newest(Reverse(payload.indexed_at), *id),
            Self::Taken { .. } => Position::Taken(Reverse(taken_moment(payload)), *id),
            Self::Key { .. } => Position::Key(payload.s3_key.clone(), *id),
            Self::Random { first, .. } => Position::Random { wrapped: id < first, id: *id },
        }
    }
}

fn taken_moment(payload: &Payload) -> Option<Timestamp> {
    payload.exif.taken_at.map(TakenAt::moment)
}

impl BrowsePage {
    /// Returns the first `limit` of `images`, which begin at `start`. The next page begins after them, if there are more.
    pub(crate) fn first(mut images: Vec<StoredImage>, start: &PageStart, limit: usize) -> Self {
        let has_more = images.len() > limit;
        images.truncate(limit);
        let next = images.last().filter(|_| has_more).map(|last| start.following(last));
        Self { images, next }
    }

    /// Joins the pages of several stores that begin at `start`. A record that several have is returned once.
    pub(crate) fn joined(pages: Vec<Self>, start: &PageStart, limit: usize) -> Self {
        let (images, nexts): (Vec<_>, Vec<_>) = pages.into_iter().map(|page| (page.images, page.next)).unzip();
        let mut images: Vec<StoredImage> = images.into_iter().flatten().collect();
        images.sort_by(|a, b| start.compare(a, b));
        images.dedup_by_key(|image| image.id);
        // The page ends where the first page of a store ends: what that store has after it is not known.
        let end = nexts.into_iter().flatten().min_by_key(PageStart::position);
        if let Some(end) = &end {
            images.retain(|image| !end.includes(image));
        }
        let page = Self::first(images, start, limit);
        Self { next: page.next.or(end), images: page.images }
    }
}

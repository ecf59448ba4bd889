//! Lists of records without a query, and counts of their values.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::{Filter, ImageId, Payload, Timestamp};

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
    Key(String, ImageId),
    Random { wrapped: bool, id: ImageId },
}

impl PageStart {
    /// Returns the name of the order, as in requests.
    pub fn order(&self) -> &'static str {
        match self {
            Self::Newest { .. } => "newest",
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
            Self::Key { .. } => Self::Key { after: Some((last.payload.s3_key.clone(), last.id)) },
            Self::Random { first, .. } => Self::Random { first: *first, after: Some(last.id) },
        }
    }

    fn position(&self) -> Option<Position> {
        Some(match self {
            Self::Newest { after } => after.map(|(moment, id)| Position::Newest(Reverse(moment), id))?,
            Self::Key { after } => after.clone().map(|(key, id)| Position::Key(key, id))?,
            Self::Random { first, after } => after.map(|id| Position::Random { wrapped: id < *first, id })?,
        })
    }

    fn position_of(&self, StoredImage { id, payload }: &StoredImage) -> Position {
        match self {
            Self::Newest { .. } => Position::Newest(Reverse(payload.indexed_at), *id),
            Self::Key { .. } => Position::Key(payload.s3_key.clone(), *id),
            Self::Random { first, .. } => Position::Random { wrapped: id < first, id: *id },
        }
    }
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

/// What the values are that a facet counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FacetField {
    /// The format.
    Format,
    /// The folders. A record counts for each folder of its path.
    Folder,
    /// The metadata value of this key.
    Meta(String),
}

impl FacetField {
    /// The names of the fields, for messages.
    pub const NAMES: &'static str = "format, folder or meta.KEY";

    /// Parses the name of a field.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "format" => Some(Self::Format),
            "folder" => Some(Self::Folder),
            _ => name.strip_prefix("meta.").filter(|key| !key.is_empty()).map(|key| Self::Meta(key.to_owned())),
        }
    }

    /// Returns the values that a record has.
    pub fn values(&self, payload: &Payload) -> Vec<String> {
        match self {
            Self::Format => vec![payload.format.as_str().to_owned()],
            Self::Folder => payload.s3_folders.clone(),
            Self::Meta(key) => payload.meta.get(key).cloned().into_iter().collect(),
        }
    }
}

/// A request for the number of records with each value of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetQuery {
    /// The field.
    pub field: FacetField,
    /// Conditions that a counted record must fulfil.
    pub filter: Filter,
    /// Maximum number of values.
    pub limit: usize,
}

/// The most frequent values of a field, each with its number of records; equal numbers in the order of the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// The values.
    pub values: Vec<(String, u64)>,
    /// Whether there may be other values, which are not more frequent.
    pub has_more: bool,
}

/// Collects the most frequent values of a field.
#[derive(Debug)]
pub(crate) struct FacetCounts(FirstItems<(Reverse<u64>, String)>);

impl FacetCounts {
    pub(crate) fn new(limit: usize) -> Self {
        Self(FirstItems::new(limit))
    }

    /// Adds a value that `count` records have. Each value must be added once.
    pub(crate) fn add(&mut self, value: impl Into<String>, count: u64) {
        if count > 0 {
            self.0.offer((Reverse(count), value.into()));
        }
    }

    /// Returns the values. `complete` is whether every value was added.
    pub(crate) fn into_facets(self, complete: bool) -> Facets {
        let has_more = self.0.has_more || !complete;
        Facets { values: self.0.into_sorted().into_iter().map(|(count, value)| (value, count.0)).collect(), has_more }
    }
}

/// What the records of a collection have together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionSummary {
    /// The bytes of the objects; `None` if the store cannot add them up in time.
    pub total_bytes: Option<u64>,
    /// When the first record was indexed.
    pub oldest: Option<Timestamp>,
    /// When the last record was indexed.
    pub newest: Option<Timestamp>,
}

/// The lowest of the items that are offered, in a heap of at most `limit` items.
#[derive(Debug)]
pub(crate) struct FirstItems<T> {
    limit: usize,
    /// The highest is on top.
    heap: BinaryHeap<T>,
    /// Whether more items were offered than are kept.
    has_more: bool,
}

impl<T: Ord> FirstItems<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new(), has_more: false }
    }

    /// Keeps the item if it is among the lowest.
    pub(crate) fn offer(&mut self, item: T) {
        if self.heap.len() < self.limit {
            return self.heap.push(item);
        }
        self.has_more = true;
        if let Some(mut highest) = self.heap.peek_mut()
            && item < *highest
        {
            *highest = item;
        }
    }

    pub(crate) fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_items_are_kept_in_order() {
        let mut first = FirstItems::new(3);
        for item in [5, 1, 4] {
            first.offer(item);
        }
        assert!(!first.has_more);
        for item in [2, 9, 3] {
            first.offer(item);
        }
        assert!(first.has_more);
        assert_eq!(first.into_sorted(), [1, 2, 3]);
    }

    #[test]
    fn the_most_frequent_values_come_first_and_equal_ones_in_their_order() {
        let mut counts = FacetCounts::new(3);
        for (value, count) in [("c", 2), ("b", 2), ("none", 0), ("a", 1), ("d", 7)] {
            counts.add(value, count);
        }
        let values = [("d", 7), ("b", 2), ("c", 2)].map(|(value, count)| (value.to_owned(), count)).into();
        assert_eq!(counts.into_facets(true), Facets { values, has_more: true });
        assert!(FacetCounts::new(1).into_facets(false).has_more);
    }

    #[test]
    fn a_field_has_a_name() {
        assert_eq!(FacetField::parse("format"), Some(FacetField::Format));
        assert_eq!(FacetField::parse("folder"), Some(FacetField::Folder));
        assert_eq!(FacetField::parse("meta.a.b"), Some(FacetField::Meta("a.b".into())));
        for name in ["", "meta", "meta.", "width", "Format"] {
            assert_eq!(FacetField::parse(name), None, "{name}");
        }
    }
}

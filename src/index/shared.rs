//! What the adapters do in the same way: checks of vectors, the order of hits, and streams of ids.

use std::collections::HashMap;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use uuid::Uuid;

use super::IndexError;
use crate::domain::{Embedding, FirstItems, Hit, ImageId, ImageRecord, PageStart, SearchQuery, Space, SpaceMismatch};

/// Returns the records in their order; of several with the same id, only the last.
pub(super) fn last_of_each_id(records: &[ImageRecord]) -> impl Iterator<Item = &ImageRecord> {
    let last: HashMap<ImageId, usize> = records.iter().map(|record| record.id).zip(0..).collect();
    records.iter().enumerate().filter(move |(at, record)| last.get(&record.id) == Some(at)).map(|(_, record)| record)
}

/// Fails if a vector does not have the dimension of the collection.
pub(super) fn check_dimensions<'a>(
    vectors: impl IntoIterator<Item = (ImageId, &'a Embedding)>,
    dimension: usize,
) -> Result<(), IndexError> {
    match vectors.into_iter().find(|(_, vector)| vector.dimension() != dimension) {
        None => Ok(()),
        Some((id, vector)) => {
            let actual = vector.dimension();
            let reason = format!("its vector has {actual} numbers; the vectors of the collection have {dimension}");
            Err(IndexError::Rejected { id, reason })
        }
    }
}

/// Fails if the vector of a query does not have the dimension of the collection's space.
pub(super) fn check_query(query: &SearchQuery, space: &Space) -> Result<(), IndexError> {
    let (actual, expected) = (query.embedding.dimension(), space.dimension);
    if actual == expected {
        return Ok(());
    }
    let (stored, offered) = (space.name(), format!("a query of {actual} numbers"));
    Err(SpaceMismatch { stored, offered, reason: format!("{expected} numbers against {actual}") }.into())
}

/// Returns a score as it is shown. Rounding can exceed -1..=1 slightly, and adding zero turns -0 into 0. Both are done
/// before scores are compared, so that scores that are shown as equal also compare as equal.
pub(super) fn shown_score(score: f32) -> f32 {
    score.clamp(-1.0, 1.0) + 0.0
}

/// Sorts hits: best first, equal scores by id.
pub(super) fn sort_hits(hits: &mut [Hit]) {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
}

/// Returns `None` for a collection that was dropped while it was read.
pub(super) fn none_if_dropped<T>(result: Result<T, IndexError>) -> Result<Option<T>, IndexError> {
    match result {
        Err(IndexError::UnknownCollection(_)) => Ok(None),
        other => other.map(Some),
    }
}

/// Returns the ids of all pages. `read` gets the start of a page, `None` for the first one, and returns the ids of the
/// page and the start of the next one, if there is a next one.
pub(super) fn paged_ids<'a, Start, Page>(
    read: impl Fn(Option<Start>) -> Page + Send + 'a,
) -> BoxStream<'a, Result<ImageId, IndexError>>
where
    Start: Send + 'a,
    Page: Future<Output = Result<(Vec<ImageId>, Option<Start>), IndexError>> + Send + 'a,
{
    let pages = stream::try_unfold(Some(None), move |start| {
        let page = start.map(&read);
        async move {
            let Some(page) = page else { return Ok::<_, IndexError>(None) };
            let (ids, next) = page.await?;
            Ok(Some((stream::iter(ids.into_iter().map(Ok)), next.map(Some))))
        }
    });
    pages.try_flatten().boxed()
}

/// The ids after one id and before another. `None` does not bound them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct IdRange {
    pub(super) after: Option<ImageId>,
    pub(super) before: Option<ImageId>,
}

/// Returns the ranges of ids that follow `after` in the order of [`PageStart::Random`], each in ascending order.
///
/// [`PageStart::Random`]: crate::domain::PageStart::Random
pub(super) fn random_ranges(first: ImageId, after: Option<ImageId>) -> Vec<IdRange> {
    let wrapped = IdRange { after: None, before: Some(first) };
    match after {
        None => {
            let before_first = first.0.as_u128().checked_sub(1).map(|id| ImageId(Uuid::from_u128(id)));
            vec![IdRange { after: before_first, before: None }, wrapped]
        }
        Some(after) if after >= first => vec![IdRange { after: Some(after), before: None }, wrapped],
        Some(after) => vec![IdRange { after: Some(after), ..wrapped }],
    }
}

/// Collects the records of a page in the order of their keys, from all records.
pub(super) struct FirstKeys {
    after: Option<(String, ImageId)>,
    limit: usize,
    first: FirstItems<(String, ImageId)>,
}

impl FirstKeys {
    /// Collects the first `limit` records after `after`.
    pub(super) fn new(after: Option<(String, ImageId)>, limit: usize) -> Self {
        // One more shows whether there is a next page.
        Self { after, limit, first: FirstItems::new(limit.saturating_add(1)) }
    }

    pub(super) fn offer(&mut self, key: &str, id: ImageId) {
        if self.after.as_ref().is_none_or(|(last, last_id)| (key, id) > (last.as_str(), *last_id)) {
            self.first.offer((key.to_owned(), id));
        }
    }

    /// Returns the ids in order, and the start of the next page.
    pub(super) fn into_page(self) -> (Vec<ImageId>, Option<PageStart>) {
        let mut keys = self.first.into_sorted();
        let has_more = keys.len() > self.limit;
        keys.truncate(self.limit);
        let ids = keys.iter().map(|(_, id)| *id).collect();
        (ids, keys.pop().filter(|_| has_more).map(|last| PageStart::Key { after: Some(last) }))
    }
}

/// Returns a record of the object `s3://bucket/{key}` for tests.
#[cfg(test)]
pub(super) fn example_record(key: &str, vector: Vec<f32>) -> ImageRecord {
    use crate::domain::{ImageFormat, ImageUri, PAYLOAD_VERSION, Payload, Timestamp};

    let uri = ImageUri::new("bucket", key);
    let payload = Payload {
        s3_key: key.to_owned(),
        s3_uri: uri.clone(),
        s3_bucket: "bucket".to_owned(),
        s3_folders: vec![],
        format: ImageFormat::Jpeg,
        width: 1,
        height: 1,
        frames: 1,
        thumbnail_key: None,
        etag: None,
        size_bytes: 1,
        content_sha256: String::new(),
        space: String::new(),
        indexed_at: Timestamp::now(),
        meta: std::collections::BTreeMap::new(),
        meta_kv: vec![],
        version: PAYLOAD_VERSION,
        hashes: None,
        exif: crate::domain::ExifFacts::default(),
    };
    let dimension = vector.len();
    let embedding = Embedding::normalised(vector, dimension).unwrap();
    ImageRecord { id: uri.id(), uri, embedding, payload }
}

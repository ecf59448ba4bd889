use std::sync::Mutex;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionSummary, Embedding, FacetQuery, Facets, Hit, ImageId,
    ImageRecord, Payload, Space,
};
use crate::index::EnsureOutcome;
use crate::lock::lock;

/// An index whose searches miss some of the best ten: as many as its level says. Only its searches are used.
struct Missing {
    /// The level, how many of ten results are missed from it on, and the time of a search in milliseconds.
    levels: &'static [(u32, usize, u64)],
    names: &'static [u32],
    /// The levels that were set, as in a store that keeps them with the collection.
    set: Mutex<Vec<Option<u32>>>,
}

const DEFAULT: (u32, usize, u64) = (0, 3, 2);

impl Missing {
    fn new(levels: &'static [(u32, usize, u64)], names: &'static [u32]) -> Self {
        Self { levels, names, set: Mutex::default() }
    }
}

#[async_trait]
impl ImageIndex for Missing {
    fn name(&self) -> &'static str {
        "missing"
    }

    fn levels(&self) -> &'static [u32] {
        self.names
    }

    async fn set_level(&self, _: &CollectionName, level: Option<u32>) -> Result<(), IndexError> {
        lock(&self.set).push(level);
        Ok(())
    }

    async fn search(&self, _: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        let (_, missed, milliseconds) = match query.effort {
            SearchEffort::Default => DEFAULT,
            SearchEffort::Exact => (0, 0, 500),
            SearchEffort::Level(level) => *self.levels.iter().find(|(known, _, _)| *known == level).unwrap(),
        };
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        let payload: Payload = serde_json::from_value(json!({
            "s3_key": "a", "s3_uri": "s3://b/a", "s3_bucket": "b", "s3_folders": [], "format": "png", "width": 1, "height": 1,
            "frames": 1, "thumbnail_key": null, "etag": null, "size_bytes": 1, "content_sha256": "", "space": "s",
            "indexed_at": "2026-01-01T00:00:00Z"
        }))
        .unwrap();
        let hit = |n: u16| {
            let id = ImageId(Uuid::from_u128(n.into()));
            Hit { id, score: 1.0 - f32::from(n) / 1_000.0, payload: payload.clone() }
        };
        Ok((0..100).map(hit).skip(missed).take(query.limit).collect())
    }

    async fn ensure_image_collection(&self, _: &CollectionName, _: &Space) -> Result<EnsureOutcome, IndexError> {
        unreachable!()
    }

    async fn describe(&self, _: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        unreachable!()
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        unreachable!()
    }

    async fn upsert(&self, _: &CollectionName, _: &[ImageRecord]) -> Result<(), IndexError> {
        unreachable!()
    }

    async fn delete(&self, _: &CollectionName, _: &[ImageId]) -> Result<(), IndexError> {
        unreachable!()
    }

    async fn get(&self, _: &CollectionName, _: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        unreachable!()
    }

    async fn browse(&self, _: &CollectionName, _: &BrowseQuery) -> Result<BrowsePage, IndexError> {
        unreachable!()
    }

    async fn facets(&self, _: &CollectionName, _: &FacetQuery) -> Result<Facets, IndexError> {
        unreachable!()
    }

    async fn summary(&self, _: &CollectionName) -> Result<CollectionSummary, IndexError> {
        unreachable!()
    }

    fn scan(&self, _: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        unreachable!()
    }

    async fn drop_collection(&self, _: &CollectionName) -> Result<(), IndexError> {
        unreachable!()
    }

    async fn ready(&self) -> Result<(), IndexError> {
        unreachable!()
    }
}

async fn tuned(index: &Missing, first: Option<u32>, max_ms: u64) -> Tuned {
    let query = |kind| Query { kind, vector: Embedding::normalised(vec![1.0, 0.0], 2).unwrap(), excluded: None };
    let queries = [query(Kind::Text), query(Kind::Image), query(Kind::Text)];
    let collection = CollectionName::parse("c").unwrap();
    tune(index, &collection, &queries, first, Duration::from_millis(max_ms)).await.unwrap()
}

const LEVELS: &[(u32, usize, u64)] = &[(100, 2, 10), (200, 1, 20), (400, 0, 40), (800, 0, 80)];
const NAMES: &[u32] = &[100, 200, 400, 800];

#[tokio::test(start_paused = true)]
async fn the_level_is_raised_until_nothing_is_missed() {
    let index = Missing::new(LEVELS, NAMES);
    let Tuned { level, measured, exact_p50, is_limited } = tuned(&index, None, 50).await;
    assert_eq!((level, is_limited, exact_p50), (Some(400), false, Duration::from_millis(500)));
    assert_eq!(measured.text, Some(RecallSample { recall: 1.0, queries: 2 }));
    assert_eq!(measured.image, Some(RecallSample { recall: 1.0, queries: 1 }));
    assert_eq!(measured.p50, Duration::from_millis(40));
    assert_eq!(*lock(&index.set), [None, Some(100), Some(200), Some(400)]);
}

#[tokio::test(start_paused = true)]
async fn a_level_that_takes_too_long_is_not_used() {
    let index = Missing::new(LEVELS, NAMES);
    let Tuned { level, measured, is_limited, .. } = tuned(&index, None, 25).await;
    assert_eq!((level, is_limited), (Some(200), true));
    assert_eq!(measured.text, Some(RecallSample { recall: 0.9, queries: 2 }), "what the used level finds");
    assert_eq!(lock(&index.set).last(), Some(&Some(200)), "the class is set back");
    let default = tuned(&index, None, 1).await;
    assert_eq!((default.level, default.is_limited), (None, true));
}

#[tokio::test(start_paused = true)]
async fn a_test_of_a_grown_collection_begins_with_its_level() {
    let index = Missing::new(LEVELS, NAMES);
    assert_eq!(tuned(&index, Some(200), 50).await.level, Some(400));
    assert_eq!(*lock(&index.set), [Some(200), Some(400)]);
    assert_eq!(tuned(&index, Some(800), 100).await.level, Some(800));
}

#[tokio::test(start_paused = true)]
async fn a_store_without_levels_is_measured() {
    let index = Missing::new(&[], &[]);
    let Tuned { level, measured, is_limited, .. } = tuned(&index, None, 50).await;
    assert_eq!((level, is_limited), (None, false));
    assert_eq!(measured.text, Some(RecallSample { recall: 0.7, queries: 2 }));
}

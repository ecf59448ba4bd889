//! Which pairs of records are similar.

use std::collections::HashSet;
use std::sync::Arc;

use futures::TryStreamExt;
use glimpse::domain::ImageId;
use glimpse::index::{ImageIndex, NearPairs};

use super::support::{fresh, record};

pub(crate) async fn similar_records_are_paired(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-pairs").await;
    let records = [
        record("east.jpg", [1.0, 0.0, 0.0, 0.0]),
        record("east-too.jpg", [1.0, 0.1, 0.0, 0.0]),
        record("left-out.jpg", [1.0, 0.0, 0.1, 0.0]),
        record("north.jpg", [0.0, 0.0, 1.0, 0.1]),
        record("north-too.jpg", [0.0, 0.0, 1.0, 0.2]),
        record("alone.jpg", [0.0, -1.0, -1.0, 0.0]),
    ];
    index.upsert(&collection, &records).await.unwrap();
    let pair = |a: usize, b: usize| sorted((records[a].id, records[b].id));
    let without = Arc::new(HashSet::from([records[2].id]));
    let options = NearPairs { max_per_record: 1, min_score: 0.9, without };
    let found: Vec<_> = index.near_pairs(&collection, options).try_collect().await.unwrap();
    let found: HashSet<_> = found.into_iter().map(sorted).collect();
    assert!(found.is_subset(&HashSet::from([pair(0, 1), pair(3, 4)])), "{found:?}");
    assert!(found.contains(&pair(3, 4)), "{found:?}");
    index.drop_collection(&collection).await.unwrap();
}

fn sorted((a, b): (ImageId, ImageId)) -> (ImageId, ImageId) {
    (a.min(b), a.max(b))
}

//! Which records a search finds, in which order and with which scores.

use glimpse::domain::SearchQuery;
use glimpse::index::{ImageIndex, IndexError};

use super::support::{EAST, fresh, keys, query, record};

pub(crate) async fn an_empty_collection_has_no_hits(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-empty").await;
    assert!(index.search(&collection, &query(EAST, 10)).await.unwrap().is_empty());
    let beyond = SearchQuery { offset: 5, ..query(EAST, 10) };
    assert!(index.search(&collection, &beyond).await.unwrap().is_empty());
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn the_nearest_come_first_and_scores_are_cosines(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-nearest").await;
    let vectors = [
        ("far.jpg", [-1.0, 0.0, 0.0, 0.0], -1.0),
        ("near.jpg", [1.0, 1.0, 0.0, 0.0], std::f32::consts::FRAC_1_SQRT_2),
        ("same.jpg", [2.0, 0.0, 0.0, 0.0], 1.0),
        ("across.jpg", [0.0, 0.0, 1.0, 0.0], 0.0),
    ];
    let records: Vec<_> = vectors.iter().map(|(key, raw, _)| record(key, *raw)).collect();
    index.upsert(&collection, &records).await.unwrap();
    let hits = index.search(&collection, &query(EAST, 10)).await.unwrap();
    let found: Vec<_> = hits.iter().map(|hit| hit.payload.s3_key.as_str()).collect();
    assert_eq!(found, ["same.jpg", "near.jpg", "across.jpg", "far.jpg"]);
    for hit in &hits {
        let (_, _, cosine) = vectors.iter().find(|(key, _, _)| *key == hit.payload.s3_key).unwrap();
        assert!((hit.score - cosine).abs() < 1e-5 && (-1.0..=1.0).contains(&hit.score), "{hit:?}");
    }
    assert_eq!(keys(index, &collection, &query(EAST, 1)).await, ["same.jpg"]);
    let second = SearchQuery { offset: 1, ..query(EAST, 2) };
    assert_eq!(keys(index, &collection, &second).await, ["near.jpg", "across.jpg"]);
    assert!(keys(index, &collection, &SearchQuery { offset: 4, ..second }).await.is_empty());
    assert!(keys(index, &collection, &query(EAST, 0)).await.is_empty());

    let mut other = query(EAST, 1);
    other.embedding = glimpse::domain::Embedding::normalised(vec![1.0, 0.0], 2).unwrap();
    let refused = index.search(&collection, &other).await.unwrap_err();
    assert!(matches!(refused, IndexError::Space(_)), "{refused}");
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn ties_are_in_order_of_ids_on_every_page(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-ties").await;
    let records: Vec<_> = (0..20).map(|n| record(&format!("{n}.jpg"), [0.3, 0.4, 0.5, 0.6])).collect();
    index.upsert(&collection, &records).await.unwrap();
    let mut expected: Vec<_> = records.iter().map(|record| record.id).collect();
    expected.sort();
    let mut found = Vec::new();
    for offset in [0, 7, 14] {
        let page = SearchQuery { offset, ..query(EAST, 7) };
        found.extend(index.search(&collection, &page).await.unwrap().into_iter().map(|hit| hit.id));
    }
    assert_eq!(found, expected);
    index.drop_collection(&collection).await.unwrap();
}

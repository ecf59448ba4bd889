//! Which records a search finds, in which order and with which scores.

use glimpse::domain::{Filter, ImageRecord, SearchEffort, SearchQuery};
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

/// Records with vectors in all directions.
fn spread(count: u32) -> Vec<ImageRecord> {
    let number = |seed: u32| f32::from(u16::try_from(seed.wrapping_mul(2_654_435_761) >> 16).unwrap()) / 65_536.0 - 0.5;
    let record = |n: u32| record(&format!("{n}.jpg"), [4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3].map(number));
    (0..count).map(record).collect()
}

pub(crate) async fn an_exact_search_finds_the_nearest_of_all(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-all").await;
    let mut records = spread(300);
    for (n, record) in records.iter_mut().enumerate() {
        record.payload.width = if n % 3 == 0 { 100 } else { 10 };
    }
    index.upsert(&collection, &records).await.unwrap();
    for filter in [Filter::default(), Filter { min_width: Some(50), ..Filter::default() }] {
        let exact = SearchQuery { effort: SearchEffort::Exact, filter: filter.clone(), ..query(EAST, 10) };
        let mut expected: Vec<_> = records
            .iter()
            .filter(|record| filter.min_width.is_none_or(|minimum| record.payload.width >= minimum))
            .map(|record| (record.embedding.cosine(&exact.embedding), record.id))
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        let expected: Vec<_> = expected.into_iter().take(10).map(|(_, id)| id).collect();
        let hits = index.search(&collection, &exact).await.unwrap();
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), expected, "{filter:?}");
        let second = SearchQuery { offset: 5, limit: 5, ..exact };
        let hits = index.search(&collection, &second).await.unwrap();
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), expected[5..]);
    }
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn every_level_of_effort_can_be_used(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-levels").await;
    index.upsert(&collection, &spread(50)).await.unwrap();
    let found = async |effort| {
        let query = SearchQuery { effort, ..query(EAST, 10) };
        index.search(&collection, &query).await.unwrap().into_iter().map(|hit| hit.id).collect::<Vec<_>>()
    };
    let exact = found(SearchEffort::Exact).await;
    let levels = index.levels();
    assert!(levels.is_sorted(), "{levels:?}");
    for level in levels {
        index.set_level(&collection, Some(*level)).await.unwrap();
        assert_eq!(found(SearchEffort::Level(*level)).await, exact, "50 records are few for each level");
    }
    index.set_level(&collection, None).await.unwrap();
    assert_eq!(found(SearchEffort::Default).await, exact);
    assert!(index.is_settled(&collection).await.unwrap());
    index.drop_collection(&collection).await.unwrap();
}

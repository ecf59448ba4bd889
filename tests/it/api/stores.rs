//! One query to several stores.

use std::sync::Arc;

use glimpse::domain::{BrowseQuery, CollectionName, Filter, PageStart, SearchQuery, Space};
use glimpse::index::several_stores::{Merged, Stores};
use glimpse::index::{ImageIndex, IndexError};

use crate::contract::index::support::{EAST, name, query, record, space};
use crate::support::named_index::NamedIndex;

struct TwoStores {
    a: Arc<NamedIndex>,
    b: Arc<NamedIndex>,
    stores: Stores,
    collection: CollectionName,
}

/// Two stores that have the collection.
async fn two_stores() -> TwoStores {
    let (a, b) = (NamedIndex::new("a"), NamedIndex::new("b"));
    let collection = name("merged");
    for store in [&a, &b] {
        store.ensure_image_collection(&collection, &space()).await.unwrap();
    }
    let stores = Stores::new(vec![a.clone(), b.clone()]);
    TwoStores { a, b, stores, collection }
}

impl TwoStores {
    async fn search(&self, query: &SearchQuery) -> Result<Merged<Vec<(String, String)>>, IndexError> {
        self.search_in(query, &space()).await
    }

    /// Returns the keys and the stores that have them.
    async fn search_in(&self, query: &SearchQuery, space: &Space) -> Result<Merged<Vec<(String, String)>>, IndexError> {
        let infos = self.stores.infos(&self.collection).await?;
        let nearest = self.stores.nearest(&self.collection, query).await;
        let merged = self.stores.merge(infos, nearest, space, query)?;
        let value = merged.value.into_iter().map(|found| (found.hit.payload.s3_key, found.stores.join(",")));
        Ok(Merged { value: value.collect(), warnings: merged.warnings })
    }
}

#[tokio::test]
async fn hits_are_merged_by_id_and_the_best_come_first_on_every_page() {
    let two = two_stores().await;
    let records: Vec<_> = (0..9_u16).map(|n| record(&format!("{n}.jpg"), [1.0, f32::from(n), 0.0, 0.0])).collect();
    // 0 to 5 in one store, 3 to 8 in the other.
    two.a.upsert(&two.collection, &records[..6]).await.unwrap();
    two.b.upsert(&two.collection, &records[3..]).await.unwrap();
    let all = two.search(&query(EAST, 20)).await.unwrap();
    let expected: Vec<_> = (0..9)
        .map(|n| {
            (
                format!("{n}.jpg"),
                if n < 3 {
                    "a"
                } else if n < 6 {
                    "a,b"
                } else {
                    "b"
                }
                .to_owned(),
            )
        })
        .collect();
    assert_eq!((all.value, all.warnings), (expected.clone(), vec![]));
    let mut paged = Vec::new();
    for offset in [0, 4, 8, 12] {
        paged.extend(two.search(&SearchQuery { offset, ..query(EAST, 4) }).await.unwrap().value);
    }
    assert_eq!(paged, expected);
}

#[tokio::test]
async fn a_failure_of_one_store_is_a_warning_and_of_all_stores_an_error() {
    let two = two_stores().await;
    two.b.upsert(&two.collection, &[record("b.jpg", EAST)]).await.unwrap();
    two.a.switch(false);
    let half = two.search(&query(EAST, 5)).await.unwrap();
    assert_eq!(half.value, [("b.jpg".into(), "b".into())]);
    assert_eq!(half.warnings, ["a failed and is left out"], "the text of the error is not repeated");
    assert_eq!(two.stores.ready().await.unwrap(), half.warnings);
    let collections = two.stores.collections().await.unwrap();
    assert_eq!((collections.value.len(), collections.warnings), (1, half.warnings));
    assert_eq!(
        two.stores.find_record(&two.collection, record("b.jpg", EAST).id).await.unwrap().unwrap().uri.key(),
        "b.jpg"
    );
    // The unavailable store may have it.
    let nowhere = record("nowhere.jpg", EAST).id;
    assert!(matches!(two.stores.find_record(&two.collection, nowhere).await, Err(IndexError::Dependency(_))));
    two.b.switch(false);
    assert!(matches!(two.search(&query(EAST, 5)).await, Err(IndexError::Dependency(_))));
    assert!(two.stores.ready().await.is_err());

    for store in [&two.a, &two.b] {
        store.switch(true);
    }
    assert_eq!(two.stores.find_record(&two.collection, nowhere).await.unwrap(), None);
    two.a.drop_collection(&two.collection).await.unwrap();
    let half = two.search(&query(EAST, 5)).await.unwrap();
    assert_eq!((half.value.len(), half.warnings), (1, vec!["a is left out: there is no collection `merged`".into()]));
    two.b.switch(false);
    let message = two.search(&query(EAST, 5)).await.unwrap_err();
    assert!(matches!(message, IndexError::Dependency(_)), "the unavailable store may have it: {message}");
    two.b.switch(true);
    two.b.drop_collection(&two.collection).await.unwrap();
    assert_eq!(two.search(&query(EAST, 5)).await, Err(IndexError::UnknownCollection(two.collection.clone())));
}

#[tokio::test]
async fn a_store_of_another_space_never_answers() {
    let two = two_stores().await;
    two.b.drop_collection(&two.collection).await.unwrap();
    let other = Space { preprocessing: "another".into(), ..space() };
    two.b.ensure_image_collection(&two.collection, &other).await.unwrap();
    for store in [&two.a, &two.b] {
        store.upsert(&two.collection, &[record("x.jpg", EAST)]).await.unwrap();
    }
    let half = two.search(&query(EAST, 5)).await.unwrap();
    assert_eq!(half.value, [("x.jpg".into(), "a".into())]);
    assert!(half.warnings.len() == 1 && half.warnings[0].starts_with("b is left out: "), "{:?}", half.warnings);
    let third = Space { preprocessing: "third".into(), ..space() };
    assert!(matches!(two.search_in(&query(EAST, 5), &third).await, Err(IndexError::Space(_))));
}

#[tokio::test]
async fn pages_of_several_stores_have_each_image_once() {
    let two = two_stores().await;
    let records: Vec<_> = (0..9).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    // 0 to 5 in one store, 3 to 8 in the other.
    two.a.upsert(&two.collection, &records[..6]).await.unwrap();
    two.b.upsert(&two.collection, &records[3..]).await.unwrap();
    let first = records[4].id;
    for start in
        [PageStart::Newest { after: None }, PageStart::Key { after: None }, PageStart::Random { first, after: None }]
    {
        let (mut found, mut next) = (Vec::new(), Some(start.clone()));
        while let Some(start) = next {
            let query = BrowseQuery { filter: Filter::default(), start, limit: 4 };
            let page = two.stores.browse(&two.collection, &query).await.unwrap().value;
            found.extend(page.images);
            next = page.next;
        }
        assert!(found.is_sorted_by(|a, b| start.compare(a, b).is_lt()) && found.len() == 9, "{start:?}: {found:?}");
    }
    two.a.switch(false);
    let query = BrowseQuery { filter: Filter::default(), start: PageStart::Key { after: None }, limit: 4 };
    let page = two.stores.browse(&two.collection, &query).await.unwrap();
    assert_eq!((page.value.images[0].payload.s3_key.as_str(), page.warnings.len()), ("3.jpg", 1));
}

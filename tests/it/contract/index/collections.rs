//! Collections are created, checked and dropped.

use futures::TryStreamExt;
use glimpse::domain::{CollectionName, ImageId, Space};
use glimpse::index::{EnsureOutcome, ImageIndex, IndexError};

use super::support::{count, fresh, name, query, record, space};

pub(crate) async fn collections_are_created_found_or_refused(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-ensure").await;
    assert_eq!(index.ensure_image_collection(&collection, &space()).await.unwrap(), EnsureOutcome::Existed);

    let other = Space { preprocessing: "pad".into(), ..space() };
    let refused = index.ensure_image_collection(&collection, &other).await.unwrap_err();
    assert!(matches!(refused, IndexError::Space(_)), "{refused}");

    let possible_copy = name("contract_ensure");
    let refused = index.ensure_image_collection(&possible_copy, &space()).await.unwrap_err();
    assert_eq!(refused, IndexError::NameTaken { wanted: possible_copy.clone(), existing: collection.clone() });
    assert_eq!(index.describe(&possible_copy).await.unwrap(), None);

    let info = index.describe(&collection).await.unwrap().unwrap();
    assert_eq!((info.name.clone(), info.space.clone(), info.count), (collection.clone(), space(), 0));
    let before = fresh(index, "contract-earlier").await;
    let all = index.collections().await.unwrap();
    assert!(all.contains(&info) && all.is_sorted_by_key(|info| info.name.clone()), "{all:?}");
    index.drop_collection(&before).await.unwrap();
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn an_unknown_collection_is_an_error(index: &dyn ImageIndex) {
    fn is_unknown<T: std::fmt::Debug>(name: &CollectionName, outcome: Result<T, IndexError>) {
        assert_eq!(outcome.unwrap_err(), IndexError::UnknownCollection(name.clone()));
    }
    let nowhere = name("contract-nowhere");
    let one = record("a.jpg", [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(index.describe(&nowhere).await.unwrap(), None);
    is_unknown(&nowhere, index.upsert(&nowhere, std::slice::from_ref(&one)).await);
    is_unknown(&nowhere, index.delete(&nowhere, &[one.id]).await);
    is_unknown(&nowhere, index.search(&nowhere, &query([1.0, 0.0, 0.0, 0.0], 1)).await);
    is_unknown(&nowhere, index.get(&nowhere, &[one.id]).await);
    is_unknown(&nowhere, index.scan(&nowhere).try_collect::<Vec<ImageId>>().await);
    is_unknown(&nowhere, index.drop_collection(&nowhere).await);
}

pub(crate) async fn a_dropped_collection_can_be_created_again(index: &dyn ImageIndex) {
    let collection = fresh(index, "contract-dropped").await;
    let one = record("a.jpg", [1.0, 0.0, 0.0, 0.0]);
    index.upsert(&collection, &[one]).await.unwrap();
    index.drop_collection(&collection).await.unwrap();
    assert_eq!(index.describe(&collection).await.unwrap(), None);
    assert_eq!(index.ensure_image_collection(&collection, &space()).await.unwrap(), EnsureOutcome::Created);
    assert_eq!(count(index, &collection).await, 0);
    assert!(index.search(&collection, &query([1.0, 0.0, 0.0, 0.0], 1)).await.unwrap().is_empty());
    index.drop_collection(&collection).await.unwrap();
}

pub(crate) async fn an_alias_follows_its_collection_and_changes_nothing_else(index: &dyn ImageIndex) {
    let one = fresh(index, "contract-alias").await;
    let two = fresh(index, "contract-alias-g2").await;
    // Other tests create collections in the same server.
    let own = async || {
        let mut all = index.collections().await.unwrap();
        all.retain(|info| info.name.as_str().starts_with("contract-alias"));
        all
    };
    let before = own().await;
    index.set_alias(&one, &one).await.unwrap();
    index.set_alias(&one, &one).await.unwrap();
    index.set_alias(&one, &two).await.unwrap();
    assert_eq!(own().await, before, "an alias is not a collection");
    let nowhere = name("contract-nowhere");
    let refused = index.set_alias(&one, &nowhere).await.unwrap_err();
    assert_eq!(refused, IndexError::UnknownCollection(nowhere));
    index.drop_collection(&two).await.unwrap();
    // The alias of a collection that was dropped does not keep a new one from being created.
    assert_eq!(index.ensure_image_collection(&two, &space()).await.unwrap(), EnsureOutcome::Created);
    index.set_alias(&one, &two).await.unwrap();
    index.drop_collection(&two).await.unwrap();
    index.drop_collection(&one).await.unwrap();
}

//! Collections: created once, completed after an interruption; collections of other applications are not touched.

use std::time::Duration;

use futures::future::join_all;
use glimpse::domain::{FailureKind as Kind, Space};
use glimpse::index::qdrant::{QdrantIndex, QdrantSettings};
use glimpse::index::{EnsureOutcome, ImageIndex, IndexError, Quantization};
use qdrant_client::qdrant::{CollectionConfig, CreateCollectionBuilder, Distance, VectorParamsBuilder};

use super::{EAST, TestServer, collection_in_qdrant, index, on_every_server};
use crate::contract::index::support::{count, fresh, name, record, space};
use crate::support::qdrant::{QdrantServer, ServerFault};

/// Indexes that a collection has.
const INDEXES: usize = 17;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_creations_of_one_collection_all_succeed() {
    on_every_server(async |server: &TestServer| {
        let (index, space) = (server.index(), space());
        for round in 0..5 {
            let collection = name(&format!("contract-race{round}"));
            let all = join_all((0..8).map(|_| index.ensure_image_collection(&collection, &space))).await;
            let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
            assert!(all.contains(&EnsureOutcome::Created), "{all:?}");
            let info =
                server.raw_client().collection_info(collection_in_qdrant(&collection)).await.unwrap().result.unwrap();
            assert_eq!(info.payload_schema.len(), INDEXES);
            let again = index.ensure_image_collection(&collection, &space).await.unwrap();
            assert_eq!(again, EnsureOutcome::Existed);
            index.drop_collection(&collection).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn colliding_names_created_at_the_same_time_never_both_stay() {
    on_every_server(async |server: &TestServer| {
        let (index, space) = (server.index(), space());
        let conflicting = [name("contract-same"), name("contract_same")];
        for _ in 0..10 {
            let outcomes =
                join_all(conflicting.iter().map(|collection| index.ensure_image_collection(collection, &space))).await;
            for (collection, outcome) in conflicting.iter().zip(&outcomes) {
                let exists = index.describe(collection).await.unwrap().is_some();
                assert_eq!(exists, outcome.is_ok(), "{outcomes:?}");
                if exists {
                    index.drop_collection(collection).await.unwrap();
                }
            }
            assert!(outcomes.iter().any(Result::is_err), "{outcomes:?}");
            let is_name_taken = |error: &IndexError| matches!(error, IndexError::NameTaken { .. });
            assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(is_name_taken), "{outcomes:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_creation_is_completed_and_only_then_reported() {
    let qdrant = QdrantServer::start().await;
    let index = index(&qdrant.url(), "", Duration::from_secs(5));
    let collection = name("contract-cut");
    qdrant.fail(ServerFault::WaitTimeout);
    let cut = index.ensure_image_collection(&collection, &space()).await.unwrap_err();
    assert!(matches!(&cut, IndexError::Dependency(error) if error.failure == Kind::TimedOut), "{cut}");
    assert_eq!((qdrant.calls("create"), qdrant.calls("create_field_index")), (1, 1));
    qdrant.fail(ServerFault::None);
    // Its owner is known already…
    let other = Space { preprocessing: "pad".into(), ..space() };
    let refused = index.ensure_image_collection(&collection, &other).await.unwrap_err();
    assert!(matches!(refused, IndexError::Space(_)), "{refused}");
    // …but no caller has got the reply that it was created.
    assert_eq!(index.ensure_image_collection(&collection, &space()).await.unwrap(), EnsureOutcome::Created);
    assert_eq!(qdrant.calls("create_field_index"), 1 + INDEXES);
    assert_eq!(index.ensure_image_collection(&collection, &space()).await.unwrap(), EnsureOutcome::Existed);
    assert_eq!(qdrant.calls("create_field_index"), 1 + INDEXES);
}

#[tokio::test]
async fn collections_of_other_applications_are_refused_and_not_changed() {
    on_every_server(async |server: &TestServer| {
        let (index, client) = (server.index(), server.raw_client());
        let vectors = |size, distance| VectorParamsBuilder::new(size, distance);
        for (text, vectors) in [
            ("contract-foreign-size", vectors(7, Distance::Cosine)),
            ("contract-foreign-dot", vectors(4, Distance::Dot)),
            ("contract-foreign-plain", vectors(4, Distance::Cosine)),
        ] {
            let collection = name(text);
            let creation = CreateCollectionBuilder::new(collection_in_qdrant(&collection)).vectors_config(vectors);
            client.create_collection(creation).await.unwrap();
            let refused = index.ensure_image_collection(&collection, &space()).await.unwrap_err();
            if text.ends_with("size") {
                assert!(matches!(&refused, IndexError::Space(error) if error.reason == "7 numbers against 4"));
            } else {
                assert!(
                    is_refused(&refused) && refused.to_string().contains(&collection_in_qdrant(&collection)),
                    "{refused}"
                );
            }
            let one = record("a.jpg", EAST);
            assert!(is_refused(&index.upsert(&collection, &[one]).await.unwrap_err()));
            assert!(is_refused(&index.describe(&collection).await.unwrap_err()));
            assert!(is_refused(&index.drop_collection(&collection).await.unwrap_err()));
            assert!(index.collections().await.unwrap().iter().all(|info| info.name != collection));
            assert!(
                client.delete_collection(collection_in_qdrant(&collection)).await.unwrap().result,
                "it still exists"
            );
        }
        // A collection of another application does not take a name from us either.
        let foreign = collection_in_qdrant(&name("contract_foreign"));
        let creation = CreateCollectionBuilder::new(&foreign).vectors_config(vectors(4, Distance::Cosine));
        client.create_collection(creation).await.unwrap();
        let ours = name("contract-foreign");
        assert_eq!(index.ensure_image_collection(&ours, &space()).await.unwrap(), EnsureOutcome::Created);
        assert_eq!(count(&index, &ours).await, 0);
        index.drop_collection(&ours).await.unwrap();
        client.delete_collection(foreign).await.unwrap();
    })
    .await;
}

fn is_refused(error: &IndexError) -> bool {
    matches!(error, IndexError::Dependency(error) if error.failure == Kind::Refused)
}

#[tokio::test]
async fn a_new_collection_is_quantised_and_an_existing_one_is_left_as_it_is() {
    on_every_server(async |server: &TestServer| {
        let (index, client) = (server.index(), server.raw_client());
        let collection = fresh(&index, "contract-quantised").await;
        let config = async || {
            let info = client.collection_info(collection_in_qdrant(&collection)).await.unwrap();
            info.result.unwrap().config.unwrap()
        };
        let threshold = |config: &CollectionConfig| config.optimizer_config.unwrap().indexing_threshold;
        let created = config().await;
        assert!(created.quantization_config.is_some());
        assert_eq!(threshold(&created), Some(100_000), "for the first load");
        index.finish_load(&collection).await.unwrap();
        assert_eq!(threshold(&config().await), Some(10_000));

        let unquantised = QdrantIndex::new(QdrantSettings { quantization: Quantization::None, ..server.settings() });
        let unquantised = unquantised.unwrap();
        assert_eq!(unquantised.ensure_image_collection(&collection, &space()).await.unwrap(), EnsureOutcome::Existed);
        assert_eq!(config().await.quantization_config, created.quantization_config);
        index.drop_collection(&collection).await.unwrap();
        let plain = fresh(&unquantised, "contract-plain").await;
        let info = client.collection_info(collection_in_qdrant(&plain)).await.unwrap().result.unwrap();
        assert_eq!(info.config.unwrap().quantization_config, None);
        index.drop_collection(&plain).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn other_readers_find_the_current_generation_by_the_alias() {
    on_every_server(async |server: &TestServer| {
        let (index, client) = (server.index(), server.raw_client());
        let [one, two] = [fresh(&index, "contract-read").await, fresh(&index, "contract-read-g2").await];
        index.upsert(&two, &[record("a.jpg", EAST)]).await.unwrap();
        let alias = format!("{}_current", collection_in_qdrant(&one));
        let points = async || {
            let info = client.collection_info(alias.clone()).await.unwrap();
            info.result.unwrap().points_count.unwrap()
        };
        index.set_alias(&one, &one).await.unwrap();
        assert_eq!(points().await, 0);
        index.set_alias(&one, &two).await.unwrap();
        assert_eq!(points().await, 1);
        index.drop_collection(&one).await.unwrap();
        index.drop_collection(&two).await.unwrap();
        client.collection_info(alias).await.unwrap_err();
    })
    .await;
}

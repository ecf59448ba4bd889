//! A real server.

use futures::TryStreamExt;
use glimpse::domain::{FailureKind, ImageId, Secret};
use glimpse::index::weaviate::{WeaviateIndex, WeaviateSettings};
use glimpse::index::{EnsureOutcome, ImageIndex, IndexError};
use reqwest::Method;
use serde_json::json;

use super::Server;
use crate::contract::index::support::{EAST, fresh, ids, keys, name, query, record, space};
use crate::support::proxies::tcp::TcpProxy;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_the_contract() {
    let Some(server) = Server::real() else { return };
    server.cleaned("contract-", crate::contract::index::run_contract(&server.index)).await;
}

#[tokio::test]
async fn a_class_of_another_application_is_not_changed() {
    let Some(server) = Server::real() else { return };
    let (index, collection) = (&server.index, name("contracted-foreign"));
    let class = collection.weaviate_class();
    server.rest(Method::DELETE, &format!("schema/{class}"), None).await;
    let theirs = json!({"class": class, "vectorizer": "none", "description": "mine",
        "properties": [{"name": "zzz", "dataType": ["text"]}]});
    assert_eq!(server.rest(Method::POST, "schema", Some(theirs)).await.0, 200);
    let id = record("a.jpg", EAST).id;
    let object = json!({"class": class, "id": id.to_string(), "properties": {"zzz": "1"}, "vector": EAST});
    assert_eq!(server.rest(Method::POST, "objects", Some(object)).await.0, 200);

    let test = async {
        let message = refused_with(index.ensure_image_collection(&collection, &space()).await.unwrap_err());
        assert!(message.contains(&class) && message.contains("was not created by Glimpse"), "{message}");
        refused_with(index.describe(&collection).await.unwrap_err());
        refused_with(index.upsert(&collection, &[record("a.jpg", EAST)]).await.unwrap_err());
        refused_with(index.delete(&collection, &[id]).await.unwrap_err());
        refused_with(index.search(&collection, &query(EAST, 1)).await.unwrap_err());
        refused_with(index.get(&collection, &[id]).await.unwrap_err());
        refused_with(index.scan(&collection).try_collect::<Vec<ImageId>>().await.unwrap_err());
        refused_with(index.drop_collection(&collection).await.unwrap_err());
        assert!(index.collections().await.unwrap().iter().all(|info| info.name != collection));
        let (status, exists) = server.rest(Method::GET, &format!("objects/{class}/{id}"), None).await;
        assert_eq!((status, &exists["properties"]), (200, &json!({"zzz": "1"})));
    };
    server.cleaned("contracted-foreign", test).await;
}

#[tokio::test]
async fn an_alias_is_removed_with_its_class() {
    let Some(server) = Server::real() else { return };
    let test = async {
        let collection = fresh(&server.index, "contracted-alias").await;
        server.index.set_alias(&collection, &collection).await.unwrap();
        let alias = format!("aliases/{}Current", collection.weaviate_class());
        assert_eq!(server.rest(Method::GET, &alias, None).await.0, 200);
        server.index.drop_collection(&collection).await.unwrap();
        assert_eq!(server.rest(Method::GET, &alias, None).await.0, 404);
    };
    server.cleaned("contracted-alias", test).await;
}

#[tokio::test]
async fn names_that_differ_only_in_case_collide() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-ca", async {
            let first = fresh(&server.index, "contracted-case").await;
            let second = name("contracted-caSE");
            let refused = server.index.ensure_image_collection(&second, &space()).await.unwrap_err();
            assert_eq!(refused, IndexError::NameTaken { wanted: second, existing: first });
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_several_concurrent_creations_reports_created() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-raced", async {
            for round in 0..5 {
                let collection = name(&format!("contracted-raced-{round}"));
                let space = space();
                let ensures = (0..8).map(|_| server.index.ensure_image_collection(&collection, &space));
                let outcomes = futures::future::try_join_all(ensures).await.unwrap();
                let created = outcomes.iter().filter(|ensured| **ensured == EnsureOutcome::Created).count();
                assert_eq!(created, 1, "{outcomes:?}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_wrong_key_is_an_error_of_the_settings() {
    let Some(server) = Server::real() else { return };
    let settings = WeaviateSettings { api_key: Secret::new("wrong"), ..server.settings.clone() };
    let index = WeaviateIndex::new(settings).unwrap();
    let collection = name("contracted-key");
    refused_with(index.describe(&collection).await.unwrap_err());
    refused_with(index.ensure_image_collection(&collection, &space()).await.unwrap_err());
    refused_with(index.ready().await.unwrap_err());
    server.index.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_collection_can_be_dropped_while_it_is_used() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-going", async {
            let (index, records) = (&server.index, [record("a.jpg", EAST), record("b.jpg", EAST)]);
            for _ in 0..5 {
                let collection = fresh(index, "contracted-going").await;
                index.upsert(&collection, &records).await.unwrap();
                let used = async || {
                    // Until the collection is unknown, every answer is complete.
                    for turn in 0.. {
                        let outcome = match turn % 3 {
                            0 => index.search(&collection, &query(EAST, 5)).await.map(drop),
                            1 => index.upsert(&collection, &records).await,
                            _ => index.describe(&collection).await.map(drop),
                        };
                        if let Err(error) = outcome {
                            return error;
                        }
                    }
                    unreachable!("it goes")
                };
                let (one, other, dropped) = futures::join!(used(), used(), index.drop_collection(&collection));
                dropped.unwrap();
                for error in [one, other] {
                    assert_eq!(error, IndexError::UnknownCollection(collection.clone()));
                }
                assert_eq!(server.class_of(&collection).await.0, 404);
            }
        })
        .await;
}

/// The message of a `FailureKind::Refused`.
fn refused_with(error: IndexError) -> String {
    match error {
        IndexError::Dependency(down) if down.failure == FailureKind::Refused => down.detail,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_works_again_after_the_connection_is_restored() {
    let Some(server) = Server::real() else { return };
    let grpc_url = server.settings.grpc_url.clone().expect("WEAVIATE_GRPC_URL goes with WEAVIATE_URL in this test");
    let mut wires =
        [TcpProxy::start(server.settings.url.as_str(), true).await, TcpProxy::start(grpc_url.as_str(), true).await];
    let [rest, grpc] = wires.each_ref().map(|wire| wire.url().parse().unwrap());
    let index =
        WeaviateIndex::new(WeaviateSettings { url: rest, grpc_url: Some(grpc), ..server.settings.clone() }).unwrap();
    server
        .cleaned("contracted-cut", async {
            let collection = fresh(&index, "contracted-cut").await;
            let records = [record("a.jpg", EAST)];
            index.upsert(&collection, &records).await.unwrap();
            for at in [0, 1] {
                wires[at].cut();
                for error in [
                    index.upsert(&collection, &records).await.unwrap_err(),
                    index.search(&collection, &query(EAST, 1)).await.unwrap_err(),
                    index.ready().await.unwrap_err(),
                ] {
                    assert!(
                        matches!(&error, IndexError::Dependency(down) if down.failure == FailureKind::Failed),
                        "wire {at}: {error}"
                    );
                }
                wires[at].connect().await;
                index.ready().await.unwrap();
                assert_eq!(keys(&index, &collection, &query(EAST, 1)).await, ["a.jpg"]);
            }
            assert_eq!(ids(&index, &collection).await, [records[0].id]);
        })
        .await;
}

//! A writer that is shown another class than the server has: a fake answers REST requests, the real server gRPC.

use glimpse::domain::Embedding;
use glimpse::index::weaviate::{WeaviateIndex, WeaviateSettings};
use glimpse::index::{ImageIndex, IndexError};
use reqwest::Method;
use serde_json::json;

use super::Server;
use super::fake::{Grpc, Rest, Running};
use crate::contract::index::support::{EAST, count, fresh, ids, record};

/// An index whose REST server is a fake that always shows this class, and whose gRPC server is the real one.
async fn index_with_fake_rest(server: &Server, class: &serde_json::Value) -> (WeaviateIndex, Running) {
    let fake = Running::new(Rest::Says(200, None, class.to_string()), Grpc::Silent).await;
    let grpc_url = server.settings.grpc_url.clone().expect("WEAVIATE_GRPC_URL goes with WEAVIATE_URL in this test");
    let settings =
        WeaviateSettings { url: fake.rest_url.parse().unwrap(), grpc_url: Some(grpc_url), ..server.settings.clone() };
    (WeaviateIndex::new(settings).unwrap(), fake)
}

#[tokio::test]
async fn writes_create_no_class_or_property_by_auto_schema() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-auto", async {
            let collection = fresh(&server.index, "contracted-auto").await;
            let (_, class) = server.class_of(&collection).await;
            let (late, _fake) = index_with_fake_rest(&server, &class).await;
            // Dropped between the writer's check and its write.
            server.index.drop_collection(&collection).await.unwrap();
            let records = [record("a.jpg", EAST), record("b.jpg", EAST)];
            let error = late.upsert(&collection, &records).await.unwrap_err();
            assert_eq!(error, IndexError::UnknownCollection(collection.clone()));
            assert_eq!(server.class_of(&collection).await.0, 404, "auto-schema created the class");

            // The same, and another application has created one in its place.
            let name = collection.weaviate_class();
            let theirs = json!({"class": name, "vectorizer": "none",
                "properties": [{"name": "zzz", "dataType": ["text"]}]});
            assert_eq!(server.rest(Method::POST, "schema", Some(theirs)).await.0, 200);
            // With auto-schema the guard refuses it, without it the missing properties do.
            late.upsert(&collection, &records).await.unwrap_err();
            let (_, after) = server.class_of(&collection).await;
            assert_eq!(after["properties"].as_array().unwrap().len(), 1, "{after}");
        })
        .await;
}

#[tokio::test]
async fn a_refused_object_is_removed() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-refused", async {
            let collection = fresh(&server.index, "contracted-refused").await;
            let good = [record("a.jpg", EAST), record("b.jpg", EAST)];
            server.index.upsert(&collection, &good).await.unwrap();
            // Vectors of two numbers, which the writer believes to be right.
            let (_, class) = server.class_of(&collection).await;
            let smaller = class.to_string().replace(r#"\"dimension\":4"#, r#"\"dimension\":2"#);
            let (blind, _fake) = index_with_fake_rest(&server, &serde_json::from_str(&smaller).unwrap()).await;
            let mut bad = [record("a.jpg", EAST), record("new.jpg", EAST)];
            for record in &mut bad {
                record.embedding = Embedding::normalised(vec![0.6, 0.8], 2).unwrap();
            }
            let refused = blind.upsert(&collection, &bad).await.unwrap_err();
            assert!(matches!(&refused, IndexError::Rejected { id, .. } if *id == bad[0].id), "{refused}");
            assert_eq!(ids(&server.index, &collection).await, [good[1].id]);
            assert_eq!(count(&server.index, &collection).await, 1);
        })
        .await;
}

//! Against a real server.

use futures::TryStreamExt;
use glimpse::domain::{
    CollectionName, Embedding, Filter, ImageId, ImageRecord, Probe, SearchQuery, Secret, Space, Timestamp, Trouble,
};
use glimpse::index::weaviate::{WeaviateIndex, WeaviateSettings};
use glimpse::index::{Ensured, ImageIndex, IndexError};
use reqwest::Method;
use serde_json::json;

use super::Server;
use super::fake::{Grpc, Rest, Running};
use crate::index_contract;
use crate::index_contract::support::{count, fresh, ids, keys, name, query, record, space};

const EAST: [f32; 4] = [1.0, 0.0, 0.0, 0.0];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holds_the_contract_of_a_store() {
    let Some(server) = Server::real() else { return };
    server.cleaned("contract", index_contract::hold_but_for_gaps(&server.index)).await;
}

/// What the class of `collection` looks like, as JSON.
async fn class_of(server: &Server, collection: &CollectionName) -> (u16, serde_json::Value) {
    server.rest(Method::GET, &format!("schema/{}", collection.weaviate_class()), None).await
}

fn refused_with(error: IndexError) -> String {
    match error {
        IndexError::Dependency(down) if down.trouble == Trouble::Refused => down.detail,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_class_of_somebody_else_is_left_alone() {
    let Some(server) = Server::real() else { return };
    let (index, collection) = (&server.index, name("weaviate-foreign"));
    let class = collection.weaviate_class();
    server.rest(Method::DELETE, &format!("schema/{class}"), None).await;
    let theirs = json!({"class": class, "vectorizer": "none", "description": "mine",
        "properties": [{"name": "zzz", "dataType": ["text"]}]});
    assert_eq!(server.rest(Method::POST, "schema", Some(theirs)).await.0, 200);
    let id = record("a.jpg", EAST).id;
    let object = json!({"class": class, "id": id.to_string(), "properties": {"zzz": "1"}, "vector": EAST});
    assert_eq!(server.rest(Method::POST, "objects", Some(object)).await.0, 200);

    let test = async {
        let said = refused_with(index.ensure_image_collection(&collection, &space()).await.unwrap_err());
        assert!(said.contains(&class) && said.contains("not Glimpse's"), "{said}");
        refused_with(index.describe(&collection).await.unwrap_err());
        refused_with(index.upsert(&collection, &[record("a.jpg", EAST)]).await.unwrap_err());
        refused_with(index.delete(&collection, &[id]).await.unwrap_err());
        refused_with(index.search(&collection, &query(EAST, 1)).await.unwrap_err());
        refused_with(index.get(&collection, &[id]).await.unwrap_err());
        refused_with(index.scan(&collection).try_collect::<Vec<ImageId>>().await.unwrap_err());
        refused_with(index.drop_collection(&collection).await.unwrap_err());
        assert!(index.collections().await.unwrap().iter().all(|info| info.name != collection));
        let (status, there) = server.rest(Method::GET, &format!("objects/{class}/{id}"), None).await;
        assert_eq!((status, &there["properties"]), (200, &json!({"zzz": "1"})));
    };
    server.cleaned("weaviate-foreign", test).await;
    assert_eq!(server.rest(Method::DELETE, &format!("schema/{class}"), None).await.0, 200);
}

#[tokio::test]
async fn names_that_differ_in_case_alone_are_taken() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-ca", async {
            let first = fresh(&server.index, "weaviate-case").await;
            let second = name("weaviate-caSE");
            let taken = server.index.ensure_image_collection(&second, &space()).await.unwrap_err();
            assert_eq!(taken, IndexError::NameTaken { wanted: second, existing: first });
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_make_a_collection_at_once_one_made_it() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-raced", async {
            for round in 0..5 {
                let collection = name(&format!("weaviate-raced-{round}"));
                let space = space();
                let ensures = (0..8).map(|_| server.index.ensure_image_collection(&collection, &space));
                let outcomes = futures::future::try_join_all(ensures).await.unwrap();
                let created = outcomes.iter().filter(|ensured| **ensured == Ensured::Created).count();
                assert_eq!(created, 1, "{outcomes:?}");
            }
        })
        .await;
}

/// An index whose REST half is a fake that shows this class whatever happens, and whose gRPC half is the real server.
async fn deceived(server: &Server, class: &serde_json::Value) -> (WeaviateIndex, Running) {
    let fake = Running::new(Rest::Says(200, None, class.to_string()), Grpc::Silent).await;
    let grpc_url = server.settings.grpc_url.clone().expect("WEAVIATE_GRPC_URL goes with WEAVIATE_URL in this test");
    let settings = WeaviateSettings { url: fake.rest_url.clone(), grpc_url: Some(grpc_url), ..server.settings.clone() };
    (WeaviateIndex::new(settings).unwrap(), fake)
}

#[tokio::test]
async fn no_write_makes_a_class_or_a_property_by_auto_schema() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-auto", async {
            let collection = fresh(&server.index, "weaviate-auto").await;
            let (_, class) = class_of(&server, &collection).await;
            let (late, _fake) = deceived(&server, &class).await;
            // Dropped after the writer has looked and before it writes.
            server.index.drop_collection(&collection).await.unwrap();
            let records = [record("a.jpg", EAST), record("b.jpg", EAST)];
            let gone = late.upsert(&collection, &records).await.unwrap_err();
            assert_eq!(gone, IndexError::UnknownCollection(collection.clone()));
            assert_eq!(class_of(&server, &collection).await.0, 404, "auto-schema made the class");

            // The same, and somebody made another in its place.
            let name = collection.weaviate_class();
            let theirs = json!({"class": name, "vectorizer": "none",
                "properties": [{"name": "zzz", "dataType": ["text"]}]});
            assert_eq!(server.rest(Method::POST, "schema", Some(theirs)).await.0, 200);
            // With auto-schema it is refused by the guard, without it by the properties that are not there.
            late.upsert(&collection, &records).await.unwrap_err();
            let (_, after) = class_of(&server, &collection).await;
            assert_eq!(after["properties"].as_array().unwrap().len(), 1, "{after}");
            assert_eq!(server.rest(Method::DELETE, &format!("schema/{name}"), None).await.0, 200);
        })
        .await;
}

#[tokio::test]
async fn an_object_that_the_server_refuses_is_gone() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-refused", async {
            let collection = fresh(&server.index, "weaviate-refused").await;
            let good = [record("a.jpg", EAST), record("b.jpg", EAST)];
            server.index.upsert(&collection, &good).await.unwrap();
            // Vectors of two numbers, which the writer is made to think right.
            let (_, class) = class_of(&server, &collection).await;
            let smaller = class.to_string().replace(r#"\"dimension\":4"#, r#"\"dimension\":2"#);
            let (blind, _fake) = deceived(&server, &serde_json::from_str(&smaller).unwrap()).await;
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

/// A record with everything that a careless adapter would change.
fn extreme(key: &str) -> ImageRecord {
    let mut record = record(key, [0.1, -0.2, 0.3, -0.4]);
    record.payload.size_bytes = u64::MAX - 1;
    (record.payload.width, record.payload.height, record.payload.frames) = (u32::MAX, 0, u32::MAX);
    record.payload.etag = Some(String::new());
    record.payload.indexed_at = Timestamp::parse("9999-12-31T23:59:59.999999Z").unwrap();
    for (key, value) in [("", ""), ("a=b", " "), ("id", "the"), ("tab\t", "line\n\u{0}"), ("ü\"\\", "日本 😀")] {
        record.payload.meta.insert(key.to_owned(), value.to_owned());
    }
    record.payload.meta_kv = vec![String::new(), "order".into(), "kept".into(), "kept".into()];
    record
}

#[tokio::test]
async fn every_payload_comes_back_exactly() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-exact", async {
            let collection = fresh(&server.index, "weaviate-exact").await;
            let records = [extreme(" leading and trailing / "), extreme("a/b/c.jpg"), record("plain.jpg", EAST)];
            server.index.upsert(&collection, &records).await.unwrap();
            for written in &records {
                let read = server.index.get(&collection, &[written.id]).await.unwrap().remove(0);
                assert_eq!((read.id, &read.uri, &read.payload), (written.id, &written.uri, &written.payload));
                assert_eq!(read.embedding, written.embedding, "to the last bit");
            }
            let hits = server.index.search(&collection, &query(EAST, 5)).await.unwrap();
            for hit in hits {
                let written = records.iter().find(|written| written.id == hit.id).unwrap();
                assert_eq!(hit.payload, written.payload);
            }
        })
        .await;
}

#[tokio::test]
async fn filters_are_exact_about_spaces_stop_words_and_microseconds() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-filtered", async {
            let collection = fresh(&server.index, "weaviate-filtered").await;
            let mut records = [record("a/1.jpg", EAST), record(" a/2.jpg", EAST), record("A/3.jpg", EAST)];
            for (record, (value, moment)) in records.iter_mut().zip([
                ("the", "2026-01-31T12:00:00.000001Z"),
                (" the ", "2026-01-31T12:00:00.000002Z"),
                ("THE", "2026-01-31T12:00:00.000003Z"),
            ]) {
                record.payload.meta.insert("word".to_owned(), value.to_owned());
                record.payload.indexed_at = Timestamp::parse(moment).unwrap();
            }
            server.index.upsert(&collection, &records).await.unwrap();
            let ask = async |filter: Filter| {
                let query = SearchQuery { filter, ..query(EAST, 10) };
                let mut found = keys(&server.index, &collection, &query).await;
                found.sort();
                found
            };
            for (at, folder) in ["a/", " a/", "A/"].into_iter().enumerate() {
                let filter = Filter { s3_prefix: Some(folder.to_owned()), ..Filter::default() };
                assert_eq!(ask(filter).await, [records[at].payload.s3_key.as_str()], "{folder:?}");
            }
            for record in &records {
                let filter = Filter { meta: record.payload.meta.clone(), ..Filter::default() };
                assert_eq!(ask(filter).await, [record.payload.s3_key.as_str()], "{:?}", record.payload.meta);
                let after = Filter { indexed_after: Some(record.payload.indexed_at), ..Filter::default() };
                let later = records.iter().filter(|other| after.matches(&other.payload)).count();
                assert_eq!(ask(after).await.len(), later);
            }
            let ever = Filter { indexed_after: Timestamp::parse("0001-01-01T00:00:00Z").ok(), ..Filter::default() };
            assert_eq!(ask(ever).await.len(), 3);
        })
        .await;
}

#[tokio::test]
async fn a_large_space_is_kept_with_its_collection() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-space", async {
            let collection = name("weaviate-space");
            let mut large = Space { dimension: 4_096, ..space() };
            for (at, probe) in ["text:b", "text:c", "image:d", "image:e"].into_iter().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "any numbers will do")]
                let raw = (0..4_096).map(|n| ((n * 7 + at) as f32).sin()).collect();
                let vector = Embedding::normalised(raw, 4_096).unwrap().as_slice().to_vec();
                large.probes.push(Probe { name: probe.to_owned(), vector });
            }
            server.index.ensure_image_collection(&collection, &large).await.unwrap();
            let info = server.index.describe(&collection).await.unwrap().unwrap();
            assert_eq!(info.space, large, "to the last bit");
            assert_eq!(server.index.ensure_image_collection(&collection, &large).await.unwrap(), Ensured::Existed);
        })
        .await;
}

#[tokio::test]
async fn equals_are_all_found_in_order_of_ids_page_by_page() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-equals", async {
            let collection = fresh(&server.index, "weaviate-equals").await;
            let mut records: Vec<_> = (0..700).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
            // Each request and reply is one of several.
            server.index.upsert(&collection, &records).await.unwrap();
            let all: Vec<_> = records.iter().map(|record| record.id).collect();
            assert_eq!(server.index.get(&collection, &all).await.unwrap().len(), 700);
            records.sort_by_key(|record| record.id);
            let expected: Vec<_> = records.iter().map(|record| record.id).collect();
            let page = async |offset, limit| {
                let query = SearchQuery { offset, ..query(EAST, limit) };
                let hits = server.index.search(&collection, &query).await.unwrap();
                hits.into_iter().map(|hit| hit.id).collect::<Vec<_>>()
            };
            assert_eq!(page(0, 1_000).await, expected);
            assert_eq!(page(650, 100).await, expected[650..]);
            server.index.delete(&collection, &all[..699]).await.unwrap();
            assert_eq!(ids(&server.index, &collection).await, all[699..]);
        })
        .await;
}

#[tokio::test]
async fn a_wrong_key_is_a_matter_of_settings() {
    let Some(server) = Server::real() else { return };
    let settings = WeaviateSettings { api_key: Secret::new("wrong"), ..server.settings.clone() };
    let index = WeaviateIndex::new(settings).unwrap();
    let collection = name("weaviate-key");
    refused_with(index.describe(&collection).await.unwrap_err());
    refused_with(index.ensure_image_collection(&collection, &space()).await.unwrap_err());
    refused_with(index.ready().await.unwrap_err());
    server.index.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_collection_can_go_while_it_is_used() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("weaviate-going", async {
            let (index, records) = (&server.index, [record("a.jpg", EAST), record("b.jpg", EAST)]);
            for _ in 0..5 {
                let collection = fresh(index, "weaviate-going").await;
                index.upsert(&collection, &records).await.unwrap();
                let used = async || {
                    // Until it is unknown, every answer is one.
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
                assert_eq!(class_of(&server, &collection).await.0, 404);
            }
        })
        .await;
}

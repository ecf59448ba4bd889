//! Records and hits: behaviour that is specific to Qdrant.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use glimpse::domain::{Condition, Embedding, ImageId, MetaValue, SearchQuery, Space};
use glimpse::index::{ImageIndex, IndexError};
use qdrant_client::Payload;
use qdrant_client::qdrant::{PointStruct, UpsertPointsBuilder};

use super::{EAST, NORTH, TestServer, collection_in_qdrant, on_every_server};
use crate::contract::index::support::{count, fresh, ids, query, record, space};
use crate::support::qdrant::{QdrantServer, ServerFault};

#[tokio::test]
async fn unusual_payloads_are_returned_unchanged() {
    on_every_server(async |server: &TestServer| {
        let index = server.index();
        let collection = fresh(&index, "contract-payloads").await;
        let mut unusual = record("a//b/ü \u{1F426}'\".jpg", EAST);
        unusual.payload.size_bytes = u64::MAX;
        unusual.payload.etag = None;
        unusual.payload.s3_folders = vec![];
        let meta = [("a.b[0]", "c=d"), ("", ""), ("\"q\"", "\n"), ("a=b", "c")];
        unusual.payload.meta = meta.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        unusual.payload.meta_kv = vec![String::new(), "x".repeat(2_000)];
        index.upsert(&collection, std::slice::from_ref(&unusual)).await.unwrap();
        assert_eq!(index.get(&collection, &[unusual.id]).await.unwrap(), [unusual.clone()]);
        assert_eq!(index.search(&collection, &query(EAST, 1)).await.unwrap()[0].payload, unusual.payload);
        let mut request = query(EAST, 1);
        for (pair, hits) in [(("a=b", "c"), 1), (("a", "b=c"), 0)] {
            let value = Condition::from(MetaValue::Text(pair.1.to_owned()));
            request.filter.meta = BTreeMap::from([(pair.0.to_owned(), value)]);
            assert_eq!(index.search(&collection, &request).await.unwrap().len(), hits, "{pair:?}");
        }
        index.drop_collection(&collection).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn ranges_have_indexes_and_are_refused_while_records_of_version_0_1_have_no_numbers() {
    on_every_server(async |server: &TestServer| {
        let (index, client) = (server.index(), server.raw_client());
        let collection = fresh(&index, "contract-ranges").await;
        let mut dated = record("a.jpg", EAST);
        dated.payload.meta = [("month", "5"), ("a b", "2024-05-01")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        index.upsert(&collection, std::slice::from_ref(&dated)).await.unwrap();
        let name = collection_in_qdrant(&collection);
        let indexed = client.collection_info(&name).await.unwrap().result.unwrap().payload_schema;
        assert!(
            indexed.contains_key("meta_numbers.month") && indexed.contains_key("meta_dates.\"a b\""),
            "{indexed:?}"
        );

        let mut request = query(EAST, 9);
        request.filter.meta = BTreeMap::from([("month".to_owned(), Condition::parse_meta(["4..6"]).unwrap())]);
        assert_eq!(index.search(&collection, &request).await.unwrap().len(), 1);
        let mut payload = serde_json::to_value(&record("old.jpg", EAST).payload).unwrap();
        payload.as_object_mut().unwrap().remove("version");
        let old = PointStruct::new(
            record("old.jpg", EAST).id.to_string(),
            EAST.to_vec(),
            Payload::try_from(payload).unwrap(),
        );
        client.upsert_points(UpsertPointsBuilder::new(&name, vec![old]).wait(true)).await.unwrap();
        let refused = index.search(&collection, &request).await.unwrap_err();
        assert_eq!(refused, IndexError::OutdatedRecords(collection.clone()));
        assert_eq!(index.search(&collection, &query(EAST, 9)).await.unwrap().len(), 2, "only ranges are refused");
        index.drop_collection(&collection).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn ties_beyond_the_end_of_a_page_are_in_order_of_ids() {
    on_every_server(async |server: &TestServer| {
        let index = server.index();
        let collection = fresh(&index, "contract-equals").await;
        let records: Vec<_> = (0..600).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
        index.upsert(&collection, &records).await.unwrap();
        let mut expected: Vec<_> = records.iter().map(|record| record.id).collect();
        expected.sort();
        for (offset, limit) in [(0, 1), (0, 10), (37, 10), (595, 10), (600, 10)] {
            let page = SearchQuery { offset, ..query(EAST, limit) };
            let found: Vec<_> = index.search(&collection, &page).await.unwrap().iter().map(|hit| hit.id).collect();
            let expected_page: Vec<_> = expected.iter().skip(offset).take(limit).copied().collect();
            assert_eq!(found, expected_page, "{limit} after {offset}");
        }
        index.drop_collection(&collection).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn many_records_are_written_read_and_removed_in_limited_requests() {
    let qdrant = QdrantServer::start().await;
    let index = super::index(&qdrant.url(), "", std::time::Duration::from_secs(30));
    let collection = fresh(&index, "contract-many").await;
    let mut records: Vec<_> = (0..1_000).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    records.push(record("7.jpg", NORTH));
    index.upsert(&collection, &records).await.unwrap();
    assert_eq!(qdrant.calls("upsert"), 4);
    let all: Vec<_> = records[..1_000].iter().map(|record| record.id).collect();
    let read = index.get(&collection, &all).await.unwrap();
    assert_eq!((read.len(), qdrant.calls("get")), (1_000, 2));
    let seventh = read.iter().find(|read| read.id == all[7]).unwrap();
    assert_eq!(seventh.embedding.as_slice(), NORTH, "the last of an id counts");
    index.delete(&collection, &all[1..]).await.unwrap();
    assert_eq!((count(&index, &collection).await, qdrant.calls("delete")), (1, 1));
}

#[tokio::test]
async fn a_refused_record_is_named_and_the_others_are_written() {
    let qdrant = QdrantServer::start().await;
    let index = super::index(&qdrant.url(), "", std::time::Duration::from_secs(30));
    let collection = fresh(&index, "contract-refused").await;
    let records: Vec<_> = (0..300).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    qdrant.fail(ServerFault::Refused("42.jpg"));
    let refused = index.upsert(&collection, &records).await.unwrap_err();
    let IndexError::Rejected { id, reason } = refused else { panic!("{refused}") };
    assert!(id == records[42].id && reason.contains("too large"), "{id}: {reason}");
    assert!(qdrant.calls("upsert") < 20, "it is found by halving");
    let other_records: Vec<_> = records.iter().filter(|record| record.id != id).cloned().collect();
    index.upsert(&collection, &other_records).await.unwrap();
    assert_eq!(count(&index, &collection).await, 299);
}

#[tokio::test]
async fn a_size_that_another_client_changed_is_noticed() {
    on_every_server(async |server: &TestServer| {
        let index = server.index();
        let collection = fresh(&index, "contract-resized").await;
        let old = record("a.jpg", EAST);
        index.upsert(&collection, std::slice::from_ref(&old)).await.unwrap();
        // Another process drops it and creates it again.
        let (other, wide) = (server.index(), Space { dimension: 6, ..space() });
        other.drop_collection(&collection).await.unwrap();
        other.ensure_image_collection(&collection, &wide).await.unwrap();

        let refused = index.search(&collection, &query(EAST, 1)).await.unwrap_err();
        assert!(matches!(&refused, IndexError::Space(error) if error.reason == "6 numbers against 4"), "{refused}");
        let refused = index.upsert(&collection, std::slice::from_ref(&old)).await.unwrap_err();
        assert!(matches!(&refused, IndexError::Rejected { id, .. } if *id == old.id), "{refused}");
        let mut new = record("b.jpg", EAST);
        new.embedding = Embedding::normalised(vec![1.0; 6], 6).unwrap();
        index.upsert(&collection, &[new]).await.unwrap();
        index.drop_collection(&collection).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn points_of_other_applications_are_not_hits() {
    on_every_server(async |server: &TestServer| {
        let index = server.index();
        let collection = fresh(&index, "contract-strangers").await;
        let ours = record("a.jpg", EAST);
        index.upsert(&collection, std::slice::from_ref(&ours)).await.unwrap();
        let write = async |point| {
            let request = UpsertPointsBuilder::new(collection_in_qdrant(&collection), vec![point]).wait(true);
            server.raw_client().upsert_points(request).await.unwrap();
        };
        let nan = record("nan.jpg", EAST).id;
        write(PointStruct::new(nan.to_string(), vec![f32::NAN; 4], Payload::new())).await;
        let hits = index.search(&collection, &query(EAST, 1)).await.unwrap();
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [ours.id], "not the NaN that comes first");
        assert_eq!(ids(&index, &collection).await.len(), 2, "it exists, so it is counted and can be removed");
        index.delete(&collection, &[nan]).await.unwrap();

        write(PointStruct::new(7, vec![1.0; 4], Payload::new())).await;
        let message = index.scan(&collection).try_collect::<Vec<ImageId>>().await.unwrap_err();
        assert!(message.to_string().contains("the point 7"), "{message}");
        index.drop_collection(&collection).await.unwrap();
    })
    .await;
}

//! Records and answers are neither changed nor lost on the way to a real server and back.

use glimpse::domain::{Condition, Embedding, Filter, ImageRecord, MetaValue, Probe, SearchQuery, Space, Timestamp};
use glimpse::index::{EnsureOutcome, ImageIndex};

use super::Server;
use crate::contract::index::support::{EAST, fresh, ids, keys, name, query, record, space};

/// A record with all values that an adapter could change by mistake.
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
async fn every_payload_is_returned_exactly() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-exact", async {
            let collection = fresh(&server.index, "contracted-exact").await;
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
async fn filters_distinguish_spaces_stop_words_and_microseconds() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-filtered", async {
            let collection = fresh(&server.index, "contracted-filtered").await;
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
            let search = async |filter: Filter| {
                let query = SearchQuery { filter, ..query(EAST, 10) };
                let mut found = keys(&server.index, &collection, &query).await;
                found.sort();
                found
            };
            for (at, folder) in ["a/", " a/", "A/"].into_iter().enumerate() {
                let filter = Filter { folders: Condition::from(folder.to_owned()), ..Filter::default() };
                assert_eq!(search(filter).await, [records[at].payload.s3_key.as_str()], "{folder:?}");
            }
            for record in &records {
                let meta = record.payload.meta.clone().into_iter();
                let meta = meta.map(|(key, text)| (key, MetaValue::Text(text).into())).collect();
                let filter = Filter { meta, ..Filter::default() };
                assert_eq!(search(filter).await, [record.payload.s3_key.as_str()], "{:?}", record.payload.meta);
                let after = Filter { indexed_after: Some(record.payload.indexed_at), ..Filter::default() };
                let later = records.iter().filter(|other| after.matches(&other.payload)).count();
                assert_eq!(search(after).await.len(), later);
            }
            let ever = Filter { indexed_after: Timestamp::parse("0001-01-01T00:00:00Z").ok(), ..Filter::default() };
            assert_eq!(search(ever).await.len(), 3);
        })
        .await;
}

#[tokio::test]
async fn a_large_space_is_kept_with_its_collection() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-space", async {
            let collection = name("contracted-space");
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
            assert_eq!(
                server.index.ensure_image_collection(&collection, &large).await.unwrap(),
                EnsureOutcome::Existed
            );
        })
        .await;
}

#[tokio::test]
async fn ties_are_all_found_in_order_of_ids_page_by_page() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-equals", async {
            let collection = fresh(&server.index, "contracted-equals").await;
            let mut records: Vec<_> = (0..700).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
            // Each takes several requests and replies.
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

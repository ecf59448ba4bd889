//! The effort of searches in a class, which is a property of the class.

use glimpse::domain::{SearchEffort, SearchQuery};
use glimpse::index::ImageIndex;
use reqwest::Method;

use super::Server;
use crate::contract::index::support::{EAST, fresh, query, record};

#[tokio::test]
async fn the_level_is_a_property_of_the_class_and_nothing_else_changes() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-level", async {
            let collection = fresh(&server.index, "contracted-level").await;
            server.index.upsert(&collection, &[record("a.jpg", EAST)]).await.unwrap();
            // The server changes the order of the properties.
            let class = async || {
                let (_, mut class) = server.class_of(&collection).await;
                let properties = class["properties"].as_array_mut().unwrap();
                properties.sort_by_key(|property| property["name"].as_str().unwrap().to_owned());
                class
            };
            let before = class().await;
            for (level, ef) in [(Some(512), 512), (None, -1)] {
                server.index.set_level(&collection, level).await.unwrap();
                let mut changed = class().await;
                assert_eq!(changed["vectorIndexConfig"]["ef"], ef);
                changed["vectorIndexConfig"]["ef"] = before["vectorIndexConfig"]["ef"].clone();
                assert_eq!(changed, before);
            }
        })
        .await;
}

#[tokio::test]
async fn an_exact_search_of_many_ranges_finds_the_nearest_of_all() {
    let Some(server) = Server::real() else { return };
    server
        .cleaned("contracted-ranges", async {
            let collection = fresh(&server.index, "contracted-ranges").await;
            let angle = |n: u16| (f32::from(n) / 400.0).sin_cos();
            let records: Vec<_> = (0..400)
                .map(|n| {
                    let mut record = record(&format!("{n}.jpg"), [angle(n).1, angle(n).0, 0.0, 0.0]);
                    record.payload.width = u32::from(n % 2) + 1;
                    record
                })
                .collect();
            server.index.upsert(&collection, &records).await.unwrap();
            // A filter that matches more than this many objects is searched in the graph, or in several ranges.
            let (_, mut class) = server.class_of(&collection).await;
            class["vectorIndexConfig"]["flatSearchCutoff"] = 40.into();
            let path = format!("schema/{}", collection.weaviate_class());
            assert_eq!(server.rest(Method::PUT, &path, Some(class)).await.0, 200);
            let mut exact = SearchQuery { effort: SearchEffort::Exact, ..query(EAST, 10) };
            exact.filter.min_width = Some(2);
            let hits = server.index.search(&collection, &exact).await.unwrap();
            let found: Vec<_> = hits.iter().map(|hit| hit.payload.s3_key.clone()).collect();
            let expected: Vec<_> = (0..10).map(|n| format!("{}.jpg", 2 * n + 1)).collect();
            assert_eq!(found, expected);
        })
        .await;
}

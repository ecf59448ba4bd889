//! The effort of a search: the graph of a server misses points, which a higher level or an exact search finds.

use glimpse::domain::{CollectionName, SearchEffort, SearchQuery};
use glimpse::index::{ImageIndex, IndexError};

use super::EAST;
use crate::contract::index::support::{fresh, query, record};
use crate::support::qdrant::{Limits, QdrantServer};

/// The number of hits of a search for all of 200 records.
async fn hits(index: &dyn ImageIndex, collection: &CollectionName, effort: SearchEffort) -> usize {
    index.search(collection, &SearchQuery { effort, ..query(EAST, 200) }).await.unwrap().len()
}

#[tokio::test]
async fn a_level_and_an_exact_search_find_what_the_graph_misses() {
    let server = QdrantServer::start().await;
    server.set_limits(Limits { graph: true, ..Limits::default() });
    let index = super::index(&server.url(), "", std::time::Duration::from_secs(30));
    let collection = fresh(&index, "contract-effort").await;
    let records: Vec<_> = (0..200).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    index.upsert(&collection, &records).await.unwrap();
    let default = hits(&index, &collection, SearchEffort::Default).await;
    let level = hits(&index, &collection, SearchEffort::Level(512)).await;
    assert!(0 < default && default < level && level < 200, "{default} {level}");
    assert_eq!(hits(&index, &collection, SearchEffort::Exact).await, 200);
    assert_eq!(hits(&index, &collection, SearchEffort::Level(1_024)).await, 200);
}

#[tokio::test]
async fn a_server_that_refuses_exact_searches_is_named() {
    let server = QdrantServer::start().await;
    let index = super::index(&server.url(), "", std::time::Duration::from_secs(30));
    let collection = fresh(&index, "contract-no-exact").await;
    index.upsert(&collection, &[record("a.jpg", EAST)]).await.unwrap();
    server.set_limits(Limits { no_exact: true, ..Limits::default() });
    let exact = SearchQuery { effort: SearchEffort::Exact, ..query(EAST, 1) };
    let refused = index.search(&collection, &exact).await.unwrap_err();
    let IndexError::NoExactSearch { store: "qdrant", reason } = refused else { panic!("{refused}") };
    assert!(reason.contains("strict mode") && reason.contains("Exact search disabled"), "{reason}");
    assert_eq!(hits(&index, &collection, SearchEffort::Default).await, 1);
}

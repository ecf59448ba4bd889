//! The Qdrant adapter, held to the contract of a store.

use std::time::Duration;

use glimpse::domain::Secret;
use glimpse::index::qdrant::{QdrantIndex, QdrantSettings};

use crate::index_contract;
use crate::support::qdrant::QdrantServer;

fn index(url: String) -> QdrantIndex {
    QdrantIndex::new(QdrantSettings { url, api_key: Secret::default(), timeout: Duration::from_secs(10) }).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holds_the_contract_of_a_store() {
    let qdrant = QdrantServer::start().await;
    index_contract::hold(&index(qdrant.url())).await;
}

//! The embedded index, held to the contract, and to what a store in the process owes besides.

use glimpse::index::embedded::EmbeddedIndex;

use crate::index_contract;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn holds_the_contract_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    index_contract::hold(&EmbeddedIndex::open(folder.path()).unwrap()).await;
}

//! Qdrant as a store: against the fake of the tests, and against a real one at `QDRANT_URL` (with `QDRANT_API_KEY`).
//! Everything that a test creates there is removed, also if it fails.

mod collections;
mod effort;
mod exif;
mod failure;
mod records;
mod server;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use glimpse::domain::{CollectionName, Secret};
use glimpse::index::Quantization;
use glimpse::index::qdrant::{QdrantIndex, QdrantSettings, grpc_url};
use qdrant_client::Qdrant;

use crate::contract::index::support::{EAST, NORTH, run};
use crate::support::environment::{skip, variable};
use crate::support::qdrant::QdrantServer;

/// A server to test with.
struct TestServer {
    url: String,
    key: String,
    _own: Option<QdrantServer>,
}

impl TestServer {
    fn index(&self) -> QdrantIndex {
        QdrantIndex::new(self.settings()).unwrap()
    }

    fn settings(&self) -> QdrantSettings {
        settings(&self.url, &self.key, Duration::from_mins(1))
    }

    /// The client of the crate, to act as another application.
    fn raw_client(&self) -> Qdrant {
        let client = Qdrant::from_url(&grpc_url(&self.url.parse().unwrap()).0).timeout(Duration::from_mins(1));
        let client = client.connect_timeout(Duration::from_secs(5)).skip_compatibility_check();
        let key = Some(self.key.clone()).filter(|key| !key.is_empty());
        client.api_key(key).build().unwrap()
    }
}

fn settings(url: &str, key: &str, timeout: Duration) -> QdrantSettings {
    QdrantSettings { url: url.parse().unwrap(), api_key: Secret::new(key), timeout, quantization: Quantization::Int8 }
}

fn index(url: &str, key: &str, timeout: Duration) -> QdrantIndex {
    QdrantIndex::new(settings(url, key, timeout)).unwrap()
}

/// The name of the collection in the server.
fn collection_in_qdrant(collection: &CollectionName) -> String {
    format!("{collection}_images")
}

/// Runs the test against the fake, and against the real server if there is one.
async fn on_every_server(test: impl AsyncFn(&TestServer)) {
    let fake = QdrantServer::start().await;
    let fake = TestServer { url: fake.url(), key: String::new(), _own: Some(fake) };
    test(&fake).await;
    let leftovers = fake.raw_client().list_collections().await.unwrap().collections;
    assert!(leftovers.is_empty(), "left in the server: {leftovers:?}");
    if let Some(real) = real() {
        let outcome = AssertUnwindSafe(test(&real)).catch_unwind().await;
        if let Err(panic) = outcome {
            // Only collections of this run; other tests of this run will fail as well.
            let client = real.raw_client();
            for collection in client.list_collections().await.unwrap().collections {
                if collection.name.contains(run()) {
                    client.delete_collection(collection.name).await.ok();
                }
            }
            resume_unwind(panic);
        }
    }
}

fn real() -> Option<TestServer> {
    let Some(url) = variable("QDRANT_URL") else {
        skip("qdrant", "set QDRANT_URL");
        return None;
    };
    Some(TestServer { url, key: variable("QDRANT_API_KEY").unwrap_or_default(), _own: None })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_the_contract() {
    on_every_server(async |server| crate::contract::index::run_contract(&server.index()).await).await;
}

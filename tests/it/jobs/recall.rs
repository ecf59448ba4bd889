//! The self-test of a store whose graph misses results.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use glimpse::collections::{MIN_TESTED_RECORDS, RecallParts, RecallReports, RecallTest};
use glimpse::domain::{CollectionName, Embedding, ImageRecord, RecallReport, SearchEffort, Secret, Space};
use glimpse::embed::{EmbedError, ImageEmbeddingProvider};
use glimpse::imaging::{PreparedImage, Preprocessing};
use glimpse::index::qdrant::{QdrantIndex, QdrantSettings};
use glimpse::index::{Quantization, Stores};
use glimpse::jobs::Jobs;
use glimpse::shutdown::Shutdown;
use reqwest::Method;
use serde_json::json;

use crate::contract::index::support::{query, record, space, unit};
use crate::support::jobs::start_jobs;
use crate::support::qdrant::{Limits, QdrantServer};
use crate::support::{TestApp, demo_image};

/// A model in the space of the records.
struct FourNumbers;

#[async_trait]
impl ImageEmbeddingProvider for FourNumbers {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(8)
    }
    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        Ok(Arc::new(space()))
    }
    async fn embed_image_batch(&self, _: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        Err(EmbedError::Unsupported)
    }
    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        Ok(unit(direction(text.len())))
    }
}

fn direction(n: usize) -> [f32; 4] {
    let angle = f32::from(u16::try_from(n).unwrap());
    [angle.sin(), angle.cos(), (angle * 0.7).sin(), (angle * 0.7).cos()]
}

fn records(count: u64) -> Vec<ImageRecord> {
    (0..usize::try_from(count).unwrap()).map(|n| record(&format!("{n}.jpg"), direction(n))).collect()
}

/// A service with the Qdrant of the tests.
struct Service {
    test: RecallTest,
    stores: Stores,
    reports: RecallReports,
    jobs: Jobs,
    shutdown: Shutdown,
}

impl Service {
    async fn start(folder: &std::path::Path, server: &QdrantServer) -> Self {
        let settings = QdrantSettings {
            url: server.url().parse().unwrap(),
            api_key: Secret::default(),
            timeout: Duration::from_secs(30),
            quantization: Quantization::Int8,
        };
        let stores = Stores::new(vec![Arc::new(QdrantIndex::new(settings).unwrap())]);
        let (provider, shutdown) = (Arc::new(FourNumbers), Shutdown::new());
        let (jobs, _) = start_jobs(folder, provider, stores.clone(), &shutdown).await;
        let reports = RecallReports::default();
        let texts = (1..10).map(|length| "x".repeat(length)).collect();
        let parts = RecallParts { jobs: jobs.clone(), texts, max_ms: 60_000, reports: reports.clone() };
        Self { test: RecallTest::open(parts).await.unwrap(), stores, reports, jobs, shutdown }
    }

    fn report(&self, collection: &CollectionName) -> Option<RecallReport> {
        self.reports.get(collection).remove("qdrant")
    }

    /// The number of hits of a usual search for all records.
    async fn found(&self, collection: &CollectionName) -> usize {
        let all = query([1.0, 0.0, 0.0, 0.0], usize::try_from(MIN_TESTED_RECORDS).unwrap());
        assert_eq!(all.effort, SearchEffort::Default);
        let (_, hits) = self.stores.nearest(collection, &all).await.remove(0);
        hits.unwrap().len()
    }

    async fn stop(self) {
        self.shutdown.begin();
        assert!(self.shutdown.finished().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_effort_of_a_large_collection_is_raised_and_kept_across_a_restart() {
    let (folder, server) = (tempfile::tempdir().unwrap(), QdrantServer::start().await);
    let service = Service::start(folder.path(), &server).await;
    let store = service.stores.default_store().clone();
    let [large, small] = ["large", "small"].map(|name| CollectionName::parse(name).unwrap());
    for (collection, count) in [(&large, MIN_TESTED_RECORDS), (&small, MIN_TESTED_RECORDS - 1)] {
        store.ensure_image_collection(collection, &space()).await.unwrap();
        store.upsert(collection, &records(count)).await.unwrap();
    }
    server.set_limits(Limits { graph: true, ..Limits::default() });
    let before = service.found(&large).await;
    assert!(service.test.run().await.unwrap());
    let report = service.report(&large).unwrap();
    assert_eq!((report.level, report.records, report.is_limited), (Some(1_024), MIN_TESTED_RECORDS, false));
    let (text, image) = (report.text.unwrap(), report.image.unwrap());
    assert_eq!((text.queries, image.queries), (9, 32));
    assert!(text.recall >= 0.99 && image.recall >= 0.99, "{text:?} {image:?}");
    let all = usize::try_from(MIN_TESTED_RECORDS).unwrap();
    assert!(before < all / 5, "the graph reaches a tenth: {before}");
    assert_eq!(service.found(&large).await, all);
    assert_eq!(service.report(&small), None, "it is too small for a test");

    let queries = server.calls("query");
    assert!(service.test.run().await.unwrap());
    assert_eq!(server.calls("query"), queries, "the result is not outdated");
    service.stop().await;

    let service = Service::start(folder.path(), &server).await;
    assert_eq!(service.report(&large), Some(report));
    assert_eq!(service.found(&large).await, all, "the level is used from the start");
    service.jobs.drop_collection("large").await.unwrap();
    assert!(service.test.run().await.unwrap());
    assert_eq!(service.report(&large), None);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_of_a_test_is_shown_until_the_collection_is_dropped() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let stopped = app.stop_for_restart().await;
    let report = json!({
        "records": 3000, "level": 300, "text": {"recall": 0.99312, "queries": 75}, "image": null, "p50_ms": 4.25,
        "exact_p50_ms": 30.0, "max_ms": 100, "is_limited": true, "tested_at": "2026-05-01T00:00:00.000000Z"
    });
    let ledger = rusqlite::Connection::open(stopped.data().join("ledger.sqlite")).unwrap();
    let insert = "INSERT INTO recall(collection, store, report) VALUES ('documents', 'embedded', ?1)";
    ledger.execute(insert, [report.to_string()]).unwrap();
    drop(ledger);
    let app = stopped.start().await;
    let expected = json!({"embedded": {
        "text": {"recall": 0.993, "queries": 75}, "image": null, "level": 300, "p50_ms": 4.25, "exact_p50_ms": 30.0,
        "limited": true, "records": 3000, "tested_at": "2026-05-01T00:00:00.000000Z"
    }});
    let (_, details) = app.get("/collections/documents").await;
    assert_eq!(details["recall_at_10"], expected);
    let (_, list) = app.get("/collections").await;
    assert_eq!(list["collections"][0]["recall_at_10"], expected);
    let metrics = app.send(Method::GET, "/metrics", None).await.text().await.unwrap();
    let gauge = r#"glimpse_recall_at_10{collection="documents",store="embedded",query="text"} 0.99312"#;
    assert!(metrics.contains(gauge), "{metrics}");
    app.delete("/collections/documents").await;
    app.ingest().await;
    let (_, details) = app.get("/collections/documents").await;
    assert_eq!(details.get("recall_at_10"), None);
}

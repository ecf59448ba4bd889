//! The cost of several stores: writing to all compared with the slowest alone, searching all compared with the slowest
//! alone, and records per second for each.
//!
//! Qdrant is the fake of the tests, in this process with threads of its own, so it uses the same cores; Weaviate is a
//! real one at `WEAVIATE_URL` and `WEAVIATE_GRPC_URL`, if they are set. Two stores that only wait (20 ms per call)
//! show the result if the stores run on other machines.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its own variables and spawns what it waits for")]
#![expect(clippy::cast_precision_loss, reason = "prints figures")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use glimpse::domain::{
    CollectionName, Embedding, Filter, ImageFormat, ImageRecord, ImageUri, PAYLOAD_VERSION, Payload, Probe,
    SearchEffort, SearchQuery, Secret, Space, StoreSet, Timestamp,
};
use glimpse::index::Quantization;
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::index::qdrant::{QdrantIndex, QdrantSettings};
use glimpse::index::weaviate::{WeaviateIndex, WeaviateSettings};
use glimpse::index::{ImageIndex, Stores};

#[path = "../tests/it/support/qdrant/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod qdrant;

use qdrant::{QdrantServer, ServerFault};

const SIZE: usize = 512;
const RECORDS: usize = 4_000;
const SEARCHES: usize = 200;
/// Concurrent calls: the default of `GLIMPSE_UPSERT_LANES`.
const LANES: usize = 2;
const TIMEOUT: Duration = Duration::from_mins(1);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let collection = CollectionName::parse("bench-stores").unwrap();
    let records = records();
    let (server, folder) = (QdrantServer::start().await, tempfile::tempdir().unwrap());
    let mut stores: Vec<Arc<dyn ImageIndex>> =
        vec![Arc::new(EmbeddedIndex::open(folder.path()).unwrap()), Arc::new(client(&server))];
    stores.extend(weaviate());

    println!("{RECORDS} records of {SIZE} floats, {LANES} calls at once");
    for batch in [8, 64] {
        let mut slowest: f64 = 0.0;
        for store in &stores {
            let took = write(&Stores::new(vec![store.clone()]), &collection, &records, batch).await;
            println!("upsert by {batch:<3} {:<9} {:8.0} records/s", store.name(), RECORDS as f64 / took);
            slowest = slowest.max(took);
        }
        let took = write(&Stores::new(stores.clone()), &collection, &records, batch).await;
        let (rate, ratio) = (RECORDS as f64 / took, took / slowest);
        println!("upsert by {batch:<3} all       {rate:8.0} records/s, {ratio:.2} x the slowest alone");
    }

    // The last pass left the records in every store.
    let mut slowest = Duration::ZERO;
    for store in &stores {
        let p95 = search_time(&Stores::new(vec![store.clone()]), &collection, &records).await;
        println!("search {:<9} {:8.2} ms at p95", store.name(), p95.as_secs_f64() * 1e3);
        slowest = slowest.max(p95);
    }
    let p95 = search_time(&Stores::new(stores.clone()), &collection, &records).await;
    let over = (p95.as_secs_f64() - slowest.as_secs_f64()) * 1e3;
    println!(
        "search all       {:8.2} ms at p95, {over:.2} ms over the slowest  (wanted: 2 or less)",
        p95.as_secs_f64() * 1e3
    );
    for store in &stores {
        store.drop_collection(&collection).await.unwrap();
    }
    remote_stores(&collection, &records[..512]).await;
}

/// Two stores that run on other machines.
async fn remote_stores(collection: &CollectionName, records: &[ImageRecord]) {
    let servers = [QdrantServer::start().await, QdrantServer::start().await];
    let stores: Vec<Arc<dyn ImageIndex>> = servers.iter().map(|server| Arc::new(client(server)) as _).collect();
    for server in &servers {
        server.fail(ServerFault::Slow(Duration::from_millis(20)));
    }
    let one = write(&Stores::new(vec![stores[0].clone()]), collection, records, 8).await;
    let both = write(&Stores::new(stores.clone()), collection, records, 8).await;
    println!("two that wait 20 ms: {:.3} x one of them  (wanted: 1.1 or less)", both / one);
    let one = search_time(&Stores::new(vec![stores[0].clone()]), collection, records).await;
    let both = search_time(&Stores::new(stores), collection, records).await;
    let over = (both.as_secs_f64() - one.as_secs_f64()) * 1e3;
    println!("search in both:      {over:.2} ms over one of them at p95  (wanted: 2 or less)");
}

/// Writes the records into an empty collection; returns seconds.
async fn write(stores: &Stores, collection: &CollectionName, records: &[ImageRecord], batch: usize) -> f64 {
    for store in stores.iter() {
        store.drop_collection(collection).await.ok();
        store.ensure_image_collection(collection, &space()).await.unwrap();
    }
    let stored_in = StoreSet::default();
    let started = Instant::now();
    stream::iter(records.chunks(batch))
        .map(|batch| {
            let stored_in = &stored_in;
            async move {
                let mut answers = stores.upsert(collection, batch, stored_in);
                while let Some(written) = answers.next().await {
                    assert!(written.outcome.unwrap().is_empty());
                }
            }
        })
        .buffer_unordered(LANES)
        .for_each(|()| async {})
        .await;
    started.elapsed().as_secs_f64()
}

/// The time of a search at p95, with the calls of `search`: the collections and the nearest records at the same time.
async fn search_time(stores: &Stores, collection: &CollectionName, records: &[ImageRecord]) -> Duration {
    let mut times = Vec::with_capacity(SEARCHES);
    for at in 0..SEARCHES {
        let embedding = records[at % records.len()].embedding.clone();
        let query =
            SearchQuery { embedding, limit: 10, offset: 0, filter: Filter::default(), effort: SearchEffort::Default };
        let started = Instant::now();
        let (spaces, nearest) = tokio::join!(stores.infos(collection), stores.nearest(collection, &query));
        let merged = stores.merge(spaces.unwrap(), nearest, &space(), &query).unwrap();
        assert!(merged.value.len() == 10 && merged.warnings.is_empty());
        times.push(started.elapsed());
    }
    times.sort();
    times[SEARCHES * 95 / 100]
}

fn client(server: &QdrantServer) -> QdrantIndex {
    QdrantIndex::new(QdrantSettings {
        url: server.url().parse().unwrap(),
        api_key: Secret::default(),
        timeout: TIMEOUT,
        quantization: Quantization::Int8,
    })
    .unwrap()
}

fn weaviate() -> Option<Arc<dyn ImageIndex>> {
    let set = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let Some(url) = set("WEAVIATE_URL") else {
        println!("skipped: set WEAVIATE_URL");
        return None;
    };
    let api_key = Secret::new(set("WEAVIATE_API_KEY").unwrap_or_default());
    let grpc_url = set("WEAVIATE_GRPC_URL").map(|url| url.parse().unwrap());
    let settings = WeaviateSettings {
        url: url.parse().unwrap(),
        grpc_url,
        api_key,
        timeout: TIMEOUT,
        quantization: Quantization::Int8,
    };
    Some(Arc::new(WeaviateIndex::new(settings).unwrap()))
}

fn space() -> Space {
    let mut vector = vec![0.0; SIZE];
    vector[0] = 1.0;
    Space {
        model: "bench".into(),
        dimension: SIZE,
        preprocessing: "none".into(),
        probes: vec![Probe { name: "text:a".into(), vector }],
    }
}

fn records() -> Vec<ImageRecord> {
    let record = |n: usize| {
        let uri = ImageUri::new("bench", &format!("images/birds/{n}.jpg"));
        let raw = (0..SIZE).map(|at| ((n * 31 + at * 17) % 1_009) as f32 - 504.0).collect();
        let payload = Payload {
            s3_key: uri.key().to_owned(),
            s3_uri: uri.clone(),
            s3_bucket: "bench".into(),
            s3_folders: uri.folders(),
            format: ImageFormat::Jpeg,
            width: 640,
            height: 480,
            frames: 1,
            thumbnail_key: None,
            etag: Some(format!("{n:032x}")),
            size_bytes: 100_000,
            content_sha256: format!("{n:064x}"),
            space: space().name(),
            indexed_at: Timestamp::now(),
            meta: BTreeMap::new(),
            meta_kv: Vec::new(),
            version: PAYLOAD_VERSION,
            hashes: None,
            exif: glimpse::domain::ExifFacts::default(),
        };
        ImageRecord { id: uri.id(), uri, embedding: Embedding::normalised(raw, SIZE).unwrap(), payload }
    };
    (0..RECORDS).map(record).collect()
}

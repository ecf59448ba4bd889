//! The approximate search of the embedded index over a large collection: recall, time and memory, against the exact scan of the
//! same data in the same run. Pin it to one core (`taskset -c 1`) for the time of one thread.
//!
//! ```text
//! target/peers/bin/python zarf/peers/vectors.py DATA 1000000 CORPUS
//! NEAREST_DATA=DATA cargo bench --bench nearest
//! ```

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may panic, and prints what it finds")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]
#![expect(clippy::disallowed_methods, reason = "a benchmark may spawn")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use glimpse::domain::{
    CollectionName, Condition, Embedding, FacetField, FacetQuery, Filter, ImageFormat, ImageId, ImageRecord, ImageUri,
    PAYLOAD_VERSION, Payload, Probe, SearchEffort, SearchQuery, Space, Timestamp,
};
use glimpse::index::ImageIndex;
use glimpse::index::embedded::EmbeddedIndex;

const SIZE: usize = 512;
const BATCH: usize = 256;
/// The batches that are written at the same time.
const WRITERS: usize = 4;
const LEVELS: [SearchEffort; 5] = [
    SearchEffort::Level(450),
    SearchEffort::Level(475),
    SearchEffort::Default,
    SearchEffort::Level(550),
    SearchEffort::Level(600),
];
/// The queries of each kind: the last ones of the file. With fewer, the recall of a text differs by some thousandths.
const QUERIES: usize = 400;
const LIMIT: usize = 10;

/// A file of vectors.
struct Data(File);

impl Data {
    fn open(path: &Path) -> Self {
        Self(File::open(path).unwrap())
    }

    fn count(&self) -> usize {
        usize::try_from(self.0.metadata().unwrap().len()).unwrap() / (SIZE * 4)
    }

    /// Returns the vectors from `first` to before `end`.
    fn read(&self, first: usize, end: usize) -> Vec<Embedding> {
        let mut bytes = vec![0; (end - first) * SIZE * 4];
        self.0.read_exact_at(&mut bytes, (first * SIZE * 4) as u64).unwrap();
        vectors(&bytes).collect()
    }
}

fn vectors(bytes: &[u8]) -> impl Iterator<Item = Embedding> {
    bytes.chunks_exact(SIZE * 4).map(|row| {
        let numbers = row.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
        Embedding::normalised(numbers, SIZE).unwrap()
    })
}

fn record(n: usize, embedding: Embedding) -> ImageRecord {
    // Jobs write in the order of the keys.
    let key = format!("images/{:04}/{n:07}.jpg", n / 2_000);
    let uri = ImageUri::new("bucket", &key);
    let payload = Payload {
        s3_key: key,
        s3_uri: uri.clone(),
        s3_bucket: "bucket".into(),
        s3_folders: uri.folders(),
        format: ImageFormat::Jpeg,
        width: 640 + u32::try_from(n % 1_000).unwrap(),
        height: 480,
        frames: 1,
        thumbnail_key: None,
        etag: Some(format!("{n:032x}")),
        size_bytes: 3_145_728,
        content_sha256: format!("{n:064x}"),
        space: "m".into(),
        indexed_at: Timestamp::from_unix_micros(1_790_000_000_000_000 + i64::try_from(n).unwrap() * 100).unwrap(),
        meta_kv: vec![format!("month={}", n % 12)],
        meta: [("month".into(), (n % 12).to_string())].into(),
        version: PAYLOAD_VERSION,
        hashes: None,
        exif: glimpse::domain::ExifFacts::default(),
    };
    ImageRecord { id: uri.id(), uri, embedding, payload }
}

/// The resident memory in MB: of the process itself, and of mapped files.
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1e3
    };
    (field("RssAnon:"), field("RssFile:"))
}

#[tokio::main]
async fn main() {
    let Some(data) = std::env::var_os("NEAREST_DATA") else {
        println!("skipped: set NEAREST_DATA to a folder that zarf/peers/vectors.py made");
        return;
    };
    let data = Path::new(&data);
    let kept = std::env::var_os("NEAREST_INDEX");
    let folder = tempfile::tempdir_in(data).unwrap();
    let folder = kept.as_deref().map_or(folder.path(), Path::new);
    let collection = CollectionName::parse("bench").unwrap();
    let probes = vec![Probe { name: "p".into(), vector: vec![1.0; SIZE] }];
    let space = Space { model: "m".into(), dimension: SIZE, preprocessing: "crop".into(), probes };
    let index = EmbeddedIndex::open(folder).unwrap();
    index.ensure_image_collection(&collection, &space).await.unwrap();
    let all = Data::open(&data.join("vectors.f32"));
    let count = all.count();
    if index.describe(&collection).await.unwrap().unwrap().count < count as u64 {
        load(&index, &collection, &all).await;
    }
    drop(index);
    let index = open(folder).await;
    // Before the index reads the values ahead.
    measure_facets(&index, &collection).await;
    println!("memory after the start: {:.0} MB", memory().0);
    for kind in ["texts", "images"] {
        let queries = Data::open(&data.join(format!("{kind}.f32")));
        let queries = queries.read(queries.count().saturating_sub(QUERIES), queries.count());
        measure(&index, &collection, kind, &queries).await;
    }
    for kind in ["texts", "images"] {
        let queries = Data::open(&data.join(format!("{kind}.f32")));
        let queries = queries.read(queries.count().saturating_sub(QUERIES), queries.count());
        measure_filters(&index, &collection, kind, &queries).await;
    }
    let (own, files) = memory();
    println!("memory: {own:.0} MB, and {files:.0} MB of files");
}

/// Opens the index. A write that has not ended yet keeps the folder locked for a moment.
async fn open(folder: &Path) -> EmbeddedIndex {
    let mut index = Err(());
    while index.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let start = Instant::now();
        index = EmbeddedIndex::open(folder).map_err(|_| ());
        println!("opened in {:.2} s", start.elapsed().as_secs_f64());
    }
    index.unwrap()
}

/// Writes all vectors, several batches at the same time, as jobs do, while one client searches.
async fn load(index: &EmbeddedIndex, collection: &CollectionName, all: &Data) {
    let (started, count) = (Instant::now(), all.count());
    let searcher = tokio::spawn(search_meanwhile(index.clone(), collection.clone(), all.read(0, 100)));
    let batches = stream::iter((0..count).step_by(BATCH)).map(|first| async move {
        let end = count.min(first + BATCH);
        let batch: Vec<ImageRecord> =
            (first..).zip(all.read(first, end)).map(|(n, vector)| record(n, vector)).collect();
        index.upsert(collection, &batch).await.unwrap();
        end
    });
    let mut last = (Instant::now(), 0);
    let mut done = std::pin::pin!(batches.buffered(WRITERS));
    while let Some(end) = done.next().await {
        if end >= last.1 + 250_000 || end == count {
            println!("{end} records, {:.0} a second", (end - last.1) as f64 / last.0.elapsed().as_secs_f64());
            last = (Instant::now(), end);
        }
    }
    println!("loaded in {:.0} s, {:.0} records a second", started.elapsed().as_secs_f64(), {
        count as f64 / started.elapsed().as_secs_f64()
    });
    let loaded = Instant::now();
    while !index.is_settled(collection).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("approximate searches {:.2} s after the last upsert", loaded.elapsed().as_secs_f64());
    searcher.abort();
}

/// Prints the times of searches during the load.
async fn search_meanwhile(index: EmbeddedIndex, collection: CollectionName, queries: Vec<Embedding>) {
    for round in 0_usize.. {
        let mut times = Vec::new();
        for embedding in queries.iter().cloned() {
            let (filter, effort) = (Filter::default(), SearchEffort::Default);
            let start = Instant::now();
            index
                .search(&collection, &SearchQuery { embedding, limit: LIMIT, offset: 0, filter, effort })
                .await
                .unwrap();
            times.push(start.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if round.is_power_of_two() {
            let (median, slow) = (percentile(&mut times, 50), percentile(&mut times, 99));
            println!("searches during the load: p50 {median:.2} ms, p99 {slow:.2} ms");
        }
    }
}

async fn measure(index: &EmbeddedIndex, collection: &CollectionName, kind: &str, queries: &[Embedding]) {
    let search = async |embedding: &Embedding, effort, filter: &Filter| {
        let query =
            SearchQuery { embedding: embedding.clone(), limit: LIMIT, offset: 0, filter: filter.clone(), effort };
        let start = Instant::now();
        let hits = index.search(collection, &query).await.unwrap();
        (start.elapsed().as_secs_f64() * 1e3, hits.into_iter().map(|hit| hit.id).collect::<Vec<ImageId>>())
    };
    let month =
        Filter { meta: [("month".to_owned(), Condition::parse_meta(["3"]).unwrap())].into(), ..Filter::default() };
    for (name, filter) in [("all", Filter::default()), ("a twelfth", month)] {
        let (mut exact, mut exact_times) = (Vec::new(), Vec::new());
        for query in queries {
            let (time, ids) = search(query, SearchEffort::Exact, &filter).await;
            exact.push(ids);
            exact_times.push(time);
        }
        let scan = percentile(&mut exact_times, 50);
        println!("{kind}, {name}: exact p50 {scan:.1} ms");
        for effort in LEVELS {
            let (mut times, mut found) = (Vec::new(), 0);
            for (query, exact) in queries.iter().zip(&exact) {
                let (time, ids) = search(query, effort, &filter).await;
                times.push(time);
                found += exact.iter().filter(|id| ids.contains(id)).count();
            }
            let recall = found as f64 / exact.iter().map(Vec::len).sum::<usize>() as f64;
            let (median, slow) = (percentile(&mut times, 50), percentile(&mut times, 99));
            println!(
                "{kind}, {name}, {effort:?}: recall {recall:.4}, p50 {median:.2} ms ({:.0} x), p99 {slow:.2} ms",
                scan / median
            );
        }
    }
}

fn filters() -> [(&'static str, Filter); 5] {
    let months = |values: &[&str]| {
        let months = Condition::parse_meta(values.iter().copied()).unwrap();
        Filter { meta: [("month".to_owned(), months)].into(), ..Filter::default() }
    };
    let wide = Filter { min_width: Some(900), ..Filter::default() };
    let both = Filter { formats: ImageFormat::Jpeg.into(), ..months(&["2..9", "!4"]) };
    let folder = Filter { folders: "images/".to_owned().into(), ..Filter::default() };
    [
        ("a twelfth", months(&["5"])),
        ("eight of twelve", months(&["2..9"])),
        ("a width", wide),
        ("seven of twelve and a format", both),
        ("a folder of all", folder),
    ]
}

/// The time of the first search with each filter, and that of later ones beside searches without a filter.
async fn measure_filters(index: &EmbeddedIndex, collection: &CollectionName, kind: &str, queries: &[Embedding]) {
    let search = async |embedding: &Embedding, filter: &Filter| {
        let (embedding, effort) = (embedding.clone(), SearchEffort::Default);
        let query = SearchQuery { embedding, limit: LIMIT, offset: 0, filter: filter.clone(), effort };
        let start = Instant::now();
        index.search(collection, &query).await.unwrap();
        start.elapsed().as_secs_f64() * 1e3
    };
    for (name, filter) in filters() {
        let first = search(&queries[0], &filter).await;
        let (mut all, mut filtered) = (Vec::new(), Vec::new());
        // The second search finds what the first one has read in the caches of the processor.
        for (at, query) in queries.iter().enumerate() {
            if at % 2 == 0 {
                all.push(search(query, &Filter::default()).await);
                filtered.push(search(query, &filter).await);
            } else {
                filtered.push(search(query, &filter).await);
                all.push(search(query, &Filter::default()).await);
            }
        }
        let (all, filtered) = (percentile(&mut all, 50), percentile(&mut filtered, 50));
        println!(
            "{kind}, {name}: first {first:.1} ms, then p50 {filtered:.2} ms, without a filter {all:.2} ms ({:.2} x)",
            filtered / all
        );
    }
}

/// The time of the first and of the second count of each field.
async fn measure_facets(index: &EmbeddedIndex, collection: &CollectionName) {
    let [.., both, _] = filters();
    for field in ["format", "folder", "meta.month"] {
        for (name, filter) in [("all", Filter::default()), both.clone()] {
            let query = FacetQuery { field: FacetField::parse(field).unwrap(), filter, limit: 20 };
            let mut times = Vec::new();
            for _ in 0..2 {
                let start = Instant::now();
                index.facets(collection, &query).await.unwrap();
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            println!("facets of {field}, {name}: first {:.1} ms, then {:.1} ms", times[0], times[1]);
        }
    }
}

fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * percent / 100]
}

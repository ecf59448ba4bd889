//! The embedded index at 100,000 x 512: writes per second, and a search compared with two references in the same run:
//! a plain sum over as many numbers (the speed of the memory), and, if `NUMPY_PYTHON` names a Python that has numpy,
//! its matrix-vector product. Pin it to one core (`taskset -c 1`) for a fair comparison.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may panic, and prints what it finds")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use glimpse::domain::{
    BrowseQuery, CollectionName, Condition, Embedding, FacetField, FacetQuery, Filter, ImageFormat, ImageRecord,
    ImageUri, PAYLOAD_VERSION, PageStart, Payload, Probe, SearchEffort, SearchQuery, Space, Timestamp,
};
use glimpse::index::ImageIndex;
use glimpse::index::embedded::EmbeddedIndex;
use tokio::runtime::Runtime;

const COUNT: usize = 100_000;
const SIZE: usize = 512;
const BATCH: usize = 256;
const ROUNDS: usize = 41;

struct Rng(u64);

impl Rng {
    fn embedding(&mut self) -> Embedding {
        let raw = (0..SIZE).map(|_| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            f32::from(u16::try_from(self.0 >> 48).unwrap()) - 32_767.5
        });
        Embedding::normalised(raw.collect(), SIZE).unwrap()
    }
}

/// A record with the metadata of a camera whose images are in folders by month.
fn record(n: usize, rng: &mut Rng) -> ImageRecord {
    let key = format!("images/2025/{:02}/IMG_{n:06}.jpg", n % 12 + 1);
    let uri = ImageUri::new("pipeline", &key);
    let meta = BTreeMap::from([
        ("camera".into(), format!("model-{}", n % 40)),
        ("month".into(), (n % 12 + 1).to_string()),
        ("owner".into(), "u-17".into()),
    ]);
    let payload = Payload {
        s3_key: key,
        s3_uri: uri.clone(),
        s3_bucket: "pipeline".into(),
        s3_folders: uri.folders(),
        format: if n.is_multiple_of(4) { ImageFormat::Png } else { ImageFormat::Jpeg },
        width: 640 + u32::try_from(n % 4_000).unwrap(),
        height: 480,
        frames: 1,
        thumbnail_key: Some(format!("thumbnails/{n:06}.webp")),
        etag: Some(format!("{n:032x}")),
        size_bytes: 3_145_728,
        content_sha256: format!("{n:064x}"),
        space: "clip-vit-b-32/512/crop-224-bicubic".into(),
        indexed_at: Timestamp::parse("2026-01-31T12:00:00Z").unwrap(),
        meta_kv: meta.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        meta,
        version: PAYLOAD_VERSION,
        hashes: None,
        exif: glimpse::domain::ExifFacts::default(),
    };
    ImageRecord { id: uri.id(), uri, embedding: rng.embedding(), payload }
}

/// Records per second, over all of them in batches.
fn write_all(runtime: &Runtime, index: &EmbeddedIndex, collection: &CollectionName, rng: &mut Rng) -> f64 {
    let mut spent = Duration::ZERO;
    for first in (0..COUNT).step_by(BATCH) {
        let batch: Vec<_> = (first..COUNT.min(first + BATCH)).map(|n| record(n, rng)).collect();
        let start = Instant::now();
        runtime.block_on(index.upsert(collection, &batch)).unwrap();
        spent += start.elapsed();
    }
    f64::from(u32::try_from(COUNT).unwrap()) / spent.as_secs_f64()
}

/// A Python process that multiplies a matrix of the same size by a vector, once for each line that it gets.
struct Numpy(Child, ChildStdin, BufReader<ChildStdout>);

impl Numpy {
    const PROGRAM: &str = "
import sys, time, numpy
matrix = numpy.random.default_rng(1).standard_normal((100_000, 512), dtype=numpy.float32)
query = matrix[0].copy()
for line in sys.stdin:
    start = time.perf_counter(); matrix @ query; print(time.perf_counter() - start, flush=True)";

    fn start() -> Option<Self> {
        let mut command = Command::new(std::env::var_os("NUMPY_PYTHON")?);
        command.args(["-c", Self::PROGRAM]).envs(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"].map(|name| (name, "1")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self(child, input, BufReader::new(output)))
    }

    fn product(&mut self) -> f64 {
        writeln!(self.1).unwrap();
        let mut line = String::new();
        self.2.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Numpy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn sum(numbers: &[f32]) -> f32 {
    let mut sums = [0.0; 64];
    for chunk in numbers.as_chunks::<64>().0 {
        for (sum, number) in sums.iter_mut().zip(chunk) {
            *sum += number;
        }
    }
    sums.iter().sum()
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The best and the median, in milliseconds. On a machine that does other work, use the best.
struct Times(f64, f64);

impl Times {
    fn from_seconds(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds[0] * 1e3, seconds[seconds.len() / 2] * 1e3)
    }

    fn against(&self, peer: &str, Self(best, median): &Self) {
        println!("search: best {:.2} ms, {:.2} x {peer} ({best:.2})", self.0, self.0 / best);
        println!("      median {:.2} ms, {:.2} x {peer} ({median:.2})", self.1, self.1 / median);
    }
}

fn meta_filter(key: &str, value: &str) -> Filter {
    Filter { meta: [(key.to_owned(), Condition::parse_meta([value]).unwrap())].into(), ..Filter::default() }
}

fn benchmark(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    let collection = CollectionName::parse("bench").unwrap();
    let probes = vec![Probe { name: "p".into(), vector: vec![1.0; SIZE] }];
    let space = Space { model: "m".into(), dimension: SIZE, preprocessing: "crop".into(), probes };
    runtime.block_on(index.ensure_image_collection(&collection, &space)).unwrap();

    let mut rng = Rng(7);
    println!("inserted {:.0} records a second", write_all(&runtime, &index, &collection, &mut rng));
    println!("replaced {:.0} records a second", write_all(&runtime, &index, &collection, &mut rng));
    drop(index);
    let start = Instant::now();
    let index = EmbeddedIndex::open(folder.path()).unwrap();
    println!("opened in {:.0} ms, every vector's checksum read", start.elapsed().as_secs_f64() * 1e3);

    let query = SearchQuery {
        embedding: rng.embedding(),
        limit: 10,
        offset: 0,
        filter: Filter::default(),
        effort: SearchEffort::Default,
    };
    let search = |query: &SearchQuery| {
        black_box(runtime.block_on(index.search(&collection, query)).unwrap());
    };
    let numbers = vec![0.5_f32; COUNT * SIZE];
    let mut numpy = Numpy::start();
    let (mut searches, mut sums, mut products) = (vec![], vec![], vec![]);
    // In turn, so that other load on the machine affects all alike.
    for _ in 0..ROUNDS {
        searches.push(timed(|| search(&query)));
        sums.push(timed(|| _ = black_box(sum(&numbers))));
        products.extend(numpy.as_mut().map(Numpy::product));
    }
    let searches = Times::from_seconds(searches);
    searches.against("a plain sum", &Times::from_seconds(sums));
    if numpy.is_some() {
        searches.against("numpy's product", &Times::from_seconds(products));
    }

    let mut group = criterion.benchmark_group("embedded index, 100,000 x 512");
    group.sample_size(20);
    group.bench_function("search", |bencher| bencher.iter(|| search(&query)));
    group.bench_function("search, to place 10,000", |bencher| {
        let deep = SearchQuery { offset: 9_990, ..query.clone() };
        bencher.iter(|| search(&deep));
    });
    let filters = [
        (
            "a folder of a twelfth",
            Filter { folders: Condition::from("images/2025/03/".to_owned()), ..Filter::default() },
        ),
        ("the folder of all", Filter { folders: Condition::from("images/".to_owned()), ..Filter::default() }),
        ("metadata of a fortieth", meta_filter("camera", "model-3")),
        ("months 4 to 6", meta_filter("month", "4..6")),
        ("the wider half", Filter { min_width: Some(2_640), ..Filter::default() }),
    ];
    for (name, filter) in filters {
        let query = SearchQuery { filter: filter.clone(), ..query.clone() };
        group.bench_function(format!("search, {name}"), |bencher| bencher.iter(|| search(&query)));
        for field in ["format", "folder", "meta.camera"] {
            let field = FacetField::parse(field).unwrap();
            let query = FacetQuery { field: field.clone(), filter: filter.clone(), limit: 20 };
            let facets = || runtime.block_on(index.facets(&collection, &query)).unwrap();
            group.bench_function(format!("facet of {field:?}, {name}"), |bencher| bencher.iter(facets));
        }
    }
    let first = ImageUri::new("pipeline", "any").id();
    for start in
        [PageStart::Newest { after: None }, PageStart::Key { after: None }, PageStart::Random { first, after: None }]
    {
        let query = BrowseQuery { filter: Filter::default(), start, limit: 60 };
        let page = || runtime.block_on(index.browse(&collection, &query)).unwrap();
        group.bench_function(format!("page, {}", query.start.order()), |bencher| bencher.iter(page));
    }
    group.bench_function("summary", |bencher| bencher.iter(|| runtime.block_on(index.summary(&collection)).unwrap()));
    group.bench_function("a plain sum", |bencher| bencher.iter(|| sum(black_box(&numbers))));
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);

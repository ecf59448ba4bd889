//! The time of the model, through the provider: one image and one query on one worker, and a batch over all cores.
//!
//! The limit of the image tower is the multiply-add rate of the core, measured by an FMA loop on the same machine; the
//! tower is nearly all convolutions (97 % of its time).

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glimpse::embed::local::LocalProvider;
use glimpse::embed::{ImageEmbeddingProvider, TextCache, Verification, Verified};
use glimpse::imaging::{Limits, PreparedImage, prepare};

const LIMITS: Limits = Limits { max_bytes: 1 << 26, max_pixels: 1 << 26, max_decode_bytes: 1 << 29 };
const BATCH: usize = 8;

fn image(provider: &LocalProvider) -> PreparedImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/cat.jpg");
    let bytes = std::fs::read(path).expect("a demo image");
    prepare(&bytes, &LIMITS, &provider.preprocessing()).expect("a image").image
}

fn embed(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let one = LocalProvider::start(NonZeroUsize::MIN).expect("the built-in model");
    let image = image(&one);
    criterion.bench_function("image/one core", |bencher| {
        bencher.to_async(&runtime).iter(|| one.embed_image(black_box(&image)));
    });
    for (name, text) in [("short", "a cat"), ("long", "a image of a small cat that sleeps on a red chair. ")] {
        let text = if name == "long" { text.repeat(8) } else { text.to_owned() };
        criterion.bench_function(&format!("text/{name}"), |bencher| {
            bencher.to_async(&runtime).iter(|| one.embed_text(black_box(&text)));
        });
    }
    let one: Arc<dyn ImageEmbeddingProvider> = Arc::new(one);
    let verification = Arc::new(Verification::new(one.clone(), None));
    let cached = TextCache::new(Arc::new(Verified::new(one, verification)), NonZeroUsize::MIN);
    runtime.block_on(cached.embed_text("a cat")).expect("a vector");
    criterion.bench_function("text/repeated", |bencher| {
        bencher.to_async(&runtime).iter(|| cached.embed_text(black_box("a cat")));
    });
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let all = LocalProvider::start(cores).expect("the built-in model");
    let batch = vec![image; BATCH];
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(format!("{BATCH} images on {cores} cores"), |bencher| {
        bencher.to_async(&runtime).iter(|| all.embed_image_batch(black_box(&batch)));
    });
    group.finish();
}

criterion_group!(benches, embed);
criterion_main!(benches);

//! What it costs to send a prepared image: bytes, the encoder's time, and how far the vector moves for what a lossy
//! format loses. `zarf/adr/0004-images-on-the-wire.md` has the figures and the decision.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use glimpse::embed::ImageEmbeddingProvider;
use glimpse::embed::local::LocalProvider;
use glimpse::imaging::{Limits, PreparedImage, prepare};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

const LIMITS: Limits = Limits { max_bytes: 1 << 26, max_pixels: 1 << 26, max_decode_bytes: 1 << 29 };

fn images(provider: &LocalProvider) -> Vec<PreparedImage> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let files = std::fs::read_dir(folder).expect("the demo images").map(|entry| entry.expect("a file").path());
    let jpegs = files.filter(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    let prepared = |path| {
        let bytes = std::fs::read(path).expect("a image");
        prepare(&bytes, &LIMITS, &provider.preprocessing()).expect("a image").image
    };
    jpegs.map(prepared).collect()
}

fn encoded(image: &PreparedImage, make: impl Fn(&mut Vec<u8>, &[u8], u32)) -> Vec<u8> {
    let mut out = Vec::with_capacity(image.rgb.len());
    make(&mut out, &image.rgb, image.size);
    out
}

fn png(out: &mut Vec<u8>, rgb: &[u8], size: u32) {
    PngEncoder::new_with_quality(out, CompressionType::Fast, FilterType::Paeth)
        .write_image(rgb, size, size, ExtendedColorType::Rgb8)
        .expect("a PNG");
}

/// With full chroma: this encoder supports no other.
fn jpeg(quality: u8) -> impl Fn(&mut Vec<u8>, &[u8], u32) {
    move |out, rgb, size| {
        JpegEncoder::new_with_quality(out, quality)
            .write_image(rgb, size, size, ExtendedColorType::Rgb8)
            .expect("a JPEG");
    }
}

/// Prints the cosine that a lossy format costs, over the demo images.
#[expect(clippy::print_stdout, reason = "a benchmark prints its results")]
fn loss(provider: &LocalProvider, images: &[PreparedImage]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let embed = |image: &PreparedImage| runtime.block_on(provider.embed_image(image)).expect("a vector");
    let originals: Vec<_> = images.iter().map(embed).collect();
    let row = |name: &str, files: Vec<Vec<u8>>| {
        let kilobytes = files.iter().map(Vec::len).sum::<usize>() / images.len() / 1000;
        let cosines = files.iter().zip(&originals).map(|(file, original)| {
            let rgb = image::load_from_memory(file).expect("a image").to_rgb8();
            embed(&PreparedImage { size: rgb.width(), rgb: rgb.into_raw().into() }).cosine(original)
        });
        let mut cosines: Vec<f32> = cosines.collect();
        cosines.sort_by(f32::total_cmp);
        let (worst, median) = (cosines[0], cosines[cosines.len() / 2]);
        println!("{name:12} {kilobytes:4} kB an image, cosine {worst:.5} at worst, {median:.5} in the median");
    };
    row("png", images.iter().map(|image| encoded(image, png)).collect());
    for quality in [90, 95, 98, 100] {
        row(&format!("jpeg q{quality}"), images.iter().map(|image| encoded(image, jpeg(quality))).collect());
    }
}

fn wire(criterion: &mut Criterion) {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let provider = LocalProvider::start(cores).expect("the built-in model");
    let images = images(&provider);
    loss(&provider, &images);
    let image = &images[0];
    criterion.bench_function("encode/png", |bencher| bencher.iter(|| encoded(black_box(image), png)));
    criterion.bench_function("encode/jpeg q95", |bencher| bencher.iter(|| encoded(black_box(image), jpeg(95))));
}

criterion_group!(benches, wire);
criterion_main!(benches);

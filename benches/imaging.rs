//! The time of preparing one image for the model. Its limit is the model itself (`benches/embed.rs`, one image on one
//! core): preparing should stay below a twentieth of it.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use glimpse::imaging::{Limits, Preprocessing, prepare, validate_image};

const LIMITS: Limits = Limits { max_bytes: 1 << 26, max_pixels: 1 << 26, max_decode_bytes: 1 << 29 };

fn demo(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(file)).expect("a demo image")
}

fn imaging(criterion: &mut Criterion) {
    let model = Preprocessing::crop(260);
    for file in ["cat.jpg", "galaxies.jpg"] {
        let bytes = demo(file);
        criterion.bench_function(&format!("validate_image/{file}"), |bencher| {
            bencher.iter(|| validate_image(black_box(&bytes), &LIMITS));
        });
        criterion.bench_function(&format!("prepare/{file}"), |bencher| {
            bencher.iter(|| prepare(black_box(&bytes), &LIMITS, &model));
        });
    }
}

criterion_group!(benches, imaging);
criterion_main!(benches);
